"""Every backend offers what these seams declare."""

from __future__ import annotations

import inspect

import pytest

from storage.acquaintance import Contacts, Lockers
from storage.contacts import SqlContacts
from storage.lockers import SqlLockers
from storage.memory_people import MemoryContacts, MemoryLockers


@pytest.mark.parametrize(
    ("seam", "backend"),
    [(Contacts, SqlContacts), (Contacts, MemoryContacts), (Lockers, SqlLockers), (Lockers, MemoryLockers)],
)
def test_a_backend_offers_what_the_seam_declares(seam: type, backend: type) -> None:
    declared = {name: value for name, value in vars(seam).items() if inspect.isfunction(value) and name[0] != "_"}
    assert declared
    for name, function in declared.items():
        offered = getattr(backend, name)
        assert inspect.iscoroutinefunction(offered)
        assert list(inspect.signature(offered).parameters) == list(inspect.signature(function).parameters)
