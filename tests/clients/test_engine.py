"""The parts wired together: subscriptions, receipts, requests for re-admission, frames of all kinds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from clients import records as R
from clients.client import Client
from clients.events import CaughtUp, Forked, Locked, Removed
from clients.records import Status, Work
from protocol.codec import encode_struct
from protocol.content import decode_content
from protocol.errors import Code
from protocol.frames import Ack, AnyFrame, Closed, Err, Evt, Flag, Live, Msg, Ok, Pub, Sub, SubResult
from protocol.ids import inbox_topic
from protocol.limits import SUBSCRIBE_TOPICS_MAX
from protocol.messages.key import Readmit
from protocol.messages.sys import Unsupported
from tests.support.clients import (
    World,
    agree,
    events_of,
    group_of,
    honest,
    open_world,
    say,
    talk_of,
    texts,
)  # fmt: skip
from tests.support.relay_model import Wire

KEY = bytes(range(32))


def subs(world: World, name: str) -> list[list[bytes]]:
    return [[part.topic for part in frame.topics or ()] for frame in world.heard(name, Sub)]


def answer_subs(world: World, name: str, *answers: Any) -> None:
    """Somebody's next SUBs are answered with an ERR, or with these results for conversations."""
    left = list(answers)

    def tamper(wire: Wire, frame: AnyFrame) -> tuple[AnyFrame, ...]:
        if wire.owner != name or not isinstance(frame, Ok) or not left or not _answers_sub(world, name, frame):
            return (frame,)
        lie = left.pop(0)
        if isinstance(lie, Err):
            wire.follows.clear()
            return (msgspec.structs.replace(lie, rid=frame.rid),)
        results = msgspec.msgpack.decode(frame.result, type=list[SubResult])
        changed = [results[0], *(lie for _ in results[1:])]
        return (Ok(frame.rid, msgspec.Raw(encode_struct(changed))),)

    world.relay.tamper = tamper


def _answers_sub(world: World, name: str, frame: Ok) -> bool:
    return any(sub.rid == frame.rid for sub in world.heard(name, Sub)[-1:])


def engine_of(client: Client) -> Any:
    return client.engine


# -- subscriptions -----------------------------------------------------------------------------------------------------
async def test_after_a_login_everything_is_followed_from_where_we_are(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        await say(talk, "one")
        await world.settle()
        world.cut("ben")
        await world.settle()
        last = world.heard("ben", Sub)[-1]
        starts = {part.topic: part.start for part in last.topics}
        record = talk_of(ben, talk).record
        assert starts[talk.topic] == (1, record.cursor)
        assert starts[ben.engine.shelf.inbox_topic] == (1, ben.engine.shelf.inbox.cursor)
        assert [part.topic for part in ben.engine.subscriptions()] == list(starts)


async def test_many_topics_are_followed_in_parts(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        shelf = anna.engine.shelf
        for n in range(SUBSCRIBE_TOPICS_MAX + 10):
            topic = n.to_bytes(32, "big")
            shelf.conversations[topic] = R.Conversation(topic, 1, Status.ACTIVE)
        for status in (Status.FOUNDING, Status.WAITING, Status.REMOVED, Status.LEFT):
            shelf.conversations[bytes([status]) * 32] = R.Conversation(bytes([status]) * 32, 1, status)
        world.cut("anna")
        await world.settle()
        assert [len(part) for part in subs(world, "anna")[-2:]] == [SUBSCRIBE_TOPICS_MAX, 11]


async def test_a_subscription_refused_for_a_moment_is_asked_again(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        answer_subs(world, "ben", Err(0, Code.RATE, "slow down", 300), Err(0, Code.RATE, "slow down", 300))
        world.cut("ben")
        await say(talk, "hello")
        await world.settle(5)
        assert texts(ben, talk.topic) == ["hello"]
        wire = world.wire("ben")
        assert len([other for other in world.relay.wires if other.owner == "ben"]) == 2
        assert wire is not None


async def test_a_subscription_refused_for_good_connects_anew(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        answer_subs(world, "ben", Err(0, Code.FRAME, "malformed"))
        world.cut("ben")
        await say(talk, "hello")
        await world.settle(5)
        assert texts(ben, talk.topic) == ["hello"]
        assert len([wire for wire in world.relay.wires if wire.owner == "ben"]) == 3


async def test_a_log_that_became_shorter_is_told_once(autojump_clock: MockClock) -> None:
    """A relay that came up from an old copy: nothing is hidden."""
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        lost = SubResult(0, 1, 0, code=Code.CONFLICT)
        answer_subs(world, "ben", lost, lost)
        for _ in range(2):
            world.cut("ben")
            await world.settle()
        (fork,) = events_of(ben, Forked)
        assert (fork.topic, fork.account, fork.offset) == (talk.topic, ben.account, 0)


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.LOCKED, Status.WAITING])
async def test_a_conversation_that_is_not_ours_any_more(status: Status, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        record = talk_of(ben, talk).record
        record.status, record.readmit_at_ms = status, 2**50
        answer_subs(world, "ben", SubResult(0, code=Code.NOT_FOUND))
        world.cut("ben")
        await world.settle()
        assert record.status == Status.REMOVED
        assert len(events_of(ben, Removed)) == 1
        answer_subs(world, "ben", SubResult(0, code=Code.NOT_FOUND))
        ben.engine.follow([talk.topic])
        await world.settle()
        assert len(events_of(ben, Removed)) == 1


async def test_closed_for_a_while(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        wire = world.wire("ben")
        assert wire is not None
        tid = world.relay.tids[talk.topic]
        del wire.follows[talk.topic]
        wire.send(Closed(tid, Code.STORE_AWAY, "restored from a backup", 500))
        wire.send(Closed(99, Code.STORE_AWAY, "of nothing", 500))
        await say(talk, "hello")
        await world.settle(0.2)
        assert texts(ben, talk.topic) == []
        await world.settle()
        assert texts(ben, talk.topic) == ["hello"]
        assert agree(talk.topic, anna, ben)
        before = len(subs(world, "ben"))
        ben.engine._follow_again(talk.topic)  # a reconnect was faster
        await world.settle()
        assert len(subs(world, "ben")) == before


async def test_closed_for_good(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        wire = world.wire("ben")
        assert wire is not None
        for code in (Code.FORBIDDEN, Code.NOT_FOUND):
            ben.engine.tids[world.relay.tids[talk.topic]] = talk.topic
            wire.send(Closed(world.relay.tids[talk.topic], code, "no more"))
            await world.settle()
        assert talk_of(ben, talk).status is Status.REMOVED


async def test_nothing_is_subscribed_without_a_connection(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        world.reachable = False
        world.cut("ben")
        await world.settle()
        before = len(subs(world, "ben"))
        ben.engine.follow([talk.topic])
        assert len(subs(world, "ben")) == before
        assert ben.engine.tids == {}


# -- frames ------------------------------------------------------------------------------------------------------------
async def test_frames_of_unknown_subscriptions_are_nobodys(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        before = talk_of(ben, talk).record.cursor
        wire = world.wire("ben")
        assert wire is not None
        wire.send(Msg(99, before + 1, bytes(16), KEY, KEY, 0, 0, 1, 0, b"", b""))
        wire.send(Live(99, 5))
        wire.send(Evt("of.tomorrow"))
        await world.settle()
        assert world.wire("ben") is wire
        assert talk_of(ben, talk).record.cursor == before


async def test_caught_up_is_told_behind_the_events(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        world.cut("ben")
        await say(talk, "one", "two")
        await world.settle(5)
        caught = [notice for notice in world.notices["ben"] if isinstance(notice, CaughtUp)][-1]
        assert caught.topic == talk.topic
        seqs = [event.seq for event in events_of(ben, Locked)] or [caught.seq]
        assert max(seqs) <= caught.seq


async def test_acks_follow_the_commit(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        _, talk = await group_of(world, "anna", "ben")
        world.vaults["ben"].hold()
        before = len(world.heard("ben", Ack))
        await say(talk, "one")
        await wait_all_tasks_blocked()
        assert len(world.heard("ben", Ack)) == before
        world.vaults["ben"].release()
        await world.settle()
        tid = world.relay.tids[talk.topic]
        acks = [ack.offset for ack in world.heard("ben", Ack)[before:] if ack.tid == tid]
        assert acks[0] == 2


# -- receipts ----------------------------------------------------------------------------------------------------------
async def test_a_receipt_that_waits_is_replaced_and_nothing_else(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        engine, record = ben.engine, talk_of(ben, talk).record
        world.reachable = False
        world.cut("ben")
        await world.settle()
        engine._answer(record, Unsupported(t="pay.later", v=1), bytes(16))
        engine.acknowledge(talk.topic)
        record.cursor += 1
        engine.acknowledge(talk.topic)
        engine.acknowledge(talk.topic)
        types = [decode_content(row.content).t for row in engine.outbox.lane(talk.topic).rows]
        assert types == [Unsupported.TYPE, "rcpt.delivered"]
        record.status = Status.LOCKED
        record.cursor += 1
        engine.acknowledge(talk.topic)
        engine.acknowledge(KEY)
        assert len(engine.outbox.lane(talk.topic).rows) == 2


# -- boxes and re-admission --------------------------------------------------------------------------------------------
async def test_boxes_go_to_devices_that_are_known(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        wish = Readmit(topic=talk.topic, group=1, fence=1)
        anna.engine.send_box(KEY, KEY, wish)
        anna.engine.send_box(ben.account, KEY, wish)
        assert not anna.engine.shelf.outgoing
        anna.engine.send_box(ben.account, ben.engine.shelf.device.public, wish)
        (row,) = anna.engine.shelf.outgoing.values()
        assert (row.work, row.topic, row.quiet) == (Work.BOX, inbox_topic(ben.account), True)
        await world.settle()
        assert not anna.engine.shelf.outgoing


async def test_others_are_asked_each_time(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        names = ("anna", "ben", "cleo", "dora", "emil", "fay")
        (anna, *_), talk = await group_of(world, *names)
        asked: list[bytes] = []
        anna.engine.send_box = lambda account, device, body: asked.append(account)  # type: ignore[method-assign]
        record = talk.record
        record.status = Status.LOCKED
        world.skip(days=1)
        rounds = []
        for _ in range(2):
            asked.clear()
            anna.engine.ask_readmission(record)
            rounds.append(set(asked))
            world.skip(days=1)
        assert [len(part) for part in rounds] == [3, 3]
        assert len(rounds[0] | rounds[1]) == 5
        anna.engine.ask_readmission(record)
        asked.clear()
        anna.engine.ask_readmission(record)  # too soon
        record.status, record.readmit_at_ms = Status.ACTIVE, 0
        anna.engine.ask_readmission(record)
        assert asked == []


async def test_nobody_is_asked_while_a_welcome_waits(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, _), talk = await group_of(world, "anna", "ben")
        asked: list[bytes] = []
        anna.engine.send_box = lambda account, device, body: asked.append(account)  # type: ignore[method-assign]
        shelf, record = anna.engine.shelf, talk.record
        record.status, record.readmit_at_ms = Status.LOCKED, 0
        shelf.welcomes[7] = R.PendingWelcome(7, b"", talk.topic, 1, KEY)
        anna.engine.ask_readmission(record)
        assert asked == []
        assert record.readmit_at_ms > world.clock_ms()


async def test_who_waits_too_long_is_locked_and_asks(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        anna.engine.commits.wait(talk.record)
        anna.engine.receiver.roster_changed(talk.topic)
        await world.settle(30)
        assert talk.status is Status.WAITING
        await world.settle(40)
        assert len(events_of(anna, Locked)) == 1
        assert agree(talk.topic, anna, ben)


# -- cleaning up -------------------------------------------------------------------------------------------------------
async def test_the_first_who_stays_cleans_up(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        world.relay.tamper = honest
        for client in (anna, ben, cleo):
            del client.conversation(talk.topic).record.roster[cleo.account]
        for client in (anna, ben, cleo):
            client.engine.clean_up(talk.topic)
        planned = [len(client.engine.shelf.outgoing) for client in (anna, ben, cleo)]
        first = min((anna, ben), key=lambda client: engine_of(client).shelf.groups.get(talk.topic).own_leaf)
        assert planned == [int(client is first) for client in (anna, ben, cleo)]
        talk.record.status = Status.LOCKED
        anna.engine.clean_up(talk.topic)
        assert len(anna.engine.shelf.outgoing) == planned[0]


async def test_a_plan_has_an_id(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        commit_id = talk._client.engine.plan(talk.record, R.Plan())
        await world.settle()
        commits = [pub for pub in world.heard("anna", Pub) if pub.flags & Flag.COMMIT]
        assert commits[-1].id == commit_id
        assert talk_of(ben, talk).record.fence == 2
