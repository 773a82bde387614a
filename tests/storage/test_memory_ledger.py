"""The ledger's model keeps the contract."""

from __future__ import annotations

import pytest

from storage.memory_ledger import MemoryLedger
from tests.contracts.ledger import *  # noqa: F403


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger(clock_ms=lambda: 5)
