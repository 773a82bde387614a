"""Every backend offers what the seam of the reports declares."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError

import pytest

from storage.casework import Case, Full, Reports
from storage.memory_reports import MemoryReports
from storage.reports import SqlReports


@pytest.mark.parametrize("backend", [SqlReports, MemoryReports])
def test_a_backend_offers_what_the_seam_declares(backend: type) -> None:
    declared = {name: value for name, value in vars(Reports).items() if inspect.isfunction(value) and name[0] != "_"}
    assert set(declared) == {"post", "cases", "get", "close", "waiting"}
    for name, function in declared.items():
        offered = getattr(backend, name)
        assert inspect.iscoroutinefunction(offered)
        assert list(inspect.signature(offered).parameters) == list(inspect.signature(function).parameters)


def test_a_case_does_not_change() -> None:
    case = Case(1, bytes(32), 5, 10)
    with pytest.raises(FrozenInstanceError):
        case.note = "x"  # type: ignore[misc]
    assert (case.closed_ms, case.note) == (0, "")


def test_a_refusal_says_why() -> None:
    assert all(full.value for full in Full)
