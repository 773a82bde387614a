"""A relay that alters, replays, drops, reorders and forges: members notice, and the conversation goes on."""

from __future__ import annotations

import msgspec
import pytest
from trio.testing import MockClock

from clients.events import Forked, Received, Unreadable
from protocol.frames import AnyFrame, Flag, Msg, Pub
from protocol.messages import parse
from tests.clients.rogues import Change, to
from tests.support.clients import events_of, group_of, open_world, say, talk_of, texts

FAULTS: dict[str, Change] = {
    "an altered body": lambda msg: (msgspec.structs.replace(msg, body=msg.body[:-1] + bytes([msg.body[-1] ^ 1])),),
    "an altered flag": lambda msg: (msgspec.structs.replace(msg, flags=msg.flags | Flag.URGENT),),
    "an altered time to live": lambda msg: (msgspec.structs.replace(msg, ttl=5),),
    "no message": lambda msg: (msgspec.structs.replace(msg, body=b"x"),),
}


@pytest.mark.parametrize("what", FAULTS)
async def test_what_the_relay_alters_does_not_open_and_is_said_again(what: str, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        to(world, "ben", FAULTS[what], where=lambda msg: msg.offset == 2)
        (old,) = await say(talk, "hello")
        await world.settle()
        (unreadable,) = events_of(ben, Unreadable)
        assert unreadable.account == talk._client.account
        assert texts(ben, talk.topic) == ["hello"]
        (event,) = events_of(ben, Received, talk.topic)
        assert parse(event.content).content.rp == old
        assert event.id != old
        await talk.send("and on")
        await world.settle()
        assert texts(ben, talk.topic) == ["hello", "and on"]


async def test_what_never_opens_is_said_again_once(autojump_clock: MockClock) -> None:
    """Or a relay could make a client repeat itself for ever."""
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        to(world, "ben", FAULTS["no message"])
        await say(talk, "hello")
        await world.settle(10)
        assert texts(anna, talk.topic) == ["hello", "hello"]
        assert len(events_of(ben, Unreadable)) == 2
        await world.crash("anna")
        await world.start("anna")
        await world.settle(10)
        assert texts(world.clients["anna"], talk.topic) == ["hello", "hello"]


async def test_at_most_three_members_report(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        names = ("anna", "ben", "cleo", "dora", "emil", "fay")
        (_, *others), talk = await group_of(world, *names)
        world.relay.tamper = lambda wire, frame: (
            (msgspec.structs.replace(frame, body=b"x"),)
            if isinstance(frame, Msg) and not frame.flags and wire.owner != "anna" and frame.offset == 2
            else (frame,)
        )
        await say(talk, "hello")
        await world.settle(5)
        reports = [who for who, frame in world.relay.heard if isinstance(frame, Pub) and frame.flags & Flag.SEALED]
        assert len(reports) == len(set(reports)) == 3
        for client in others:
            assert len(events_of(client, Unreadable)) == 1
            assert texts(client, talk.topic) == ["hello"]  # once, though three have reported


async def test_a_replayed_message_does_not_count(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        replay = lambda msg: (msg, msgspec.structs.replace(msg, offset=msg.offset + 1))  # noqa: E731
        to(world, "ben", replay, where=lambda msg: msg.offset == 2)
        await say(talk, "pay me")
        await world.settle(0.05)
        assert texts(ben, talk.topic) == ["pay me"]
        assert len(events_of(ben, Unreadable)) == 1


# -- seen --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("fault", ["dropped", "swapped"])
async def test_a_relay_that_shows_members_different_logs_is_noticed(fault: str, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        held: list[Msg] = []

        def swap(msg: Msg) -> tuple[AnyFrame, ...]:
            if msg.offset == 2:
                held.append(msg)
                return ()
            if msg.offset == 3:
                return (msgspec.structs.replace(msg, offset=2), msgspec.structs.replace(held[0], offset=3))
            return (msg,)

        def drop(msg: Msg) -> tuple[AnyFrame, ...]:
            return () if msg.offset == 2 else (msgspec.structs.replace(msg, offset=msg.offset - 1),)

        to(world, "cleo", swap if fault == "swapped" else drop)
        await say(talk, "one")
        await say(talk_of(ben, talk), "two")
        await world.settle()
        await say(talk, "three", "four")
        await world.settle()
        forks = events_of(cleo, Forked)
        assert {event.account for event in forks} == {anna.account} | ({ben.account} if len(forks) > 1 else set())
        assert len(forks) == len({event.account for event in forks})  # once for each, not once a message
        assert {event.account for event in events_of(ben, Forked)} == {cleo.account}  # her receipts give it away
