"""Every message once and in order for everybody, wherever connections break, clients die and relays refuse."""

from __future__ import annotations

import random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from clients.client import Client
from clients.events import Joined, Locked, Missing, Unreadable
from protocol.errors import Code
from protocol.frames import Err, GapReason, Pub
from tests.support.clients import SPOKEN, agree, events_of, group_of, open_world, refuse, say, talk_of, texts
from tests.support.relay_model import Wire

LATER = Err(0, Code.RATE, "slow down", 200)
AWAY = Err(0, Code.STORE_AWAY, "the store is away", 3000)


async def test_five_hundred_at_once_with_random_refusals(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        dice = random.Random(7)

        def judge(wire: Wire, pub: Pub) -> Err | None:
            return LATER if dice.random() < 0.02 else None

        world.relay.judge = judge
        spoken = [str(number) for number in range(500)]
        await say(talk, *spoken)
        statistics = anna.engine.outbox.statistics()
        assert statistics.waiting + statistics.flying > 0
        assert statistics.flying <= 64
        await world.settle(120)
        assert texts(ben, talk.topic) == texts(anna, talk.topic) == spoken
        assert anna.engine.outbox.statistics().flying == 0


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("moves", range(0, 40, 3))
async def test_the_connection_breaks_at_any_point(moves: int, late: bool, autojump_clock: MockClock) -> None:
    """Between the founding of a group and the last echo; what was sent may arrive after all."""
    async with open_world(auto=False) as world:
        world.relay.run_freely()
        anna, ben = await world.people("anna", "ben")
        talk = await anna.group([ben.account], "friends")
        await world.settle()
        world.relay.auto = False
        await talk.rotate()
        await say(talk, *SPOKEN[:3])
        for _ in range(moves):
            await wait_all_tasks_blocked()
            for wire in world.relay.wires:
                if wire.up:
                    await world.relay.take(wire)
                    break
                if wire.down:
                    wire.give()
                    break
        world.cut("anna", late=late)
        world.relay.run_freely()
        await world.settle(5)
        assert texts(ben, talk.topic) == texts(anna, talk.topic) == SPOKEN[:3]
        assert agree(talk.topic, anna, ben)
        assert not anna.engine.shelf.outgoing


async def test_a_crash_before_the_answer(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        world.relay.judge = refuse("anna", AWAY)
        await say(talk, *SPOKEN)
        await world.settle(0.5)
        await world.crash("anna")
        anna = await world.start("anna")
        await world.settle()
        assert texts(ben, talk.topic) == texts(anna, talk.topic) == SPOKEN


async def test_both_found_the_same_pair_at_once(autojump_clock: MockClock) -> None:
    async with open_world(auto=False) as world:
        world.relay.run_freely()
        anna, ben = await world.people("anna", "ben")

        async def found(client: Client, other: Client) -> None:
            await say(await client.pair(other.account), *(f"{name_of(client)} {n}" for n in range(3)))

        def name_of(client: Client) -> str:
            return "anna" if client is anna else "ben"

        async with trio.open_nursery() as nursery:
            nursery.start_soon(found, anna, ben)
            nursery.start_soon(found, ben, anna)
        await world.settle(5)
        (topic,) = anna.conversations
        assert list(ben.conversations) == [topic]
        assert agree(topic, anna, ben)
        assert texts(anna, topic) == texts(ben, topic)
        assert sorted(texts(anna, topic)) == [f"{name} {n}" for name in ("anna", "ben") for n in range(3)]
        assert [len(events_of(client, Joined)) for client in (anna, ben)] == [1, 1]
        assert sorted(client.conversation(topic).record.founder for client in (anna, ben)) == [True, True]
        for client, other in ((anna, ben), (ben, anna)):
            assert client.conversation(topic).members == {anna.account: 4, ben.account: 4}
            assert client.conversation(topic).peer == other.account


# -- let in again ------------------------------------------------------------------------------------------------------
async def test_let_in_again_after_a_while(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        await talk.remove([cleo.account])
        await say(talk, "without cleo", "still without")
        await world.settle()
        await talk.add([cleo.account])
        await world.settle()
        await say(talk, "with cleo")
        await world.settle()
        assert agree(talk.topic, anna, ben, cleo)
        assert texts(cleo, talk.topic) == ["with cleo"]
        assert sum(event.count for event in events_of(cleo, Missing)) >= 2
        assert [event.again for event in events_of(cleo, Joined)] == [False, True]


async def test_put_out_and_let_in_again_while_away(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        await world.crash("cleo")
        await talk.remove([cleo.account])
        await say(talk, "without cleo")
        await world.settle()
        await talk.add([cleo.account])
        await world.settle()
        cleo = await world.start("cleo")
        await world.settle(5)
        await say(talk, "with cleo")
        await world.settle()
        assert agree(talk.topic, anna, ben, cleo)
        assert texts(cleo, talk.topic) == ["with cleo"]
        assert events_of(cleo, Locked) == []
        assert [event.reason for event in events_of(cleo, Missing)] == [GapReason.POLICY]


# -- who joins later, and the past epoch -------------------------------------------------------------------------------
async def test_what_was_said_before_we_joined_is_hashed_and_skipped(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        (cleo,) = await world.people("cleo")
        await talk.send("before cleo")
        await world.settle()
        await talk.add([cleo.account])
        await talk_of(ben, talk).send("sealed in the epoch before")
        await world.settle()
        await talk.send("hello cleo")
        await world.settle()
        assert agree(talk.topic, anna, ben, cleo)
        assert texts(cleo, talk.topic)[-1] == "hello cleo"
        assert "before cleo" not in texts(cleo, talk.topic)
        assert events_of(cleo, Missing) == []
        assert events_of(cleo, Unreadable) == []


async def test_the_past_epoch_is_open_for_what_was_on_its_way(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        world.relay.auto = False
        await talk_of(ben, talk).send("sealed before the rotation, stored after it")
        await talk.rotate()
        await world.settle(0.1)
        for wire in sorted(world.relay.wires, key=lambda wire: wire.owner):
            while wire.up:
                await world.relay.take(wire)
        world.relay.run_freely()
        await world.settle()
        assert texts(anna, talk.topic) == texts(ben, talk.topic) == ["sealed before the rotation, stored after it"]
        assert next(pub.epoch for pub in world.heard("ben", Pub) if not pub.flags) == (1, 1)
        assert talk.record.fence == 2


# -- what does not open ------------------------------------------------------------------------------------------------
