"""Timers ring once, in time, also when time has run away."""

from __future__ import annotations

from pathlib import Path

import trio
from trio.testing import MockClock

from clients.bot.alarms import Alarms
from clients.bot.memory import TIMERS, BotMemory, Timer
from clients.testing import settle
from tests.clients.bot.support import NOW_MS, TOPIC, clock_ms, open_alone


def set_timer(memory: BotMemory, name: str, at_s: float) -> Timer:
    """A timer that is kept."""
    timer = Timer(name.encode().ljust(16), NOW_MS + int(at_s * 1000), TOPIC, name, b"\xc0")
    memory.put(TIMERS, timer.key, timer)
    return timer


async def test_each_rings_once_when_it_is_due(tmp_path: Path, mock_clock: MockClock, nursery: trio.Nursery) -> None:
    rung: list[str] = []

    def ring(timer: Timer) -> None:
        rung.append(timer.name)
        memory.put(TIMERS, timer.key, None)

    async def at(seconds: float) -> list[str]:
        mock_clock.jump(seconds - trio.current_time())
        await settle()
        return rung

    def due() -> int | None:
        return alarms.next_ms

    async with open_alone(tmp_path) as (_, memory):
        set_timer(memory, "late", -5)  # came due while nobody was running
        set_timer(memory, "day", 86_400)
        alarms = Alarms(memory, clock_ms, ring)
        nursery.start_soon(alarms.run)
        assert await at(0) == ["late"]
        assert due() == NOW_MS + 86_400_000
        alarms.added(set_timer(memory, "soon", 10))
        gone = set_timer(memory, "gone", 5)
        alarms.added(gone)
        assert due() == gone.at_ms
        memory.put(TIMERS, gone.key, None)
        assert due() == NOW_MS + 10_000
        assert await at(9.9) == ["late"]
        assert await at(10) == ["late", "soon"]
        assert await at(200_000) == ["late", "soon", "day"]
        assert due() is None
        nursery.cancel_scope.cancel()


async def test_a_clock_that_is_set_forward_is_noticed_within_a_minute(
    tmp_path: Path, mock_clock: MockClock, nursery: trio.Nursery
) -> None:
    rung: list[str] = []
    ahead_ms = 0
    async with open_alone(tmp_path) as (_, memory):
        timer = set_timer(memory, "noon", 86_400)
        alarms = Alarms(memory, lambda: clock_ms() + ahead_ms, lambda timer: rung.append(timer.name))
        nursery.start_soon(alarms.run)
        await settle()
        ahead_ms = 86_400_000
        mock_clock.jump(60)
        await settle()
        assert rung == [timer.name]
        nursery.cancel_scope.cancel()
