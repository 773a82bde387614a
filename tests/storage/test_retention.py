"""Retention in SQLite, in one step and in many small ones."""

from __future__ import annotations

import pytest

from protocol.frames import GapReason, Role
from protocol.limits import BLOB_UNLINKED_MS, DEVICE_UNSEEN_MS_MAX
from storage import bounds
from storage.base import Entry, Freed, Hole
from storage.facts import FORGET_MS
from storage.sqlite import SqliteStore
from tests.contracts.kit import DAY_MS, Kit


@pytest.fixture(autouse=True, params=[2000, 3])
def _steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one transaction, or in steps so short that every loop goes round."""
    monkeypatch.setattr(bounds, "RETAIN_ROWS", request.param)
    monkeypatch.setattr(bounds, "RETAIN_BLOBS", 2)


async def rows(sqlite: SqliteStore, topic: bytes) -> list[int]:
    """Offsets that have a row."""
    query = "SELECT offset FROM entries WHERE topic = (SELECT n FROM topics WHERE topic = ?) ORDER BY offset"
    return await sqlite.engine.read(lambda c: [row[0] for row in c.exec_driver_sql(query, (topic,))])


async def test_a_long_log_in_steps(sqlite: SqliteStore, kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    size = 0
    for n in range(11):
        size += len((await kit.say(ann, topic, b"%d" % n)).entries[0].body)
    kit.clock.pass_ms(DAY_MS)
    await kit.say(bob, topic, b"young")
    hashes = {item.offset: item.hash for item in await kit.log(topic) if isinstance(item, Entry)}
    now_ms = kit.clock.now_ms
    assert await sqlite.topics.retain(now_ms, now_ms) == Freed(11, size, 0, 0)
    assert await sqlite.topics.retain(now_ms, now_ms) == Freed(0, 0, 0, 0)
    assert (await kit.log(topic))[1] == Hole(2, 12, GapReason.RETENTION, hashes[12])
    assert await rows(sqlite, topic) == list(range(1, 14))
    kit.clock.pass_ms(FORGET_MS - DAY_MS + 1)
    await sqlite.topics.retain(0, kit.clock.now_ms)
    assert await rows(sqlite, topic) == [1, 12, 13]
    assert (await kit.log(topic))[1] == Hole(2, 12, GapReason.RETENTION, hashes[12])
    for person in (ann, bob):
        sqlite.topics.acknowledge_nowait(topic, person.device, 13)
        await sqlite.accounts.login(person.account, person.device)
    kit.clock.pass_ms(DAY_MS)
    await sqlite.topics.retain(kit.clock.now_ms, kit.clock.now_ms)
    assert await rows(sqlite, topic) == [13]
    assert await kit.log(topic) == [Hole(1, 13, GapReason.RETENTION, hashes[13])]
    state = await sqlite.topics.state(topic, ann.account)
    assert state is not None
    assert state.floor == 13


async def test_many_entries_past_their_ttl(sqlite: SqliteStore, kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    for n in range(7):
        await kit.say(ann, topic, b"x", ttl=10 + n)
    kit.clock.pass_ms(15)
    assert (await sqlite.topics.retain(0, kit.clock.now_ms)).entries == 6
    assert (await kit.bodies(topic))[1:] == [(2, 7), b"x"]


async def test_what_is_needed_stays_and_what_is_between_goes(sqlite: SqliteStore, kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.group(ann, {bob: Role.MEMBER})
    for n in range(3):
        await kit.commit(ann, topic, body=b"commit %d" % n)
        await kit.say(bob, topic)
    kit.clock.pass_ms(DAY_MS)
    sqlite.topics.acknowledge_nowait(topic, ann.device, 7)
    sqlite.topics.acknowledge_nowait(topic, bob.device, 2)
    await sqlite.topics.retain(kit.clock.now_ms, kit.clock.now_ms)
    assert await kit.bodies(topic) == [(1, 3), b"commit 1", (5, 5), b"commit 2", (7, 7)]
    kit.clock.pass_ms(DEVICE_UNSEEN_MS_MAX)
    await sqlite.topics.retain(kit.clock.now_ms, kit.clock.now_ms)  # nobody was seen for so long
    assert await kit.bodies(topic) == [(1, 7)]


async def test_blobs_in_steps(sqlite: SqliteStore, kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    held = [await kit.blob(b"held %d" % n) for n in range(5)]
    for n in range(5):
        await kit.blob(b"loose %d" % n)
    await kit.say(ann, topic, blobs=tuple(held))
    await kit.say(ann, topic, blobs=(held[0],))
    await kit.store.topics.reserve(topic, ann.account, ann.device)
    kit.clock.pass_ms(BLOB_UNLINKED_MS + 1)
    assert await sqlite.topics.retain(0, kit.clock.now_ms) == Freed(0, 0, 5, 5 * 7)
    assert await sqlite.topics.retain(kit.clock.now_ms, kit.clock.now_ms) == Freed(2, 12, 5, 5 * 6)
    assert await sqlite.blobs.get(held[0]) is None
    count = "SELECT (SELECT count(*) FROM blob_refs) + (SELECT count(*) FROM reservations)"
    assert await sqlite.engine.read(lambda c: c.exec_driver_sql(count).scalar()) == 0


async def test_room_that_is_freed_is_used_again(sqlite: SqliteStore, kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)

    async def pages() -> tuple[int, int]:
        names = ("page_count", "freelist_count")
        count, free = await sqlite.engine.read(lambda c: [c.exec_driver_sql(f"PRAGMA {n}").scalar_one() for n in names])
        return count, free

    for _ in range(20):
        await kit.say(ann, topic, bytes(20_000))
    before, _ = await pages()
    kit.clock.pass_ms(1)
    await sqlite.topics.retain(kit.clock.now_ms, kit.clock.now_ms)
    count, free = await pages()
    assert count == before
    assert free >= 20 * 4
    for _ in range(15):
        await kit.say(ann, topic, bytes(20_000))
    assert (await pages())[0] == before
