"""The order of work: one lane for each conversation, in the order of its events; lanes run in parallel.

Rule 1.  A lane reads its events from the vault, a few at a time: what waits costs no memory, and a conversation that is
         slow or in back-off holds up nobody else.
Rule 2.  A task that is due in a conversation beside its events (a timer, a dead letter) comes before its next event.
Rule 3.  After ``stop`` no task begins; what runs may end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from clients.bot import bounds as B
from clients.bot.memory import BotMemory
from clients.bot.tasks import Task
from clients.client import Client
from clients.events import AnyEvent, decode_event
from clients.tasks import open_tasks


@dataclass(slots=True)
class _Lane:
    topic: bytes
    cursor: int  # last event that was dealt with, or is of no interest
    upto: int = 0  # newest event of interest
    jobs: deque[Task] = field(default_factory=deque)
    is_busy: bool = False

    @property
    def waits(self) -> bool:
        return bool(self.jobs) or self.cursor < self.upto


@dataclass(frozen=True, slots=True)
class LanesStatistics:
    """What is going on: conversations with something to do, tasks beside events, and how far the events were read."""

    lanes: int
    jobs: int
    read_seq: int


class Lanes:
    """All lanes of one bot. ``deal`` settles a task (True), or leaves it because the bot stops (False)."""

    def __init__(
        self, client: Client, memory: BotMemory, deal: Callable[[Task], Awaitable[bool]],
        listens: Callable[[AnyEvent], bool],
    ) -> None:  # fmt: skip
        self._client = client
        self._memory = memory
        self._deal = deal
        self._listens = listens
        self._lanes: dict[bytes, _Lane] = {}
        self._read_seq = memory.floor or 0
        self._nursery: trio.Nursery | None = None
        self._reading = trio.CancelScope()
        self._changed = trio.Event()
        self.stopping = trio.Event()

    def statistics(self) -> LanesStatistics:
        """Figures of now."""
        return LanesStatistics(len(self._lanes), sum(len(lane.jobs) for lane in self._lanes.values()), self._read_seq)

    def floor(self) -> int:
        """The number of an event below which everything is dealt with, itself included."""
        return min((lane.cursor for lane in self._lanes.values() if lane.cursor < lane.upto), default=self._read_seq)

    def add(self, task: Task) -> None:
        """Something is due in a conversation beside its events."""
        lane = self._lane(task.topic)
        lane.jobs.append(task)
        self._wake(lane)

    def stop(self) -> None:
        """Begin nothing more; ``run`` ends when what runs has ended."""
        self.stopping.set()
        self._reading.cancel()

    async def run(self) -> None:
        """Read events and run lanes until ``stop``."""
        async with open_tasks() as nursery:
            self._nursery = nursery
            for lane in list(self._lanes.values()):
                self._wake(lane)
            with self._reading:
                await self._read()
            while any(lane.is_busy for lane in self._lanes.values()):
                await self._changed.wait()
            self._nursery = None

    # -- inside --------------------------------------------------------------------------------------------------------
    def _lane(self, topic: bytes) -> _Lane:
        lane = self._lanes.get(topic)
        if lane is None:
            lane = self._lanes[topic] = _Lane(topic, self._memory.cursor(topic))
        return lane

    async def _read(self) -> None:
        async for event in self._client.events(self._read_seq):
            if self._listens(event) and event.seq > self._memory.cursor(event.topic):
                lane = self._lane(event.topic)
                lane.upto = event.seq
                self._wake(lane)
            self._read_seq = event.seq

    def _wake(self, lane: _Lane) -> None:
        if self._nursery is not None and not lane.is_busy and not self.stopping.is_set():
            lane.is_busy = True
            self._nursery.start_soon(self._serve, lane)

    async def _serve(self, lane: _Lane) -> None:
        try:
            while lane.waits and not self.stopping.is_set():
                await self._client.room_to_send()
                if not await self._step(lane):
                    return
        finally:
            lane.is_busy = False
            if not lane.waits:
                del self._lanes[lane.topic]
            self._changed.set()
            self._changed = trio.Event()

    async def _step(self, lane: _Lane) -> bool:
        """One job, or a few events. False: the bot stops."""
        if lane.jobs:
            settled = await self._deal(lane.jobs[0])
            if settled:
                lane.jobs.popleft()
            return settled
        vault = self._client.engine.shelf.vault
        rows = await trio.to_thread.run_sync(vault.events, lane.cursor, B.READ_ROWS, lane.topic)
        if not rows:
            lane.cursor = lane.upto  # removed from the vault meanwhile
        for seq, value in rows:
            if lane.jobs:
                return True
            event = decode_event(value, seq)
            if self._listens(event) and not await self._deal(Task(lane.topic, event)):
                return False
            lane.cursor = seq
            if self.stopping.is_set():
                return False
        return True
