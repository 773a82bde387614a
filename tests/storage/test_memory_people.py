"""See ``test_memory``."""

from __future__ import annotations

import pytest

from storage.memory import MemoryStore
from tests.contracts.accounts import *  # noqa: F403
from tests.contracts.kit import Clock, Kit


@pytest.fixture
def kit() -> Kit:
    clock = Clock()
    return Kit(MemoryStore(clock_ms=clock), clock)


async def test_blobs(kit: Kit) -> None:
    digest = await kit.blob(b"data")
    assert await kit.store.blobs.get(digest) == b"data"
    assert await kit.store.blobs.get(bytes(32)) is None
