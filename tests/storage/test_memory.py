"""The model must keep the contract by itself: what it gets wrong, no comparison with it can find."""

from __future__ import annotations

import pytest

from storage.memory import MemoryStore
from tests.contracts.conversations import *  # noqa: F403
from tests.contracts.entries import *  # noqa: F403
from tests.contracts.keeping import *  # noqa: F403
from tests.contracts.kit import Clock, Kit
from tests.contracts.rights import *  # noqa: F403


@pytest.fixture
def kit() -> Kit:
    clock = Clock()
    return Kit(MemoryStore(clock_ms=clock), clock)


async def test_nothing_queues(kit: Kit) -> None:
    ann = await kit.person("ann")
    outcomes: list[object] = []
    kit.store.topics.append_nowait(kit.intent(ann, bytes(32)), outcomes.append)
    assert outcomes == []
    figures = kit.store.statistics()
    assert (figures.queued, figures.refused, figures.batch_max) == (0, 1, 1)
