"""Reads of logs in SQLite: holes, pages, states."""

from __future__ import annotations

import pytest
import trio

from protocol.errors import Code, Reason
from protocol.frames import Create, Flag, GapReason, Role
from protocol.ids import TopicKind, feed_topic
from protocol.limits import RESERVE_MS
from storage import bounds
from storage.base import Entry, Freed, Hole
from tests.contracts.kit import Kit, Person, key, refused, stored


async def erase(kit: Kit, topic: bytes, by: Person, *offsets: int) -> None:
    for offset in offsets:
        stored(await kit.post(by, topic, Flag.ERASE, erases=offset, body=b""))


async def test_holes_are_told_whole_wherever_a_page_begins_or_ends(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    for n in range(10):
        await kit.say(ann, topic, b"%d" % n)
    hashes = {item.offset: item.hash for item in await kit.log(topic) if isinstance(item, Entry)}
    await erase(kit, topic, ann, 3, 4, 5, 6, 9)
    read = kit.store.topics.read
    hole, other = Hole(3, 6, GapReason.RETENTION, hashes[6]), Hole(9, 9, GapReason.RETENTION, hashes[9])
    page = await read(topic, 2, 1, 1)
    assert (page.items, page.head) == ((hole,), 16)
    assert (await read(topic, 4, 1, 1)).items == (Hole(5, 6, GapReason.RETENTION, hashes[6]),)
    items = (await read(topic, 1, 6, 1000)).items
    assert [item if isinstance(item, Hole) else item.offset for item in items] == [2, hole, 7, 8, other, 10]
    assert (await read(topic, 16, 6, 1000)).items == ()


async def test_a_hole_up_to_the_head(kit: Kit) -> None:
    ann = await kit.person("ann")
    feed = feed_topic(ann.account)
    stored(await kit.post(ann, feed, Flag.PUBLIC, None, create=Create(TopicKind.FEED)))
    kit.clock.pass_ms(1)
    assert await kit.store.topics.retain(kit.clock.now_ms, kit.clock.now_ms) == Freed(1, 6, 0, 0)
    assert await kit.bodies(feed) == [(1, 1)]
    state = await kit.store.topics.state(feed, key("anybody"))
    assert state is not None
    assert (state.floor, state.role) == (1, Role.READER)


async def test_a_read_of_more_rows_than_are_fetched_at_once(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "READ_ROWS", 4)
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    for n in range(11):
        await kit.say(ann, topic, b"%d" % n)
    await erase(kit, topic, ann, 4, 5)
    page = await kit.store.topics.read(topic, 0, 100, 100_000)
    assert [item.last if isinstance(item, Hole) else item.offset for item in page.items] == [1, 2, 3, 5, *range(6, 15)]
    assert len((await kit.store.topics.read(topic, 0, 7, 100_000)).items) == 7
    with pytest.raises(LookupError):
        await kit.store.topics.read(key("nowhere"), 0, 1, 1)


async def test_states_and_members(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.group(ann, {bob: Role.READER})
    one, none = await kit.store.topics.states([topic, key("nowhere")], bob.account)
    assert one is not None
    assert (one.kind, one.role, one.since, one.head, none) == (TopicKind.GROUP, Role.READER, 0, 1, None)
    assert await kit.store.topics.state(topic, key("nobody")) is None
    assert sorted(await kit.store.topics.members(topic)) == sorted([(ann.account, 4, 0), (bob.account, 1, 0)])


async def test_of_two_reservations_at_once_one_holds(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    answers: list[object] = []

    async def reserve(person: Person) -> None:
        answers.append(await kit.store.topics.reserve(topic, person.account, person.device))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reserve, ann)
        nursery.start_soon(reserve, bob)
    assert sorted(answer for answer in answers if isinstance(answer, int)) == [kit.clock.now_ms + RESERVE_MS]
    refused(next(answer for answer in answers if not isinstance(answer, int)), Code.CONFLICT, Reason.SPACING)
    refused(await kit.store.topics.reserve(key("nowhere"), ann.account, ann.device), Code.NOT_FOUND)
    refused(await kit.store.topics.reserve(topic, ann.account, key("unknown")), Code.NOT_FOUND)


async def test_append_nowait_answers_later(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    outcomes: list[object] = []
    kit.store.topics.append_nowait(kit.intent(ann, topic), outcomes.append)
    assert outcomes == []
    kit.store.topics.acknowledge_nowait(topic, ann.device, 1)
    assert (await kit.say(bob, topic)).offset == 3
    assert len(outcomes) == 1
