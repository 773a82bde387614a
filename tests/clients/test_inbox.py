"""The inbox: Welcomes and boxes are kept until they are dealt with, and nothing in it is believed unasked."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from trio.testing import MockClock

from clients import records as R
from clients.client import Client
from clients.conversations import Conversation
from clients.events import Joined, KeyChanged, Locked, Unreadable
from clients.records import Status, Work
from clients.sealing import seal_box
from protocol.codec import encode_struct
from protocol.errors import Code
from protocol.frames import Flag, Gap, GapReason, Msg, Pub, WelcomeHeader
from protocol.identity import SigningKey
from protocol.ids import inbox_topic
from protocol.messages import Body, compose
from protocol.messages.key import Contact, Failed, Readmit
from storage.base import Refused
from tests.clients.rogues import STRANGER, cannot_open, welcome
from tests.support.clients import World, agree, entropy_of, events_of, group_of, honest, open_world, say, talk_of, texts

KEY = bytes(range(32))
GONE = Refused(Code.NOT_FOUND, "no such blob")
AWAY = Refused(Code.STORE_AWAY, "the store is away", retry_ms=500)


def box(world: World, by: Client, to: Client, content: Body | bytes, **changes: Any) -> tuple[bytes, bytes]:
    """(message id, body) of a box."""
    message_id = by.engine.shelf.new_id()
    values: dict[str, Any] = {
        "recipient": to.engine.shelf.device.public, "inbox_key": to.engine.shelf.identity.inbox_public,
        "message_id": message_id, "account": by.account, "sender": by.engine.shelf.device,
        "entropy": entropy_of("box"), **changes,
    }  # fmt: skip
    return message_id, seal_box(content if isinstance(content, bytes) else compose(content), **values)


async def post(world: World, by: Client, to: Client, content: Body | bytes, **changes: Any) -> None:
    """Put a box into somebody's inbox."""
    message_id, body = box(world, by, to, content, **changes)
    assert by.engine.link is not None
    await by.engine.link.call(Pub(0, inbox_topic(to.account), message_id, None, int(Flag.SEALED), body=body))
    await world.settle()


def next_entry(client: Client, *, flags: int, body: bytes, header: bytes = b"", by: bytes = KEY) -> Msg:
    return Msg(1, client.engine.shelf.inbox.cursor + 1, bytes(16), by, KEY, 0, flags, 0, 0, header, body)


# -- entries -----------------------------------------------------------------------------------------------------------
async def test_entries_in_order_and_once(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        inbox, cursor = anna.engine.inbox, anna.engine.shelf.inbox
        entry = next_entry(anna, flags=0, body=b"")
        before = cursor.chain
        assert inbox.entry(entry)
        after = (cursor.cursor, cursor.chain)
        assert after != (entry.offset - 1, before)
        assert inbox.entry(entry)
        assert not inbox.entry(msgspec.structs.replace(entry, offset=entry.offset + 5))
        assert (cursor.cursor, cursor.chain) == after
        inbox.gap(Gap(1, 1, 1, 1, GapReason.RETENTION, KEY))
        assert cursor.cursor == after[0]
        inbox.gap(Gap(1, 1, 1, 50, GapReason.RETENTION, KEY))
        assert (cursor.cursor, cursor.chain) == (50, KEY)


async def test_entries_that_are_not_understood_are_passed_over(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        engine = anna.engine
        assert engine.inbox.entry(next_entry(anna, flags=int(Flag.WELCOME), body=b"", header=b"\xc1"))
        assert engine.inbox.entry(next_entry(anna, flags=int(Flag.SEALED), body=b"no box"))
        assert engine.inbox.entry(next_entry(anna, flags=int(Flag.DEVICES), body=b"no list"))
        _, for_ben = box(world, ben, ben, Contact(token=bytes(16)))
        assert engine.inbox.entry(next_entry(anna, flags=int(Flag.SEALED), body=for_ben))
        message_id, body = box(world, ben, anna, Contact(token=bytes(16)))
        in_another_name = msgspec.structs.replace(next_entry(anna, flags=int(Flag.SEALED), body=body), id=message_id)
        assert engine.inbox.entry(in_another_name)
        assert not engine.shelf.welcomes
        assert not engine.shelf.boxes
        await engine.shelf.journal.flushed()
        assert len(events_of(anna, KeyChanged)) == 1


async def test_our_own_list_is_taken_over(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        mine, before = anna.engine.shelf.identity, anna.engine.shelf.identity.signed_list
        anna.engine.inbox.entry(
            next_entry(anna, flags=int(Flag.DEVICES), body=ben.engine.shelf.identity.signed_list)
        )  # fmt: skip
        assert mine.signed_list == before
        anna.engine.inbox.entry(next_entry(anna, flags=int(Flag.DEVICES), body=before))
        assert mine.signed_list == before


# -- Welcomes ----------------------------------------------------------------------------------------------------------
async def test_a_welcome_survives_a_crash(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        world.relay.answer["blobs.get"] = lambda wire, params: AWAY
        talk = await anna.pair(ben.account)
        await talk.send("hello")
        await world.settle()
        assert len(ben.engine.shelf.welcomes) == 1
        await world.crash("ben")
        del world.relay.answer["blobs.get"]
        ben = await world.start("ben")
        await world.settle()
        assert texts(ben, talk.topic) == ["hello"]
        assert not ben.engine.shelf.welcomes


async def test_a_tree_that_cannot_be_had_now_is_asked_for_again(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        answers = [AWAY, AWAY]
        truth = world.relay.store.blobs.get

        def sometimes(wire: Any, params: Any) -> Any:
            if answers:
                return answers.pop()
            del world.relay.answer["blobs.get"]
            return AWAY

        world.relay.answer["blobs.get"] = sometimes
        talk = await anna.pair(ben.account)
        await world.settle(5)
        assert agree(talk.topic, anna, ben)
        assert truth is not None


@pytest.mark.parametrize("lie", [GONE, b"another tree", 7])
async def test_a_welcome_without_its_tree_is_told(lie: Any, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        world.relay.answer["blobs.get"] = lambda wire, params: lie
        talk = await anna.pair(ben.account)
        await world.settle()
        (unreadable,) = events_of(ben, Unreadable)
        assert (unreadable.topic, unreadable.account) == (talk.topic, anna.account)
        assert unreadable.reason.startswith("an invitation: ")
        assert not ben.engine.shelf.welcomes
        assert talk.topic not in ben.conversations


async def test_who_waits_for_a_welcome_that_is_lost_asks_for_another(autojump_clock: MockClock) -> None:
    """Both found the pair; the Welcome of the one who won does not lead anywhere."""
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        talk = await anna.pair(ben.account)
        world.relay.answer["blobs.get"] = lambda wire, params: GONE
        here = await ben.pair(anna.account)
        await say(here, "hello")
        await world.settle()
        assert here.status is Status.WAITING
        del world.relay.answer["blobs.get"]
        await world.settle(70)
        assert agree(talk.topic, anna, ben)
        assert texts(anna, talk.topic) == ["hello"]


async def test_a_welcome_that_fails_while_we_wait_for_it(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        record = talk_of(ben, talk).record
        ben.engine.commits.wait(record)
        made, _ = welcome(world, anna, ben, topic=talk.topic, fence=9)
        ben.engine.inbox._hopeless(made, "of no use")
        assert record.status == Status.LOCKED
        await world.settle(5)
        assert agree(talk.topic, anna, ben)


async def test_a_welcome_for_nobody(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        made, _ = welcome(world, anna, ben, topic=KEY)
        header = encode_struct(WelcomeHeader(KEY, 1, 0, 1, 1))
        anna.engine.inbox.entry(next_entry(anna, flags=int(Flag.WELCOME), body=made.body, header=header))
        anna.engine.inbox.entry(next_entry(anna, flags=int(Flag.WELCOME), body=b"no Welcome", header=header))
        await world.settle()
        assert len(events_of(anna, Unreadable)) == 2


# -- boxes -------------------------------------------------------------------------------------------------------------
async def test_a_box_of_a_device_that_is_not_listed_does_nothing(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        wish = Readmit(topic=talk.topic, group=1, fence=9)
        before = talk.record.fence
        message_id, body = box(world, ben, anna, wish, sender=STRANGER)
        entry = next_entry(anna, flags=int(Flag.SEALED), body=body, by=ben.account)
        anna.engine.inbox.entry(msgspec.structs.replace(entry, id=message_id, device=STRANGER.public))
        await world.settle()
        assert not anna.engine.shelf.boxes
        assert talk.record.fence == before


async def test_boxes_without_meaning_are_dropped(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        (cleo,) = await world.people("cleo")
        await post(world, ben, anna, b"no content")
        await post(world, ben, anna, Contact(token=bytes(16)))
        await post(world, ben, anna, Readmit(topic=KEY, group=1, fence=9))
        await post(world, cleo, anna, Readmit(topic=talk.topic, group=1, fence=9))
        await post(world, cleo, anna, Failed(topic=talk.topic, id=bytes(16), offset=1))
        await post(world, ben, anna, Failed(topic=KEY, id=bytes(16), offset=1))
        await post(world, ben, anna, Failed(topic=talk.topic, id=bytes(16), offset=1))
        assert not anna.engine.shelf.boxes
        assert talk.record.fence == 1
        assert not anna.engine.shelf.outgoing
        assert texts(anna, talk.topic) == []


# -- re-admission ------------------------------------------------------------------------------------------------------
async def test_let_in_again_on_request(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        talk_of(ben, talk).record.status = Status.LOCKED
        await post(world, ben, anna, Readmit(topic=talk.topic, group=1, fence=1))
        assert agree(talk.topic, anna, ben)
        assert [event.again for event in events_of(ben, Joined)] == [False, True]
        fence = talk.record.fence
        await post(world, ben, anna, Readmit(topic=talk.topic, group=1, fence=1))
        assert talk.record.fence == fence  # done already


async def test_two_members_who_are_asked_do_it_once(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        with cannot_open(cleo, talk.topic):
            await talk.rotate()
            await world.settle(0.05)
        await world.settle(5)
        asked = [pub.topic for pub in world.heard("cleo", Pub) if pub.flags & Flag.SEALED]
        assert set(asked) == {inbox_topic(anna.account), inbox_topic(ben.account)}
        assert agree(talk.topic, anna, ben, cleo)
        assert talk.record.fence == 3
        assert len(events_of(cleo, Locked)) == 1


async def test_who_asks_is_asked_for_again_until_somebody_comes(autojump_clock: MockClock) -> None:
    """At once, then after 1, 4, 16, 16 minutes."""
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        world.relay.tamper = lambda wire, frame: () if wire.owner == "anna" and _is_box(frame) else (frame,)
        with cannot_open(ben, talk.topic):
            await talk.rotate()
            await world.settle(0.01)
        await world.crash("anna")
        world.relay.tamper = honest
        asked: list[float] = []
        begin = world.clock_ms()
        for minute in range(45):
            before = len([pub for pub in world.heard("ben", Pub) if pub.flags & Flag.SEALED])
            await world.settle(60)
            now = len([pub for pub in world.heard("ben", Pub) if pub.flags & Flag.SEALED])
            asked += [minute + 1.0] * (now - before)
        assert asked == [1, 5, 21, 37]
        assert world.clock_ms() > begin
        anna = await world.start("anna")
        await world.settle(5)
        assert agree(talk.topic, anna, ben)


@pytest.mark.parametrize(
    "answer", [[], Refused(Code.TOO_LARGE, "too many"), Refused(Code.RATE, "slow down", retry_ms=100)]
)
async def test_who_cannot_be_let_in_does_not_stop_the_inbox(answer: Any, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        world.relay.answer["keypackages.claim"] = lambda wire, params: answer
        talk_of(ben, talk).record.status = Status.LOCKED
        await post(world, ben, anna, Readmit(topic=talk.topic, group=1, fence=1))
        waits = isinstance(answer, Refused) and answer.retry_ms is not None
        assert len(anna.engine.shelf.boxes) == (1 if waits else 0)
        del world.relay.answer["keypackages.claim"]
        await world.settle(5)
        assert not anna.engine.shelf.boxes
        # Ben, who is locked, may ask by himself meanwhile and be let in once more.
        assert (talk.record.fence > 1) == waits


async def test_a_device_that_has_no_package_is_not_let_in(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        other = R.Addition(ben.account, KEY, b"of another device")

        async def claim(link: object, accounts: object, devices: object) -> tuple[R.Addition, ...]:
            return (other,)

        anna.engine.directory.claim = claim  # type: ignore[method-assign, assignment]
        await post(world, ben, anna, Readmit(topic=talk.topic, group=1, fence=1))
        assert talk.record.fence == 1


# -- saying again ------------------------------------------------------------------------------------------------------
async def failed(world: World, talk: Conversation, reporter: Client, message_id: bytes) -> None:
    await post(world, reporter, talk._client, Failed(topic=talk.topic, id=message_id, offset=1))  # type: ignore[arg-type]


async def test_said_again_once(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        (message_id,) = await say(talk, "hello")
        await world.settle()
        await failed(world, talk, ben, message_id)
        assert texts(cleo, talk.topic) == ["hello", "hello"]
        await world.crash("anna")
        await world.start("anna")
        await world.settle()
        anna = world.clients["anna"]
        await post(world, cleo, anna, Failed(topic=talk.topic, id=message_id, offset=1))
        assert texts(cleo, talk.topic) == ["hello", "hello"]


async def test_a_message_whose_echo_has_not_come_is_said_again_too(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        world.relay.tamper = lambda wire, frame: () if wire.owner == "anna" and _is_message(frame) else (frame,)
        (message_id,) = await say(talk, "hello")
        await world.settle()
        (row,) = anna.engine.shelf.outgoing.values()
        assert row.work == Work.MESSAGE
        await failed(world, talk, ben, message_id)
        assert texts(ben, talk.topic) == ["hello", "hello"]


def _is_box(frame: object) -> bool:
    return isinstance(frame, Msg) and bool(frame.flags & Flag.SEALED)


def _is_message(frame: object) -> bool:
    return isinstance(frame, Msg) and not frame.flags


async def test_keys_of_tests_are_no_real_ones() -> None:
    assert isinstance(STRANGER, SigningKey)


async def test_an_inbox_that_was_restored_goes_on_from_where_the_backup_ends(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        inbox, deals = anna.engine.shelf.inbox, anna.engine.inbox
        head, chain = inbox.cursor, inbox.chain
        deals.gap(Gap(0, 7, head + 1, head, GapReason.RESET, chain))
        assert (inbox.generation, inbox.cursor, inbox.chain) == (7, head, chain)
        deals.gap(Gap(0, 7, 1, 0, GapReason.RESET, bytes(32)))  # said again
        assert inbox.cursor == head
        deals.gap(Gap(0, 8, head, head - 1, GapReason.RESET, b"h" * 32))
        assert (inbox.generation, inbox.cursor, inbox.chain) == (8, head - 1, b"h" * 32)
