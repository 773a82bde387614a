"""The measurements: each makes its own people, loads the relay for a while, and leaves.

Latencies of deliveries are from before the PUB is encoded until its frame has been read; the body begins with that time
and ends the frame. Whatever the relay puts off (429, 504) is sent again after the time it names, and counted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import trio

from protocol import frames as F
from relay.bench.crew import Crew, Progress, found, new_id
from relay.bench.figures import Figures
from relay.bench.wire import LIVE, MSG, Account, BenchFailed, Wire
from relay.bounds import BENCH_WAIT_S

_TIME_BYTES: Final = 8
_PROGRESS_S: Final = 0.1


class Run:
    """The time of one measurement, its latencies, and what was refused."""

    def __init__(self, seconds: float, progress: Progress) -> None:
        self._seconds = seconds
        self._progress = progress
        self.latencies_ms: list[float] = []
        self.refused = 0
        self.began = time.perf_counter()
        self._cpu_s = time.process_time()

    @property
    def is_on(self) -> bool:
        """Whether more may be sent."""
        return time.perf_counter() - self.began < self._seconds

    async def show(self) -> None:
        """Report the progress until the time is over."""
        while self.is_on:
            self._progress(min(1.0, (time.perf_counter() - self.began) / self._seconds))
            await trio.sleep(_PROGRESS_S)

    def figures(self, name: str, what: str, latency_of: str, count: int | None = None) -> Figures:
        """What it came to. ``count``: in place of the number of latencies."""
        seconds = time.perf_counter() - self.began
        self._progress(1.0)
        busy = (time.process_time() - self._cpu_s) / seconds
        latencies = sorted(self.latencies_ms)
        number = len(latencies) if count is None else count
        return Figures(name, what, number, seconds, latencies, latency_of, self.refused, busy)


class Ephemerals:
    """Ephemeral messages from one publisher to ``readers`` connections, ``window`` of them under way."""

    def __init__(self, run: Run, publisher: Wire, readers: list[Wire], topic: bytes, window: int, size: int) -> None:
        self._run = run
        self._publisher = publisher
        self._topic = topic
        self._filling = os.urandom(size - _TIME_BYTES)
        self._size = size
        self._window = window
        self._readers = len(readers)
        self._heard = 0
        self._sent = 0
        self._again_ms = 0
        self._moved = trio.Event()
        for reader in readers:
            reader.on_frame = self._hear

    def _hear(self, data: bytes) -> None:
        if data[1] != MSG:
            return
        size = self._size
        sent_ns = int.from_bytes(data[-size : _TIME_BYTES - size], "big")
        self._run.latencies_ms.append((time.perf_counter_ns() - sent_ns) / 1e6)
        self._heard += 1
        if self._heard % self._readers == 0:
            self._moved.set()

    def _answered(self, answer: F.Ok | F.Err) -> None:
        if isinstance(answer, F.Err):
            self._run.refused += 1
            self._sent -= 1
            self._again_ms = max(self._again_ms, answer.retry_ms or 1)
            self._moved.set()

    def _pub(self) -> F.Frame:
        rid = self._publisher.next_rid()
        self._publisher.expect(rid, self._answered)
        body = time.perf_counter_ns().to_bytes(_TIME_BYTES, "big") + self._filling
        self._sent += 1
        return F.Pub(rid, self._topic, new_id(), flags=F.Flag.EPHEMERAL | F.Flag.NO_ECHO, body=body)

    async def load(self) -> None:
        """Until the time is over and everything has arrived."""
        while self._run.is_on:
            if self._again_ms:
                await trio.sleep(self._again_ms / 1000)
                self._again_ms = 0
            room = self._window - (self._sent - self._heard // self._readers)
            if room > 0:
                await self._publisher.send([self._pub() for _ in range(room)])
            await self._wait()
        with trio.move_on_after(BENCH_WAIT_S):
            while self._heard < self._sent * self._readers:
                await self._wait()
            return
        missing = self._sent * self._readers - self._heard
        raise BenchFailed(f"{missing} ephemeral messages did not arrive; use fewer connections or a smaller window")

    async def _wait(self) -> None:
        await self._publisher.until(self._moved)
        self._moved = trio.Event()


async def fan_out(crew: Crew, progress: Progress) -> Figures:
    """One publisher, everybody else follows."""
    options = crew.options
    people = await crew.people(options.connections + 1)
    for wire in people.wires:
        await wire.follow(people.topic)
    run = Run(options.seconds, progress)
    load = Ephemerals(run, people.wires[0], people.wires[1:], people.topic, options.window, options.body_bytes)
    await _shown(run, [load.load])
    return run.figures("fan-out", "deliveries", "from PUB to each subscriber")


async def one_to_one(crew: Crew, progress: Progress) -> Figures:
    """Pairs, each with one message under way."""
    options = crew.options
    people = await crew.newcomers(2 * max(1, options.connections // 2))
    couples = list(zip(people[::2], people[1::2], strict=True))
    topics = []
    for (one, sender), (other, reader) in couples:
        topics.append(await found(sender, one, [other]))
        await sender.follow(topics[-1])
        await reader.follow(topics[-1])
    run = Run(options.seconds, progress)
    loads = [
        Ephemerals(run, sender, [reader], topic, 1, options.body_bytes).load
        for topic, ((_, sender), (_, reader)) in zip(topics, couples, strict=True)
    ]
    await _shown(run, loads)
    return run.figures("one-to-one", "messages", "from PUB to the other")


class Stored:
    """Stored messages of one publisher, ``window`` of them without an answer."""

    def __init__(self, run: Run, wire: Wire, topic: bytes, window: int, size: int) -> None:
        self._run = run
        self._wire = wire
        self._topic = topic
        self._window = window
        self._body = os.urandom(size)
        self._waiting = 0
        self._again: list[bytes] = []
        self._again_ms = 0
        self._moved = trio.Event()
        self.stored = 0

    def _pub(self, id_: bytes) -> F.Frame:
        rid = self._wire.next_rid()
        began = time.perf_counter()

        def answered(answer: F.Ok | F.Err) -> None:
            self._waiting -= 1
            self._moved.set()
            if isinstance(answer, F.Ok):
                self.stored += 1
                self._run.latencies_ms.append((time.perf_counter() - began) * 1000)
            else:
                self._run.refused += 1
                self._again.append(id_)
                self._again_ms = max(self._again_ms, answer.retry_ms or 1)

        self._wire.expect(rid, answered)
        self._waiting += 1
        return F.Pub(rid, self._topic, id_, epoch=(1, 1), body=self._body)

    async def load(self) -> None:
        """Until the time is over and everything is answered."""
        await self.store(lambda: self._run.is_on)

    async def store(self, goes_on: Callable[[], bool]) -> None:
        """Store as long as ``goes_on`` says so, then wait for what is under way."""
        while (on := goes_on()) or self._waiting:
            if on and self._again_ms:
                await trio.sleep(self._again_ms / 1000)
                self._again_ms = 0
            room = self._window - self._waiting if on else 0
            if room > 0:
                again, self._again = self._again[:room], self._again[room:]
                fresh = [new_id() for _ in range(room - len(again))]
                await self._wire.send([self._pub(id_) for id_ in [*again, *fresh]])
            await self._wire.until(self._moved)
            self._moved = trio.Event()


async def stored(crew: Crew, progress: Progress) -> Figures:
    """Every connection stores messages in a conversation of its own."""
    options = crew.options
    people = await crew.newcomers(options.connections)
    topics = [await found(wire, account, []) for account, wire in people]
    run = Run(options.seconds, progress)
    loads = [
        Stored(run, wire, topic, options.window, options.body_bytes).load
        for topic, (_, wire) in zip(topics, people, strict=True)
    ]
    await _shown(run, loads)
    return run.figures("stored", "messages stored", "from PUB to OK")


async def catch_up(crew: Crew, progress: Progress) -> Figures:
    """A history is read from its beginning, by one reader after another."""
    options = crew.options
    account, wire = await crew.newcomer(devices=2)
    topic = await found(wire, account, [])
    writing = Run(options.seconds, lambda share: None)
    writer = Stored(writing, wire, topic, options.window, options.body_bytes)
    await writer.store(lambda: writer.stored < options.stored)
    run = Run(options.seconds, progress)
    read = 0

    async def readers() -> None:
        nonlocal read
        while run.is_on:
            read += await _read_all(crew, account, topic, run)

    await _shown(run, [readers])
    return run.figures("catch-up", "messages read", f"of {writer.stored:,} messages, from SUB to LIVE", read)


async def _read_all(crew: Crew, account: Account, topic: bytes, run: Run) -> int:
    """Read a history as the second device; how many messages came."""
    wire = await crew.wire()
    await wire.login(account, 1)
    count = 0
    live = trio.Event()

    def hear(data: bytes) -> None:
        nonlocal count
        if data[1] == MSG:
            count += 1
        elif data[1] == LIVE:
            live.set()

    wire.on_frame = hear
    began = time.perf_counter()
    await wire.follow(topic, last=0)
    await wire.until(live)
    run.latencies_ms.append((time.perf_counter() - began) * 1000)
    await wire.aclose()
    return count


async def connect_storm(crew: Crew, progress: Progress) -> Figures:
    """Devices that all come back at once, again and again: connect, log in, follow."""
    options = crew.options
    people = await crew.people(options.connections)
    await crew.aclose()
    run = Run(options.seconds, progress)
    loads = [partial(_come_back, crew, run, *place, people.topic) for place in people.places]
    await _shown(run, loads)
    if not run.latencies_ms:
        raise BenchFailed("nobody came back in this time; see the relay's bound connects_per_s")
    return run.figures("connect-storm", "logins", "from TCP to OK of the subscription")


async def _come_back(crew: Crew, run: Run, account: Account, device: int, topic: bytes) -> None:
    while run.is_on:
        began = time.perf_counter()
        try:
            wire = await crew.wire()
            await wire.login(account, device)
            await wire.follow(topic)
        except BenchFailed:
            run.refused += 1
            await trio.sleep(_PROGRESS_S)
            continue
        run.latencies_ms.append((time.perf_counter() - began) * 1000)
        await wire.aclose()


async def _shown(run: Run, loads: Sequence[Callable[[], Awaitable[None]]]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.show)
        for load in loads:
            nursery.start_soon(load)


LOADS: Final[dict[str, Callable[[Crew, Progress], Awaitable[Figures]]]] = {
    "fan-out": fan_out, "one-to-one": one_to_one, "stored": stored, "catch-up": catch_up,
    "connect-storm": connect_storm,
}  # fmt: skip
