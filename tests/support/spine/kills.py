"""kill -9 at random moments, of the relay and of clients, with traffic on."""

from __future__ import annotations

import signal
from functools import partial
from typing import Any

import trio

from relay.demo.judge import percentile
from tests.support.proof import check
from tests.support.spine.rooms import Room, open_room

PEOPLE = ("alice", "bob", "carol", "dave")
PER_ROUND = 25  # messages that each person tries to say in a round
MOMENT_MS_MAX = 400


async def relay_killed(seed: int, rounds: int) -> dict[str, Any]:
    """Kill the relay ``rounds`` times under load. Raises ``Unproved`` if anything acknowledged is lost or doubled."""
    back_ms = []
    async with open_room(PEOPLE, seed) as room:
        for number in range(rounds):
            before = len(room.acknowledged)
            async with trio.open_nursery() as talkers:
                for person in room.people.values():
                    talkers.start_soon(room.talk, person, PER_ROUND)
                await trio.sleep(room.random.uniform(0, MOMENT_MS_MAX / 1000))
                code = await room.relay.kill()
                check(code == -signal.SIGKILL, f"round {number}: the relay ended with {code}, not of the kill")
                began = trio.current_time()
                await room.relay.start(room.nursery)
            await room.bell.until(partial(room.has_more_than, before), 30)
            back_ms.append((trio.current_time() - began) * 1000)
            check(len(room.acknowledged) > before, f"round {number}: nothing was stored")
        await room.settle()
        return {"rounds": rounds, **_figures(room), "back after ms p50": round(percentile(back_ms, 0.5))}


async def clients_killed(seed: int, rounds: int) -> dict[str, Any]:
    """Kill a random client ``rounds`` times in the middle of sending and receiving, and start it again."""
    async with open_room(PEOPLE, seed) as room:
        for number in range(rounds):
            before = len(room.acknowledged)
            victim = room.people[room.random.choice(PEOPLE)]
            async with trio.open_nursery() as talkers:
                for person in room.people.values():
                    talkers.start_soon(room.talk, person, PER_ROUND)
                await trio.sleep(room.random.uniform(0, MOMENT_MS_MAX / 1000))
                code = await victim.kill()
                check(code == -signal.SIGKILL, f"round {number}: {victim.name} ended with {code}, not of the kill")
                await victim.start(room.nursery, room.relay.url)
            await room.bell.until(partial(room.has_more_than, before), 30)
            check(len(room.acknowledged) > before, f"round {number}: nothing was stored")
        await room.settle()
        return {"rounds": rounds, **_figures(room)}


def _figures(room: Room) -> dict[str, Any]:
    verdict = room.verdict()
    return {
        "acknowledged": verdict.stored, "delivered": verdict.delivered, "lost": verdict.lost,
        "duplicated": verdict.duplicated, "swapped": verdict.swapped, "orders": verdict.orders,
    }  # fmt: skip
