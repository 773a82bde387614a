"""What a batch of appends asks about slots: the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.kit import Clock, Kit, opened
from tests.contracts.slots import *  # noqa: F403


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    clock = Clock()
    async with opened("sqlite", tmp_path, clock) as store:
        yield Kit(store, clock)
