"""Opening, locking, filling, killing and closing the store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from protocol.errors import Code, Reason
from storage.base import Appended, Entry, Login, Refused, StoreAway, StoreUnusable
from storage.sqlite import FILE, LOCK, SqliteStore, locked, open_store, prepare, unix_ms
from tests.contracts.kit import Clock, Kit, empty_database, key, refused, stored

ROOT = Path(__file__).parents[2]


async def test_what_was_stored_is_there_after_opening_again(tmp_path: Path) -> None:
    clock = Clock()
    async with open_store(tmp_path, clock_ms=clock) as store:
        kit = Kit(store, clock)
        ann, bob = await kit.people("ann", "bob")
        topic = await kit.pair(ann, bob)
        intent = kit.intent(ann, topic, body=b"kept", blobs=(await kit.blob(b"blob"),))
        stored(await store.topics.append(intent))
        await store.key_packages.put(ann.account, ann.device, [b"p"], None)
        assert await store.accounts.claim_handle(ann.account, "ann") is None
        await store.accounts.login(ann.account, ann.device)
        store.topics.acknowledge_nowait(topic, ann.device, 2)
        store.topics.acknowledge_nowait(topic, bob.device, 2)
        before = await kit.log(topic)
    async with open_store(tmp_path, clock_ms=clock) as store:
        kit.store = store
        assert await kit.log(topic) == before
        refused(await store.topics.append(intent), Code.CONFLICT, Reason.SUPERSEDED)
        assert stored(await store.topics.append(replace(intent, login=1))).duplicate
        assert await store.accounts.resolve_handle("ann") == ann.account
        assert await store.accounts.login(ann.account, ann.device) == Login(2, 1)
        assert await store.blobs.get(key("blob")) == b"blob"
        clock.pass_ms(1)
        assert (await store.topics.retain(clock.now_ms, clock.now_ms)).entries == 2  # acks were kept at the end


async def test_one_process_at_a_time(tmp_path: Path) -> None:
    async with open_store(tmp_path):
        with pytest.raises(StoreUnusable, match=f"in use by another process \\(id {os.getpid()}\\)"):
            async with open_store(tmp_path):
                pass
    async with open_store(tmp_path) as store:
        assert isinstance(store, SqliteStore)


def test_the_lock_goes_with_its_holder(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from storage.sqlite import locked
with locked(Path({str(tmp_path)!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreUnusable, match=f"id {holder.pid}"), locked(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with locked(tmp_path):
            assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"a letter to my grandmother" * 100)
    with pytest.raises(StoreUnusable, match="is not a database"):
        async with open_store(tmp_path):
            pass


def test_a_directory_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(Exception, match="unable to open database file"):
        prepare(tmp_path / FILE)


async def test_a_full_store_says_so_and_works_again_when_there_is_room(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / FILE).write_bytes(empty_database())
    pages = len(empty_database()) // 4096
    async with open_store(tmp_path, clock_ms=clock, page_count_max=pages + 60) as store:
        kit = Kit(store, clock)
        ann, bob = await kit.people("ann", "bob")
        topic = await kit.pair(ann, bob)
        outcome: object = None
        count = 0
        while not isinstance(outcome, Refused):
            intent = kit.intent(ann, topic, body=bytes(16_000))
            outcome = await store.topics.append(intent)
            count += isinstance(outcome, Appended)
        refusal = refused(outcome, Code.STORE_AWAY)
        assert refusal.retry_ms
        assert "same id" in refusal.text
        assert count > 5
        refused(await store.topics.append(intent), Code.STORE_AWAY)
        with pytest.raises(StoreAway):
            await kit.blob(bytes(60_000))
        assert sum(isinstance(item, Entry) for item in await kit.log(topic)) == 1 + count  # reads go on
        clock.pass_ms(1)
        freed = await store.topics.retain(clock.now_ms, clock.now_ms)
        assert (freed.entries, freed.bytes) == (count, 16_000 * count)
        assert stored(await store.topics.append(intent)).offset == count + 2
        assert (await kit.bodies(topic))[1:] == [(2, count + 1), bytes(16_000)]


WRITER = """
import sys, trio
from pathlib import Path
from storage.sqlite import open_store
from tests.contracts.kit import Clock, Kit, key

async def main():
    clock = Clock()
    async with open_store(Path(sys.argv[1]), clock_ms=clock) as store:
        kit = Kit(store, clock)
        ann, bob = await kit.people("ann", "bob")
        topic = await kit.pair(ann, bob)
        def tell(n):
            def done(outcome):
                print(outcome.offset, n, flush=True)
            return done
        for n in range(100_000):
            while store.statistics().queued > 50:
                await trio.sleep(0.001)
            store.topics.append_nowait(kit.intent(ann, topic, body=b"%d" % n), tell(n))

trio.run(main)
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(empty_database())
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(300)]
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()
    pairs = [line.split() for line in lines if line.endswith(b"\n")]
    told = {int(offset): int(n) for offset, n in pairs}
    trio.run(check_all_there, tmp_path, told)


async def check_all_there(path: Path, told: dict[int, int]) -> None:
    """``told``: offset → number of the message, as the writer was told before it was killed."""
    clock = Clock()
    async with open_store(path, clock_ms=clock) as store:
        kit = Kit(store, clock)
        (topic,) = await topics(store)
        page = await store.topics.read(topic, 0, 100_000, 1 << 30)
        bodies = {item.offset: item.body for item in page.items if isinstance(item, Entry)}
        assert len(bodies) == page.head >= len(told) >= 300
        assert all(bodies[offset] == b"%d" % n for offset, n in told.items())
        await kit.log(topic, page.head - 20)


async def topics(store: SqliteStore) -> list[bytes]:
    """Conversations in the store."""
    query = "SELECT topic FROM topics WHERE kind = 2"
    return await store.engine.read(lambda connection: [row[0] for row in connection.exec_driver_sql(query)])


async def test_leaving_commits_what_was_queued(tmp_path: Path) -> None:
    clock = Clock()
    outcomes: list[object] = []
    async with open_store(tmp_path, clock_ms=clock) as store:
        kit = Kit(store, clock)
        ann, bob = await kit.people("ann", "bob")
        topic = await kit.pair(ann, bob)
        for _ in range(30):
            store.topics.append_nowait(kit.intent(ann, topic), outcomes.append)
        assert store.statistics().queued == 30
    assert [stored(outcome).offset for outcome in outcomes] == list(range(2, 32))
    with pytest.raises(StoreAway, match="closed"):
        store.topics.append_nowait(kit.intent(ann, topic), outcomes.append)
    with pytest.raises(StoreAway, match="closed"):
        await store.topics.members(topic)


async def test_leaving_by_cancellation_commits_what_was_queued(tmp_path: Path) -> None:
    clock = Clock()
    outcomes: list[object] = []
    with trio.CancelScope() as scope:
        async with open_store(tmp_path, clock_ms=clock) as store:
            kit = Kit(store, clock)
            ann, bob = await kit.people("ann", "bob")
            topic = await kit.pair(ann, bob)
            store.topics.append_nowait(kit.intent(ann, topic), outcomes.append)
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert stored(outcomes[0]).offset == 2


def test_the_clock_is_unix_time() -> None:
    assert 1_700_000_000_000 < unix_ms() < 10**13
