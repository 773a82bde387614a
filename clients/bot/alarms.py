"""Timers: rung once each, when their time has come by the wall clock, also when it came while nobody was running."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import inf

import trio

from clients.bot import bounds as B
from clients.bot.memory import BotMemory, Timer


class Alarms:
    """All timers of one bot. ``ring`` gets each when it is due; deleting its row is up to whoever deals with it."""

    def __init__(self, memory: BotMemory, clock_ms: Callable[[], int], ring: Callable[[Timer], None]) -> None:
        self._memory = memory
        self._clock_ms = clock_ms
        self._ring = ring
        self._heap = [(timer.at_ms, timer.id) for timer in memory.timers.values()]
        heapq.heapify(self._heap)
        self._changed = trio.Event()

    @property
    def next_ms(self) -> int | None:
        """When the next one is due, Unix ms; None if there is none."""
        while self._heap and self._heap[0][1] not in self._memory.timers:
            heapq.heappop(self._heap)  # cancelled
        return self._heap[0][0] if self._heap else None

    def added(self, timer: Timer) -> None:
        """A timer was set."""
        heapq.heappush(self._heap, (timer.at_ms, timer.id))
        self._changed.set()

    async def run(self) -> None:
        """Ring, until cancelled."""
        while True:
            self._changed = trio.Event()
            due_ms = self.next_ms
            while due_ms is not None and due_ms <= self._clock_ms():
                _, timer_id = heapq.heappop(self._heap)
                self._ring(self._memory.timers[timer_id])
                due_ms = self.next_ms
            # Not longer than a look: the wall clock may be set, and a machine that sleeps does not count.
            wait_s = inf if due_ms is None else min((due_ms - self._clock_ms()) / 1000, B.TIMER_LOOK_S)
            with trio.move_on_after(wait_s):
                await self._changed.wait()
