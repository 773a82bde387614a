"""The parts of a client wired together: subscriptions, acknowledgements, receipts, what the relay closes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from clients.events import CaughtUp, Delivered, Forked, Missing, Received, Removed
from clients.records import Status
from protocol import frames as F
from protocol.errors import Code
from protocol.frames import AnyFrame, GapReason
from protocol.messages import parse
from protocol.messages.rcpt import Delivered as DeliveredBody
from tests.support.clients import World, agree, events_of, group_of, open_world, talk_of, texts
from tests.support.relay_model import Wire


def send(world: World, name: str, frame: AnyFrame) -> None:
    """The relay says something to somebody, out of the blue."""
    wire = world.wire(name)
    assert wire is not None
    wire.send(frame)


def tid_of(world: World, name: str, topic: bytes) -> int:
    """The number of somebody's subscription."""
    return next(tid for tid, followed in world.clients[name].engine.tids.items() if followed == topic)


async def test_a_login_subscribes_to_everything_from_where_one_was(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        await talk.send("one")
        await world.settle()
        world.cut("bob")
        await talk.send("two")
        await world.settle(10)
        subscribed = world.heard("bob", F.Sub)[-1].topics
        assert {part.topic for part in subscribed} == {bob.engine.shelf.inbox_topic, talk.topic}
        assert all(part.start is not None for part in subscribed)
        assert texts(bob, talk.topic) == ["one", "two"]
        assert agree(talk.topic, alice, bob)


async def test_what_is_durable_is_acknowledged(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (_, bob), talk = await group_of(world, "alice", "bob")
        await talk.send("one")
        await world.settle()
        tid = tid_of(world, "bob", talk.topic)
        acked = [ack.offset for ack in world.heard("bob", F.Ack) if ack.tid == tid]
        assert acked[-1] == bob.conversation(talk.topic).record.cursor
        assert acked == sorted(acked)


async def test_a_burst_is_answered_by_one_receipt(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        before = len(world.heard("bob", F.Pub))
        for number in range(20):
            await talk.send(f"{number}")
        await world.settle(5)
        assert len(world.heard("bob", F.Pub)) - before <= 3
        last = events_of(alice, Received, talk.topic)[-1].offset
        assert events_of(alice, Delivered, talk.topic)[-1].offset >= last
        assert all(not isinstance(parse(e.content).body, DeliveredBody) for e in events_of(bob, Received, talk.topic))


async def test_caught_up_after_being_away(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (_, bob), talk = await group_of(world, "alice", "bob")
        async with bob.notices() as notices:
            world.cut("bob")
            await talk.send("while away")
            await world.settle(10)
            told = []
            while notices.statistics().current_buffer_used:
                told.append(notices.receive_nowait())
        caught = [notice for notice in told if isinstance(notice, CaughtUp) and notice.topic == talk.topic]
        assert caught
        assert caught[-1].seq <= bob.engine.shelf.vault.last_seq()


async def test_a_gap_is_shown_with_its_count(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (_, bob), talk = await group_of(world, "alice", "bob")
        record = bob.conversation(talk.topic).record
        cursor = record.cursor
        gap = F.Gap(tid_of(world, "bob", talk.topic), 1, cursor + 1, cursor + 7, GapReason.RETENTION, b"h" * 32)
        send(world, "bob", gap)
        await world.settle()
        (missing,) = events_of(bob, Missing, talk.topic)
        assert missing.count == 7
        assert (record.cursor, record.chain, record.chain_verified) == (cursor + 7, b"h" * 32, False)
        send(world, "bob", gap)
        await world.settle()
        assert len(events_of(bob, Missing, talk.topic)) == 1


async def test_a_relay_that_breaks_the_order_is_left_and_joined_again(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (_, bob), talk = await group_of(world, "alice", "bob")
        dropped: list[AnyFrame] = []

        def tamper(wire: Wire, frame: AnyFrame) -> Iterable[AnyFrame]:
            if isinstance(frame, F.Msg) and wire.owner == "bob" and not dropped and frame.offset > 1:
                dropped.append(frame)
                return []
            return [frame]

        world.relay.tamper = tamper
        await talk.send("one")
        await talk.send("two")
        await world.settle(30)
        assert dropped
        assert texts(bob, talk.topic) == ["one", "two"]
        assert len(world.heard("bob", F.Connect)) == 2


@pytest.mark.parametrize("retry_ms", [500, None], ids=["for a while", "for good"])
async def test_a_subscription_that_is_closed(retry_ms: int | None, autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (_, bob), talk = await group_of(world, "alice", "bob")
        code = Code.NOT_FOUND if retry_ms is None else Code.RATE
        send(world, "bob", F.Closed(tid_of(world, "bob", talk.topic), code, "closed", retry_ms))
        await world.settle(5)
        if retry_ms is None:
            assert talk_of(bob, talk).status == Status.REMOVED
            assert events_of(bob, Removed, talk.topic)
        else:
            await talk.send("heard again")
            await world.settle()
            assert texts(bob, talk.topic) == ["heard again"]


async def test_frames_of_subscriptions_that_have_ended_are_nothing(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        send(world, "alice", F.Live(999, 5))
        send(world, "alice", F.Gap(999, 1, 1, 5, GapReason.RETENTION))
        send(world, "alice", F.Closed(999, Code.NOT_FOUND))
        send(world, "alice", F.Msg(999, 1, b"i" * 16, alice.account, alice.account, 0, 0, 0, 0, b"", b""))
        await world.settle()
        assert alice.connected


async def test_a_log_that_became_shorter_is_shown(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (_, bob), talk = await group_of(world, "alice", "bob")
        bob.engine._subscribed(talk.topic, F.SubResult(0, 1, 1, 1, 1, Code.CONFLICT))
        bob.engine._subscribed(talk.topic, F.SubResult(0, 1, 1, 1, 1, Code.CONFLICT))
        bob.engine._subscribed(b"u" * 32, F.SubResult(0, code=Code.NOT_FOUND))
        await world.settle()
        assert len(events_of(bob, Forked, talk.topic)) == 1
