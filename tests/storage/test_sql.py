"""Set-based SQL; and that no statement of the store reads a whole table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import IntegrityError

from protocol.frames import Role
from storage import bounds, sql
from storage.base import Entry
from storage.engine import Engine
from storage.sqlite import FILE, SqliteStore
from tests.contracts.kit import Kit, key, stored, welcome


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n INTEGER PRIMARY KEY, a INTEGER, b BLOB, UNIQUE (a, b))")
        connection.exec_driver_sql("CREATE TABLE log (size INTEGER)")
        yield connection
    engine.dispose()


def fill(connection: Connection, count: int) -> None:
    sql.insert_rows(connection, "t", "n, a, b", [(n, n % 7, b"%d" % n) for n in range(count)])


def test_pieces_use_few_sizes() -> None:
    assert [len(piece) for piece in sql.pieces(range(77), (32, 4, 1))] == [32, 32, 4, 4, 4, 1]
    assert list(sql.pieces([], (4, 1))) == []
    assert [n for piece in sql.pieces(range(77), (32, 4, 1)) for n in piece] == list(range(77))


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 33, 256, 300, 600])
def test_all_rows_are_inserted_and_all_keys_found(connection: Connection, count: int) -> None:
    fill(connection, count)
    assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == count
    found = sql.select_in(connection, "SELECT n FROM t WHERE a < ? AND n IN ({})", range(1000), 99)
    assert sorted(row[0] for row in found) == list(range(count))
    keys = [(n % 7, b"%d" % n) for n in range(0, 1000, 2)]
    joined = sql.select_joined(connection, "SELECT t.n FROM {} CROSS JOIN t ON a = k.column1 AND b = k.column2", keys)
    assert sorted(row[0] for row in joined) == list(range(0, count, 2))
    sql.execute_in(connection, "DELETE FROM t WHERE n IN ({})", range(0, count, 2))
    sql.execute_each(connection, "DELETE FROM t WHERE n = ?", [(n,) for n in range(3, count, 2)])
    sql.execute_each(connection, "DELETE FROM t WHERE n = ?", [])
    assert [row[0] for row in connection.exec_driver_sql("SELECT n FROM t")] == [1][: max(count - 1, 0)]


def test_a_conflict_clause(connection: Connection) -> None:
    fill(connection, 3)
    sql.insert_rows(connection, "t", "n, a, b", [(1, 9, b"new")], "ON CONFLICT (n) DO UPDATE SET a = excluded.a")
    assert list(connection.exec_driver_sql("SELECT a, b FROM t WHERE n = 1")) == [(9, b"1")]


def test_numbers_go_up(connection: Connection) -> None:
    assert sql.next_number(connection, "t") == 1
    fill(connection, 5)
    assert sql.next_number(connection, "t") == 5


def test_statements_are_few(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows there are, their statement texts fit the driver's cache of compiled ones."""
    texts: set[str] = set()
    run = sql.run

    def note(connection: Connection, text: str, values: sql.Row) -> list[Any]:
        texts.add(text)
        return run(connection, text, values)

    monkeypatch.setattr(sql, "run", note)
    for count in range(1, 300, 7):
        sql.select_in(connection, "SELECT n FROM t WHERE n IN ({})", range(count))
    assert len(texts) == len(bounds.LOOKUP_KEYS)


def test_what_the_driver_refuses_is_an_error_like_any_other(connection: Connection) -> None:
    fill(connection, 1)
    with pytest.raises(IntegrityError) as refused:
        sql.insert_rows(connection, "t", "n, a, b", [(0, 9, b"new")])
    assert isinstance(refused.value.orig, sqlite3.IntegrityError)


def test_entries_survive_the_trip() -> None:
    entry = Entry(b"t" * 32, 1, 2, b"i" * 16, b"a" * 32, b"d" * 32, 1000, 4, 5, 60, b"head", b"body", b"h" * 32)
    row = sql.entry_row(7, 8, b"x" * 32, entry)
    assert row[:2] == (7, 2)
    assert row[8] == 1060
    read = (1, 2, entry.id, entry.account, entry.device, 1000, 4, 5, 1060, b"head", b"body", entry.hash)
    assert sql.entry_of(entry.topic, read) == entry
    assert sql.entry_of(entry.topic, (*read[:8], 0, *read[9:])).ttl == 0


#: Small or rare enough to be read as a whole, once a retention run.
READ_WHOLE = {"DELETE FROM key_packages WHERE added_ms", "DELETE FROM reservations WHERE made_ms"}


async def test_no_query_reads_a_whole_table(
    folder: Path, sqlite: SqliteStore, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is fast with ten rows must be so with ten million: every statement finds its rows by a key."""
    texts: set[str] = set()

    def note(_: object, __: object, text: str, *___: object) -> None:
        texts.add(text)

    for database in databases(sqlite.engine):
        event.listen(database, "before_cursor_execute", note)
    run = sql.run

    def noted(connection: Connection, text: str, values: sql.Row) -> list[Any]:
        texts.add(text)
        return run(connection, text, values)

    monkeypatch.setattr(sql, "run", noted)
    await use_everything(kit)
    texts -= {text for text in texts if text.startswith(("BEGIN", "PRAGMA"))}
    assert len(texts) > 40
    plans = sqlite3.connect(folder / FILE)
    for text in sorted(texts):
        if any(text.startswith(start) for start in READ_WHOLE):
            continue
        steps = [row[3] for row in plans.execute("EXPLAIN QUERY PLAN " + text, [None] * text.count("?"))]
        assert not [s for s in steps if s.startswith("SCAN") and not s.endswith(("CONSTANT ROWS", "ROW", "SCAN k"))], (
            text
        )
    plans.close()


def databases(engine: Engine) -> list[object]:
    return [engine._writer_db, engine._reader_db]


async def use_everything(kit: Kit) -> None:
    """Call everything that a store can do at least once."""
    ann, bob = await kit.person("ann", devices=2), await kit.person("bob")
    store = kit.store
    await store.accounts.claim_handle(ann.account, "ann")
    await store.accounts.resolve_handle("ann")
    await store.accounts.get([ann.account, bob.account])
    await store.key_packages.put(ann.account, ann.device, [b"p"], b"last")
    await store.key_packages.claim([ann.account])
    topic = await kit.group(ann)
    blob = await kit.blob(b"blob")
    await store.blobs.get(blob)
    stored(await kit.commit(ann, topic, added={bob: Role.MEMBER}, welcomes=(welcome(bob),)))
    entry = await kit.say(bob, topic, blobs=(blob,))
    await kit.say(bob, topic, after=entry.entries[0].id, ttl=1)
    stored(await kit.post(bob, topic, 64, (1, 2), erases=entry.offset))
    stored(await kit.post(ann, bob.inbox, 1024, None))
    await store.topics.reserve(topic, bob.account, bob.device)
    store.topics.acknowledge_nowait(topic, bob.device, 2)
    stored(await kit.commit(ann, topic, removed=[bob]))
    await kit.log(topic)
    await store.accounts.login(ann.account, ann.device)
    await store.topics.states([topic, key("x")], ann.account)
    await store.topics.members(topic)
    await kit.relist(bob, bob.device, key("new"))
    kit.clock.pass_ms(100 * 86_400_000)
    await store.topics.retain(kit.clock.now_ms, kit.clock.now_ms)
    await store.topics.retain(kit.clock.now_ms, kit.clock.now_ms)
