"""The hand-over rules under any order of events: what a reader gets is the log, without hole, repetition or disorder.

Entries are committed here (and offered to the hub), or elsewhere (and announced late, twice, or never, until a
heartbeat tells the head); readers come, get stuck, read on, vanish and come back from where they were; reads of the
store take as long as they like and may be stale when they arrive.
"""

from __future__ import annotations

from collections.abc import Callable

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.frames import Gap, Live, Msg
from relay.catchup import Catchup
from relay.config import Settings
from relay.hub import Subscription
from tests.conftest import LONG
from tests.support.lab import settle
from tests.support.logs import TOPIC, Follower, Log, joined, make_hubs

BOUND = 300  # two frames
SETTINGS = Settings(ring_frames=3, ring_bytes_max=4096, outbound_bytes_max=BOUND)
READERS = 3
#: (what, number): the number picks a reader, a count or an offset, whatever the step needs.
STEPS = st.tuples(
    st.sampled_from(
        ["here", "here", "here", "elsewhere", "announce", "announce", "heartbeat", "subscribe", "subscribe", "stuck",
         "take", "vanish", "tick", "tick", "settle", "away", "back", "erase"]
    ),
    st.integers(0, 30),
)  # fmt: skip
PAUSES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=30)


class Reader:
    """A client that keeps its place: what it has applied, across connections."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.position = 0
        self.follower: Follower | None = None
        self.subscription: Subscription | None = None
        self.catchup: Catchup | None = None
        self._read = 0

    def subscribe(self) -> None:
        """Connect and subscribe from the own position."""
        if self.follower is not None:
            return
        world = self._world
        follower = self.follower = Follower(bound=BOUND)
        self._read = 0
        catchup = self.catchup = Catchup(follower.peer, world.log.log, BOUND, world.counters, world.spawn)  # type: ignore[arg-type]
        follower.on_behind_hook = catchup.start

        class Writable:
            on_message = on_text = on_closed = None

            @staticmethod
            def on_writable() -> None:
                catchup.on_writable()

        follower.peer.handler = Writable  # type: ignore[assignment]
        world.nursery.start_soon(self._subscribe, follower, catchup)

    async def _subscribe(self, follower: Follower, catchup: Catchup) -> None:
        hub = self._world.hubs.pin(TOPIC)
        await trio.lowlevel.checkpoint()
        head = self._world.log.head
        await trio.lowlevel.checkpoint()
        if self.follower is follower:
            self.subscription = joined(self._world.hubs, follower, head, self.position + 1)
            catchup.start(self.subscription)
        self._world.hubs.unpin(hub)

    def vanish(self) -> None:
        """Lose the connection, with all that was not read yet."""
        if self.follower is None or self.catchup is None:
            return
        self.read()
        self.catchup.close()
        if self.subscription is not None:
            self.subscription.hub.leave(self.subscription)
            self._world.hubs.rest(self.subscription.hub)
        self.follower = self.subscription = self.catchup = None

    def read(self) -> None:
        """Apply what has arrived; each frame must be exactly the next one."""
        assert self.follower is not None
        frames = self.follower.peer.frames
        for frame in frames[self._read :]:
            if isinstance(frame, Msg):
                assert frame.offset == self.position + 1, "a hole or a repetition"
                assert frame.id == self._world.log.entries[frame.offset - 1].id
                self.position = frame.offset
            elif isinstance(frame, Gap):
                assert frame.first == self.position + 1
                assert frame.hash == self._world.log.entries[frame.last - 1].hash
                self.position = frame.last
            elif isinstance(frame, Live):
                assert frame.offset == self.position, "live, but not at the head that it names"
        self._read = len(frames)


class World:
    """One node, one topic, some readers."""

    def __init__(self, nursery: trio.Nursery, pauses: list[tuple[int, int]]) -> None:
        self.nursery = nursery
        self.log = Log()
        self.log.pauses.extend(pauses)
        self.hubs, _, self.counters = make_hubs(self.log, nursery, SETTINGS)
        self.readers = [Reader(self) for _ in range(READERS)]
        self.unheard: list[int] = []  # committed elsewhere, not announced here yet

    def spawn(self, name: str, run: Callable[[], object], failed: object = None) -> None:
        """Start a task."""
        self.nursery.start_soon(run, name=name)  # type: ignore[arg-type]

    async def step(self, what: str, number: int) -> None:
        """One event."""
        reader = self.readers[number % READERS]
        if what == "here":
            for _ in range(1 + number % 4):
                self.hubs.committed(self.log.commit())
        elif what == "elsewhere":
            self.unheard += [self.log.commit().offset for _ in range(1 + number % 4)]
        elif what == "announce" and self.unheard:
            self._offer(self.unheard[number % len(self.unheard)])
        elif what == "heartbeat" and (hub := self.hubs.get(TOPIC)) is not None:
            hub.hear(self.log.head)
        elif what == "subscribe":
            reader.subscribe()
        elif what == "vanish":
            reader.vanish()
        elif what == "stuck" and reader.follower is not None:
            reader.follower.peer.is_stuck = True
        elif what == "take" and reader.follower is not None:
            reader.follower.peer.take(None if number > 20 else number // 8)
        elif what == "erase" and self.log.head > 4:
            self._erase(number)
        elif what in ("away", "back"):
            self.log.is_away = what == "away"
        elif what == "settle":
            await settle()
        await trio.lowlevel.checkpoint()
        for each in self.readers:
            if each.follower is not None:
                each.read()

    def _offer(self, offset: int) -> None:
        hub = self.hubs.get(TOPIC)
        if hub is not None:
            hub.offer(self.log.entries[offset - 1])

    def _erase(self, number: int) -> None:
        """Retention takes bodies that every ring has long lost, so that what is sent stays the same for all."""
        first = 1 + number % (self.log.head - 4)
        if all(hole.last < first for hole in self.log.holes):
            self.log.erase(first, first)

    async def finish(self) -> None:
        """Faults end; everybody connects, reads, and has all of it."""
        self.log.is_away = False
        for reader in self.readers:
            reader.subscribe()
        if (hub := self.hubs.get(TOPIC)) is not None:
            hub.hear(self.log.head)  # the last heartbeat: nothing is said again
        for _ in range(40):
            await trio.sleep(1)
            for reader in self.readers:
                if reader.follower is not None:
                    reader.follower.peer.take()
                    reader.read()
        assert [reader.position for reader in self.readers] == [self.log.head] * READERS
        assert all(reader.subscription is not None and reader.subscription.is_live for reader in self.readers)


async def _run(steps: list[tuple[str, int]], pauses: list[tuple[int, int]]) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery, pauses)
        for what, number in steps:
            await world.step(what, number)
        await world.finish()
        nursery.cancel_scope.cancel()


@settings(max_examples=1000 if LONG else 300)
@given(st.lists(STEPS, min_size=10, max_size=80), PAUSES)
def test_every_reader_gets_the_log(steps: list[tuple[str, int]], pauses: list[tuple[int, int]]) -> None:
    trio.run(_run, steps, pauses, clock=trio.testing.MockClock(autojump_threshold=0))
