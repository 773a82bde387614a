"""The ledger's schema holds by itself, whoever writes to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.ledger import prepare_ledger
from storage.ledger_tables import METADATA, SCHEMA

LEAF = bytes(32)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    prepare_ledger(tmp_path / "ledger.db")
    connection = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    connection.execute("INSERT INTO ledger_journal VALUES (1, x'01', NULL, x'00', ?)", (LEAF,))
    connection.execute("UPDATE ledger_head SET epoch = 5, sequence = 1, commits = 9, time_ms = 100, snapshot = 1")
    yield connection
    connection.close()


def test_the_tables_are_those_of_the_metadata(database: sqlite3.Connection) -> None:
    found = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert found - {"sqlite_sequence"} == set(METADATA.tables)
    assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA,)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE ledger_journal SET body = x'ff'", "append-only"),
        ("DELETE FROM ledger_journal", "append-only"),
        ("INSERT INTO ledger_journal VALUES (3, NULL, NULL, x'00', zeroblob(32))", "gap"),
        ("INSERT INTO ledger_journal VALUES (2, x'01', NULL, x'00', zeroblob(32))", "UNIQUE"),
        ("INSERT INTO ledger_journal VALUES (2, x'', NULL, x'00', zeroblob(32))", "CHECK"),
        ("INSERT INTO ledger_journal VALUES (2, NULL, NULL, x'00', x'00')", "CHECK"),
        ("UPDATE ledger_head SET epoch = 4, commits = 10", "only moves forward"),
        ("UPDATE ledger_head SET sequence = 0, commits = 10", "only moves forward"),
        ("UPDATE ledger_head SET time_ms = 99, commits = 10", "only moves forward"),
        ("UPDATE ledger_head SET epoch = 6", "only moves forward"),
        ("UPDATE ledger_head SET snapshot = 2, commits = 10", "CHECK"),
        ("INSERT INTO ledger_head VALUES (2, 0, 0, 0, 0, 0)", "CHECK"),
        ("INSERT INTO ledger_ledgers VALUES ('EUR', 9)", "CHECK"),
        ("INSERT INTO ledger_accounts VALUES ('EUR', x'00', 0, 0, 0, 0, 0, 0, 0, 0)", "CHECK"),
        ("INSERT INTO ledger_accounts VALUES ('EUR', zeroblob(32), 2, 0, 0, 0, 0, 0, 0, 0)", "CHECK"),
        ("INSERT INTO ledger_accounts VALUES ('EUR', zeroblob(32), 0, 3, 0, 0, 0, 0, 0, 0)", "CHECK"),
        ("INSERT INTO ledger_accounts VALUES ('EUR', zeroblob(32), 0, 0, 0, 0, 0, 1, 0, 0)", "CHECK"),
    ],
)
def test_the_wall_refuses(database: sqlite3.Connection, statement: str, why: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match=why):
        database.execute(statement)
