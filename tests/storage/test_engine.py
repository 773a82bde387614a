"""The writer and the readers: batches, bounds, failures of one and of all, acknowledgements."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
import trio
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from protocol.errors import Code
from storage import bounds
from storage.base import Append, Outcome, Refused, StoreAway, StoreUnusable
from storage.engine import Engine, JobOp, open_database, preparing
from storage.sqlite import FILE, SqliteStore, open_store
from tests.contracts.kit import Clock, Kit, key, refused, stored


def test_the_database_is_set_up_to_lose_nothing(folder: Path) -> None:
    engine = open_database(folder / FILE, writer=True, page_count_max=1234)
    with engine.begin() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "max_page_count")
        }
    engine.dispose()
    assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "max_page_count": 1234}


def test_readers_cannot_write(folder: Path) -> None:
    engine = open_database(folder / FILE, writer=False)
    with pytest.raises(Exception, match="readonly"), engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM accounts")
    engine.dispose()


class Gate:
    """Holds the writer's thread inside a job, so that a batch gathers behind it."""

    def __init__(self, engine: Engine) -> None:
        self._entered, self._open = threading.Event(), threading.Event()
        engine._put(JobOp(self._wait, lambda _: None))
        self._entered.wait()

    def _wait(self, _: Connection, __: int) -> None:
        self._entered.set()
        self._open.wait()

    def open(self) -> None:
        self._open.set()


async def gathered(kit: Kit, engine: Engine, intents: list[Append]) -> list[Outcome]:
    """Outcomes of appends that were decided in one batch, with the wake-ups they came in."""
    outcomes: list[Outcome] = []
    done = trio.Event()

    def take(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if len(outcomes) == len(intents):
            done.set()

    gate = Gate(engine)
    for intent in intents:
        kit.store.topics.append_nowait(intent, take)
    gate.open()
    await done.wait()
    return outcomes


async def test_what_queues_during_a_commit_is_one_batch(sqlite: SqliteStore) -> None:
    kit = Kit(sqlite)
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    before = sqlite.statistics().commits
    outcomes = await gathered(kit, sqlite.engine, [kit.intent(ann, topic) for _ in range(100)])
    assert [stored(outcome).offset for outcome in outcomes] == list(range(2, 102))
    figures = sqlite.statistics()
    assert (figures.commits - before, figures.batch_max, figures.queued) == (2, 100, 0)


async def test_a_batch_is_bounded_by_rows_and_bytes(sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "BATCH_OPERATIONS_MAX", 10)
    monkeypatch.setattr(bounds, "BATCH_BYTES_MAX", 1000)
    kit = Kit(sqlite)
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    await gathered(kit, sqlite.engine, [kit.intent(ann, topic, body=b"") for _ in range(25)])
    assert sqlite.statistics().batch_max == 10
    before = sqlite.statistics().commits
    await gathered(kit, sqlite.engine, [kit.intent(ann, topic, body=bytes(600)) for _ in range(8)])
    assert sqlite.statistics().commits - before == 1 + 4


async def test_an_operation_that_fails_does_not_poison_its_batch(sqlite: SqliteStore) -> None:
    kit = Kit(sqlite)
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    results: list[object] = []

    def broken(connection: Connection, _: int) -> None:
        connection.exec_driver_sql("INSERT INTO handles (handle, account) VALUES ('x', 999)")

    gate = Gate(sqlite.engine)
    sqlite.topics.append_nowait(kit.intent(ann, topic, body=b"before"), results.append)
    sqlite.engine._put(JobOp(broken, results.append))
    sqlite.topics.append_nowait(kit.intent(ann, topic, body=b"after"), results.append)
    gate.open()
    await kit.say(bob, topic, b"last")
    assert (await kit.bodies(topic))[1:] == [b"before", b"after", b"last"]
    assert [type(result).__name__ for result in results] == ["Appended", "Away", "Appended"]
    with pytest.raises(StoreAway, match="FOREIGN KEY"):
        await sqlite.engine.write(broken)


async def test_an_append_that_fails_alone_is_our_fault_and_may_be_retried(
    sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = Kit(sqlite)
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)

    def fail(*_: object) -> list[Outcome]:
        raise IntegrityError("INSERT", None, sqlite3.IntegrityError("two of a kind"))

    with monkeypatch.context() as patched:
        patched.setattr("storage.engine.run_appends", fail)
        refusal = refused(await kit.post(ann, topic), Code.INTERNAL)
    assert refusal.retry_ms == bounds.RETRY_MS
    assert "two of a kind" in refusal.text
    await kit.say(ann, topic)


async def test_a_locked_database_is_away_for_all_and_comes_back(folder: Path, sqlite: SqliteStore) -> None:
    kit = Kit(sqlite)
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    other = sqlite3.connect(folder / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    intents = [kit.intent(ann, topic) for _ in range(3)]
    outcomes: list[Outcome] = []
    for intent in intents:
        sqlite.topics.append_nowait(intent, outcomes.append)
    with pytest.raises(StoreAway, match="locked"):
        await sqlite.key_packages.put(ann.account, ann.device, [b"p"], None)
    assert all(isinstance(outcome, Refused) and outcome.code == Code.STORE_AWAY for outcome in outcomes)
    other.execute("ROLLBACK")
    other.close()
    assert [stored(await sqlite.topics.append(intent)).offset for intent in intents] == [2, 3, 4]


async def test_a_reader_that_cannot_open_the_file_is_away(folder: Path) -> None:
    async with open_store(folder, clock_ms=Clock()) as store:
        await Kit(store).person("ann")  # the writer is there
        put_away(folder)
        with pytest.raises(StoreAway, match="cannot be read"):
            await store.topics.members(key("x"))


def put_away(folder: Path) -> None:
    """As if the disk had gone."""
    for file in folder.glob(FILE + "*"):
        file.rename(file.with_name("gone " + file.name))
    (folder / FILE).mkdir()


async def test_other_errors_of_a_reader_are_not_hidden(sqlite: SqliteStore) -> None:
    with pytest.raises(Exception, match="no such table"):
        await sqlite.engine.read(lambda connection: connection.exec_driver_sql("SELECT * FROM nowhere"))


async def test_the_queue_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_store(folder, clock_ms=Clock(), queue_max=3) as store:
        kit = Kit(store)
        ann, bob = await kit.people("ann", "bob")
        topic = await kit.pair(ann, bob)
        gate = Gate(store.engine)
        outcomes: list[Outcome] = []
        for _ in range(2):
            store.topics.append_nowait(kit.intent(ann, topic), outcomes.append)
        with pytest.raises(StoreAway, match="3 changes wait"):
            store.topics.append_nowait(kit.intent(ann, topic), outcomes.append)
        gate.open()
        while len(outcomes) < 2:
            await trio.lowlevel.checkpoint()
        monkeypatch.setattr(bounds, "QUEUE_BYTES_MAX", 100)
        with pytest.raises(StoreAway):
            store.topics.append_nowait(kit.intent(ann, topic, body=bytes(101)), outcomes.append)
        await kit.say(ann, topic)


async def test_acks_go_along_or_make_a_commit_of_their_own(
    sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "ACKS_PENDING_MAX", 3)
    kit = Kit(sqlite)
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    commits = sqlite.statistics().commits

    async def acks() -> list[tuple[int, ...]]:
        query = "SELECT offset FROM acks ORDER BY offset"
        return await sqlite.engine.read(lambda c: [tuple(row) for row in c.exec_driver_sql(query)])

    for offset in (5, 4, 6, 1):
        sqlite.topics.acknowledge_nowait(topic, ann.device, offset)
    assert await acks() == []
    await kit.say(ann, topic)
    assert await acks() == [(6,)]
    sqlite.topics.acknowledge_nowait(topic, ann.device, 2)
    sqlite.topics.acknowledge_nowait(topic, bob.device, 2)
    assert sqlite.statistics().commits == commits + 1
    sqlite.topics.acknowledge_nowait(key("nowhere"), bob.device, 2)
    while sqlite.statistics().commits == commits + 1:
        await trio.lowlevel.checkpoint()
    assert await acks() == [(2,), (6,)]


async def test_a_writer_that_crashes_ends_the_store(folder: Path) -> None:
    """A bug must not leave a relay that accepts and never answers."""
    with pytest.RaisesGroup(pytest.RaisesExc(ZeroDivisionError)):
        async with open_store(folder, clock_ms=Clock()) as store:
            await store.engine.write(lambda connection, now_ms: now_ms // 0)


def test_statistics_of_an_engine_that_did_nothing(folder: Path) -> None:
    async def main() -> None:
        engine = Engine(folder / FILE, clock_ms=Clock(), spacing_ms=0, page_count_max=None, queue_max=1)
        figures = engine.statistics()
        assert (figures.commits, figures.commit_ms_p50, figures.commit_ms_p99) == (0, 0.0, 0.0)
        assert figures.bytes > 0
        engine.stop_nowait()
        engine.stop_nowait()
        engine.run_writer()
        engine.dispose()

    trio.run(main)


def test_a_file_that_is_no_database_is_not_prepared(tmp_path: Path) -> None:
    file = tmp_path / "rubbish.db"
    file.write_bytes(b"rubbish " * 1000)
    with pytest.raises(StoreUnusable, match="not a database"), preparing(file):
        pass
    with pytest.raises(DBAPIError), preparing(tmp_path / "new.db") as connection:
        connection.exec_driver_sql("SELECT nothing FROM nowhere")
    with preparing(tmp_path / "new.db") as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one() == 0
