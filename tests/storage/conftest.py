"""An SQLite store with its kit, for tests of single modules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.sqlite import FILE, SqliteStore, open_store
from tests.contracts.kit import Clock, Kit, empty_database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with an empty, migrated database."""
    (tmp_path / FILE).write_bytes(empty_database())
    return tmp_path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def sqlite(folder: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    async with open_store(folder, clock_ms=clock) as store:
        yield store


@pytest.fixture
def kit(sqlite: SqliteStore, clock: Clock) -> Kit:
    return Kit(sqlite, clock)
