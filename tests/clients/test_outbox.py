"""What leaves a client: what becomes of each row, and that none is given up before its fate is known."""

from __future__ import annotations

import msgspec
import pytest
import trio
from trio.testing import MockClock

from clients import records as R
from clients.events import Delivered, Failed, Removed, Stored
from clients.groups import NEXT
from clients.outbox import _without_create
from clients.records import Status, Work
from protocol.codec import decode_struct, encode_struct
from protocol.errors import Code, Reason
from protocol.feeds import FeedError
from protocol.frames import AnyFrame, Bundle, Closed, Create, Err, ErrDetail, Flag, Msg, Ok, Role
from protocol.ids import TopicKind, pair_topic
from protocol.limits import COMMIT_SPACING_MS
from tests.support.clients import (
    SPOKEN,
    agree,
    events_of,
    group_of,
    honest,
    loses,
    open_world,
    pubs,
    refuse,
    say,
    talk_of,
    texts,
)  # fmt: skip
from tests.support.relay_model import Wire

AWAY = Err(0, Code.STORE_AWAY, "the store is away", 3000)
FORBIDDEN = Err(0, Code.FORBIDDEN, "no")


def conflict(reason: Reason, *, offset: int = 0, fence: int = 0) -> Err:
    return Err(0, Code.CONFLICT, reason.name, None, ErrDetail(reason, 1, offset, 1, fence))


# -- the fence ---------------------------------------------------------------------------------------------------------
async def test_an_attempt_that_landed_after_all(autojump_clock: MockClock) -> None:
    """The relay says stale, and has stored it: the second attempt is in conflict, and the echo is the first."""
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")

        def lie(wire: Wire, frame: AnyFrame) -> tuple[AnyFrame, ...]:
            if wire.owner == "anna" and isinstance(frame, Ok):
                return (msgspec.structs.replace(conflict(Reason.STALE_FENCE, fence=1), rid=frame.rid),)
            if wire.owner == "anna" and isinstance(frame, Msg):
                world.cut("anna")
                world.relay.tamper = honest
                return ()
            return (frame,)

        world.relay.tamper = lie
        await say(talk, "hello")
        await world.settle(5)
        assert texts(ben, talk.topic) == texts(anna, talk.topic) == ["hello"]
        assert not anna.engine.shelf.outgoing
        assert len(events_of(anna, Stored)) == 1


@pytest.mark.parametrize("beyond", [False, True])
async def test_an_id_in_conflict(beyond: bool, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        offset = talk.record.cursor + (1 if beyond else 0)
        world.relay.judge = refuse("anna", conflict(Reason.ID_CONFLICT, offset=offset))
        await say(talk, "hello", "again")
        await world.settle()
        assert texts(ben, talk.topic) == ["again"]
        if beyond:  # the log will show what is stored there
            assert events_of(anna, Failed) == []
            assert len(anna.engine.shelf.outgoing) == 1
        else:  # it was read, and was not ours
            assert [event.code for event in events_of(anna, Failed)] == [Code.CONFLICT]
            assert not anna.engine.shelf.outgoing


# -- commits -----------------------------------------------------------------------------------------------------------
async def test_messages_wait_for_the_echo_of_a_commit(autojump_clock: MockClock) -> None:
    async with open_world(spacing_ms=COMMIT_SPACING_MS) as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        await talk.rotate()  # too soon after the founding: the relay names the time
        ids = await say(talk, *SPOKEN)
        await world.settle(2)
        assert texts(ben, talk.topic) == []
        lane, rows = anna.engine.outbox.lane(talk.topic), anna.engine.outbox.lane(talk.topic).rows
        lane.clear()
        anna.engine.outbox.load(reversed(rows))  # as after a restart
        await world.settle(10)
        assert texts(ben, talk.topic) == SPOKEN
        assert {pub.epoch for pub in pubs(world, "anna", ids)} == {(1, 2)}
        assert agree(talk.topic, anna, ben)


async def test_a_commit_that_is_refused_for_good(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        world.relay.judge = refuse("anna", Err(0, Code.TOO_LARGE, "too many devices"))
        commit_id = await talk.rotate()
        await say(talk, "hello")
        await world.settle()
        assert [(event.id, event.code) for event in events_of(anna, Failed)] == [(commit_id, Code.TOO_LARGE)]
        assert anna.engine.shelf.groups.get(talk.topic, NEXT) is None
        assert texts(ben, talk.topic) == ["hello"]


async def test_a_commit_that_cannot_be_made(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        commit_id = await talk.remove([anna.account])
        await say(talk, "still here")
        await world.settle()
        assert [(event.id, event.code) for event in events_of(anna, Failed)] == [(commit_id, Code.FRAME)]
        assert texts(ben, talk.topic) == ["still here"]


async def test_a_founding_that_fails_can_be_tried_again(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        world.relay.judge = refuse("anna", Err(0, Code.QUOTA, "the inbox is full"))
        talk = await anna.pair(ben.account)
        await say(talk, "hello")
        await world.settle()
        assert talk.status is Status.REMOVED
        assert sorted(event.code for event in events_of(anna, Failed)) == [Code.QUOTA, Code.QUOTA]
        assert not anna.engine.shelf.outgoing
        again = await anna.pair(ben.account)
        await say(again, "hello again")
        await world.settle()
        assert texts(ben, talk.topic) == ["hello again"]
        assert agree(talk.topic, anna, ben)


async def test_a_founding_whose_ok_came_before_the_crash(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        world.relay.tamper = lambda wire, frame: () if isinstance(frame, Msg) else (frame,)
        talk = await anna.pair(ben.account)
        await say(talk, "hello")
        await world.settle()
        assert talk.status is Status.FOUNDING
        await world.crash("anna")
        world.relay.tamper = honest
        anna = await world.start("anna")
        world.cut("ben")
        await world.settle(5)
        assert agree(talk.topic, anna, ben)
        assert texts(ben, talk.topic) == ["hello"]


async def test_two_who_found_the_same_at_once_meet_in_it(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(anna.pair, ben.account)
            nursery.start_soon(ben.pair, anna.account)
        topic = pair_topic(anna.account, ben.account)
        for who, client in (("anna", anna), ("ben", ben)):
            await say(client.conversation(topic), f"{who} is here")
        await world.settle(5)
        assert agree(topic, anna, ben)
        for client in (anna, ben):
            assert sorted(texts(client, topic)) == ["anna is here", "ben is here"]
            assert not client.engine.shelf.outgoing
            assert events_of(client, Failed) == []


async def test_who_lost_the_founding_waits_for_the_welcome(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        world.relay.judge = refuse("anna", conflict(Reason.EXISTS, fence=1))
        talk = await anna.pair(ben.account)
        ids = await say(talk, "not before we are in")
        await world.settle(5)
        assert talk.status is Status.WAITING
        assert talk.members[ben.account] == Role.OWNER
        assert pubs(world, "anna", ids) == []
        (row,) = anna.engine.shelf.outgoing.values()
        assert (row.id, row.body) == (ids[0], None)


async def test_a_change_that_somebody_else_has_made_is_dropped(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        here = talk_of(ben, talk)
        world.reachable = False
        world.cut("ben")
        await here.remove([cleo.account])
        await talk.remove([cleo.account])
        await world.settle(5)
        world.reachable = True
        await world.settle(30)
        assert agree(talk.topic, anna, ben)
        assert set(talk.members) == {anna.account, ben.account}
        assert not ben.engine.shelf.outgoing
        assert ben.engine.shelf.groups.get(talk.topic, NEXT) is None
        assert events_of(ben, Failed) == []


# -- our own feed ------------------------------------------------------------------------------------------------------
async def test_an_entry_of_our_feed_is_done_with_its_ok(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        message_id = await anna.feed.post("the tide is at four")
        await world.settle()
        entry = await anna.feed.stored(message_id)
        assert (entry.offset, entry.text) == (1, "the tide is at four")
        assert not anna.engine.shelf.outgoing
        await world.crash("anna")
        anna = await world.start("anna")  # does not know that its feed has begun
        again = await anna.feed.post("and at ten")
        await world.settle()
        assert (await anna.feed.stored(again)).offset == 2
        first, second = pubs(world, "anna", [again])
        assert first.bundle is not None
        assert second.bundle is None
        assert first.body == second.body


async def test_an_entry_that_is_refused_for_good(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        world.relay.judge = refuse("anna", FORBIDDEN)
        message_id = await anna.feed.post("too much")
        await world.settle()
        with pytest.raises(FeedError, match=r"refused it \(403\): no"):
            await anna.feed.stored(message_id)
        assert not anna.engine.shelf.outgoing
        assert events_of(anna, Failed) == []


def test_files_of_an_entry_go_with_it_into_a_feed_that_has_begun() -> None:
    whole = encode_struct(Bundle(Create(TopicKind.FEED), blobs=(b"h" * 32,)))
    assert decode_struct(_without_create(whole) or b"", Bundle) == Bundle(blobs=(b"h" * 32,))
    assert _without_create(encode_struct(Bundle(Create(TopicKind.FEED)))) is None
    assert _without_create(None) is None


# -- when we are out ---------------------------------------------------------------------------------------------------
async def test_what_was_stored_before_we_were_put_out_did_not_fail(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        here = talk_of(cleo, talk)
        world.relay.tamper = loses("cleo", Ok, Msg)
        stored = await say(here, "this one is stored, and cleo does not know")
        await world.settle()
        world.cut("cleo")
        world.reachable = False
        world.relay.tamper = honest
        unsealed = await say(here, "this one is not even sealed")
        await talk.remove([cleo.account])
        await world.settle()
        world.reachable = True
        await world.settle(10)
        assert here.status is Status.REMOVED
        assert [event.by for event in events_of(cleo, Removed)] == [b""]
        assert [event.id for event in events_of(cleo, Stored)] == stored
        assert [event.id for event in events_of(cleo, Failed)] == unsealed
        assert texts(ben, talk.topic) == ["this one is stored, and cleo does not know"]
        assert not cleo.engine.shelf.outgoing


async def test_what_waits_when_we_are_put_out_fails(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, _, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        here = talk_of(cleo, talk)
        world.relay.judge = refuse("cleo", AWAY)
        ids = await say(here, *SPOKEN)
        await talk.remove([cleo.account])
        await world.settle(10)
        assert {event.id for event in events_of(cleo, Failed)} == set(ids)
        assert texts(anna, talk.topic) == []
        assert not cleo.engine.shelf.outgoing


async def test_a_row_that_comes_after_the_end(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, _, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        await talk.remove([cleo.account])
        await world.settle()
        message_id = cleo.engine.say(talk_of(cleo, talk).record, b"content")
        await world.settle()
        assert [event.id for event in events_of(cleo, Failed)] == [message_id]


@pytest.mark.parametrize("known", [False, True])
async def test_a_leave_is_sent_until_it_is_stored(known: bool, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        here = talk_of(cleo, talk)

        world.relay.tamper = loses("cleo", Msg, Closed) if known else loses("cleo", Msg, Ok, Closed)
        await here.leave()
        await say(here, "too late")
        await world.settle()
        assert here.in_group()
        world.relay.tamper = honest
        world.cut("cleo")
        await world.settle(10)
        assert here.status is Status.LEFT
        assert agree(talk.topic, anna, ben)
        assert len(events_of(cleo, Failed)) == 1
        assert not cleo.engine.shelf.outgoing


# -- echoes ------------------------------------------------------------------------------------------------------------
async def test_an_echo_that_retention_has_eaten(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, _), talk = await group_of(world, "anna", "ben")
        world.relay.tamper = loses("anna", Ok, Msg)
        await say(talk, "lost", "stored and lost")
        await world.settle()
        assert len(anna.engine.shelf.outgoing) == 2
        await world.relay.store.topics.retain(world.clock_ms() + 1, world.clock_ms())
        world.relay.tamper = honest
        world.cut("anna")
        await world.settle(5)
        assert not anna.engine.shelf.outgoing
        assert len(events_of(anna, Stored)) == 2
        assert texts(anna, talk.topic) == []


async def test_an_answer_without_an_echo_waits_for_the_gap(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, _), talk = await group_of(world, "anna", "ben")
        world.relay.tamper = loses("anna", Msg)
        await say(talk, "stored")
        await world.settle()
        (row,) = anna.engine.shelf.outgoing.values()
        assert row.stored_offset is not None
        await world.relay.store.topics.retain(world.clock_ms() + 1, world.clock_ms())
        world.relay.tamper = honest
        world.cut("anna")
        await world.settle(5)
        assert not anna.engine.shelf.outgoing


async def test_an_own_commit_behind_a_gap_locks(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, _), talk = await group_of(world, "anna", "ben")
        lane, record = anna.engine.outbox.lane(talk.topic), talk.record
        row = R.Outgoing(77, talk.topic, anna.engine.shelf.new_id(), Work.COMMIT, int(Flag.COMMIT), plan=R.Plan())
        lane.add(row)
        anna.engine.outbox._stored(lane, row, record.cursor)
        assert record.status is Status.LOCKED
        assert lane.rows == []


async def test_what_a_restored_relay_has_lost_is_said_again(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        world.relay.tamper = loses("anna", Msg)
        ids = await say(talk, "kept", "lost")
        await world.settle()
        kept, lost = (row.stored_offset or 0 for row in anna.engine.shelf.outgoing.values())
        assert 0 < kept < lost
        world.relay.tamper = honest
        anna.engine.outbox.restored(talk.topic, kept)
        await world.settle()
        assert [pub.id for pub in pubs(world, "anna", ids)] == [*ids, ids[1]]
        assert texts(ben, talk.topic) == ["kept", "lost"]  # the relay had it after all


async def test_only_our_own_bytes_are_an_echo(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        world.relay.judge = refuse("anna", AWAY)
        (message_id,) = await say(talk, "hello")
        await world.settle(0.5)
        echo, own = anna.engine.outbox.echo, anna.engine.shelf.device.public
        (row,) = anna.engine.shelf.outgoing.values()
        assert row.body is not None
        assert not row.quiet
        good = Msg(1, 2, message_id, anna.account, own, 0, 0, 1, 0, b"", row.body)
        for change in (
            {"body": b"others"}, {"fence": 2}, {"id": bytes(16)}, {"device": ben.engine.shelf.device.public}
        ):  # fmt: skip
            assert echo(msgspec.structs.replace(good, **change), talk.topic) is None
        assert echo(good, bytes(32)) is None
        assert echo(good, talk.topic) is row
        await anna.engine.shelf.journal.flushed()
        assert [event.id for event in events_of(anna, Stored)] == [message_id]
        assert events_of(anna, Delivered) == []
