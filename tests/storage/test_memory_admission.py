"""Invitations, bans and bounds in the dict model: the contract's tests."""

from __future__ import annotations

import pytest

from storage.memory import MemoryStore
from tests.contracts.admission import *  # noqa: F403
from tests.contracts.kit import Clock, Kit


@pytest.fixture
def kit(clock: Clock) -> Kit:
    return Kit(MemoryStore(clock_ms=clock), clock)
