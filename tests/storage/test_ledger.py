"""The ledger on SQLite: the contract, restart, and what goes wrong with files and locks."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage import ledger as store
from storage.base import StoreAway, StoreUnusable
from storage.ledger import SqliteLedger, open_ledger, prepare_ledger
from storage.ledger_base import Batch, Fenced, Head
from tests.contracts.ledger import *  # noqa: F403
from tests.contracts.ledger import row, write


def clock() -> int:
    return 5


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    async with open_ledger(tmp_path / "ledger.db", clock_ms=clock) as opened:
        yield opened


async def test_it_is_all_there_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "sub" / "ledger.db"
    async with open_ledger(file, clock_ms=clock) as ledger:
        await ledger.take_over()
        await write(ledger, Batch(7, [row(1)]))
        assert ledger.statistics().commits == 2
    async with open_ledger(file, clock_ms=clock) as ledger:
        assert await ledger.head() == Head(1, 1, 2, 7, 0)
        assert await ledger.journal(0, 5) == [row(1)]


async def test_two_open_it_and_the_epoch_decides(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    async with open_ledger(file, clock_ms=clock) as one, open_ledger(file, clock_ms=clock) as other:
        first = await one.take_over()
        await write(one, Batch(1, [row(1)]))
        second = await other.take_over()
        assert second.epoch == first.epoch + 1
        with pytest.raises(Fenced):
            await write(one, Batch(1, [row(2)]), head=first)
        await write(other, Batch(1, [row(2)]), head=second)


async def test_a_lock_that_somebody_holds_is_an_outage(tmp_path: Path, ledger: SqliteLedger) -> None:
    await ledger.take_over()
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreAway, match="locked"):
        await ledger.take_over()
    other.execute("ROLLBACK")
    other.close()
    assert (await ledger.take_over()).epoch == 2


async def test_a_full_disk_is_an_outage_and_leaves_nothing(tmp_path: Path) -> None:
    async with open_ledger(tmp_path / "ledger.db", clock_ms=clock, page_count_max=60) as ledger:
        await ledger.take_over()
        with pytest.raises(StoreAway):
            await write(ledger, Batch(1, [row(1, body=bytes(1 << 20))]))
        assert (await ledger.head()).sequence == 0
        await write(ledger, Batch(1, [row(1)]))


def test_files_that_are_none_of_ours(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreUnusable, match="is not a database"):
        prepare_ledger(text)
    newer = tmp_path / "newer"
    prepare_ledger(newer)
    prepare_ledger(newer)
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreUnusable, match="schema 99"):
        prepare_ledger(newer)
    other = tmp_path / "other"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    with pytest.raises(StoreUnusable, match="schema 0"):
        prepare_ledger(other)


def test_what_else_the_database_says_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="unable to open"):
        prepare_ledger(tmp_path)


@pytest.mark.parametrize("statement", [store._KNOWN, store._ENDED])
def test_the_facts_of_a_batch_are_found_by_index(tmp_path: Path, statement: str) -> None:
    prepare_ledger(tmp_path / "ledger.db")
    connection = sqlite3.connect(tmp_path / "ledger.db")
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statement.format('?,?,?,?')}", [b"x"] * 4).fetchall()
    connection.close()
    assert plan
    assert all("SEARCH" in row[3] and "INDEX" in row[3] for row in plan), plan
