"""Every backend offers what the seam of slots declares."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError

import pytest

from storage.leases import Served, Slots
from storage.memory_slots import MemorySlots
from storage.slots import SqlSlots


@pytest.mark.parametrize("backend", [SqlSlots, MemorySlots])
def test_a_backend_offers_what_the_seam_declares(backend: type) -> None:
    declared = {name: value for name, value in vars(Slots).items() if inspect.isfunction(value) and name[0] != "_"}
    assert set(declared) == {"grant", "served", "lag"}
    for name, function in declared.items():
        offered = getattr(backend, name)
        assert inspect.iscoroutinefunction(offered)
        assert list(inspect.signature(offered).parameters) == list(inspect.signature(function).parameters)


def test_what_is_served_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Served(b"", 1, 1, 1).cursor = 2  # type: ignore[misc]
