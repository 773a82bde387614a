"""Every backend offers each method of the seam as it is declared there: same parameters, same kind of function."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError

import pytest

from protocol.errors import Code
from storage import base
from storage.accounts import SqlAccounts
from storage.blobs import SqlBlobs
from storage.keypackages import SqlKeyPackages
from storage.memory import MemoryTopics
from storage.memory_people import MemoryAccounts, MemoryBlobs, MemoryKeyPackages
from storage.topics import SqlTopics

SEAMS = [
    (base.Topics, SqlTopics), (base.Topics, MemoryTopics), (base.Accounts, SqlAccounts),
    (base.Accounts, MemoryAccounts), (base.KeyPackages, SqlKeyPackages), (base.KeyPackages, MemoryKeyPackages),
    (base.Blobs, SqlBlobs), (base.Blobs, MemoryBlobs),
]  # fmt: skip


@pytest.mark.parametrize(("seam", "backend"), SEAMS, ids=lambda kind: kind.__name__)
def test_a_backend_offers_what_the_seam_declares(seam: type, backend: type) -> None:
    declared = {name: value for name, value in vars(seam).items() if inspect.isfunction(value) and name[0] != "_"}
    assert declared
    for name, function in declared.items():
        offered = getattr(backend, name)
        assert inspect.signature(offered).parameters.keys() == inspect.signature(function).parameters.keys(), name
        assert inspect.iscoroutinefunction(offered) == inspect.iscoroutinefunction(function), name
        if name.endswith("_nowait"):
            assert not inspect.iscoroutinefunction(offered)


def test_values_cross_the_seam_frozen() -> None:
    refusal = base.Refused(Code.QUOTA, "full")
    with pytest.raises(FrozenInstanceError):
        refusal.text = "empty"  # type: ignore[misc]
    assert refusal.retry_ms is None


def test_what_may_be_retried_is_not_what_cannot_be_opened() -> None:
    assert not issubclass(base.StoreAway, base.StoreUnusable)
    assert not issubclass(base.StoreUnusable, base.StoreAway)
