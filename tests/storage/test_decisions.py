"""Every backend offers what the operator's seam declares."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError

import pytest

from storage.admission import SqlAdmission
from storage.decisions import Admission, Ban
from storage.memory_admission import MemoryAdmission


@pytest.mark.parametrize("backend", [SqlAdmission, MemoryAdmission])
def test_a_backend_offers_what_the_seam_declares(backend: type) -> None:
    declared = {name: value for name, value in vars(Admission).items() if inspect.isfunction(value) and name[0] != "_"}
    assert set(declared) == {"add_invite", "invites", "ban", "unban", "bans", "set_quota", "quotas"}
    for name, function in declared.items():
        offered = getattr(backend, name)
        assert inspect.iscoroutinefunction(offered)
        assert list(inspect.signature(offered).parameters) == list(inspect.signature(function).parameters)


def test_a_decision_does_not_change() -> None:
    ban = Ban("address", "192.0.2.1", "floods", 1, 0)
    with pytest.raises(FrozenInstanceError):
        ban.until_ms = 5  # type: ignore[misc]
