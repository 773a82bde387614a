"""A log to test hubs with: entries by number, reads that take as long as they are told, followers that write down."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from protocol.codec import encode_struct
from protocol.frames import AccessChange, Closed, Flag, Frame, GapReason, Live, Msg
from protocol.ids import TopicKind
from relay.broker.memory import Bus, MemoryBroker
from relay.config import Settings
from relay.counters import Counters
from relay.hub import Subscription
from relay.hubs import Hubs
from storage.base import Entry, Hole, Page, StoreAway, TopicState
from storage.decisions import Restored
from storage.memory import MemoryStore
from tests.support.lab import FakePeer

TOPIC = b"T" * 32
ALICE, BOB = b"A" * 32, b"B" * 32


def entry(
    offset: int,
    *,
    topic: bytes = TOPIC,
    flags: int = 0,
    header: bytes = b"",
    body: bytes = b"body",
    generation: int = 1,
) -> Entry:
    """The entry of an offset; its id and hash follow from it."""
    name = hashlib.sha256(b"%d" % offset).digest()
    return Entry(topic, generation, offset, name[:16], ALICE, b"D" * 32, 1000 + offset, flags, 1, 0, header, body, name)


def access_entry(offset: int, change: AccessChange) -> Entry:
    """An entry that changes access."""
    return entry(offset, flags=Flag.ACCESS | Flag.COMMIT, header=encode_struct(change))


def state(
    head: int, *, role: int = 2, since: int = 0, generation: int = 1, topic: bytes = TOPIC,
    restores: tuple[Restored, ...] = (),
) -> TopicState:  # fmt: skip
    """A member's view of a topic."""
    return TopicState(topic, TopicKind.GROUP, generation, head, bytes(32), 1, 1, 0, role, since, restores)


class Log(MemoryStore):
    """The log of ``TOPIC``. ``pauses``: how many ticks the next reads take, before and after they look."""

    def __init__(self) -> None:
        super().__init__(clock_ms=lambda: 0)
        self.entries: list[Entry] = []
        self.holes: list[Hole] = []
        self.generation = 1
        self.is_away = False
        self.reads: list[tuple[int, int]] = []  # (after, items)
        self.pauses: deque[tuple[int, int]] = deque()
        self.log = LogTopics(self)

    @property
    def head(self) -> int:
        """Offset of the last entry."""
        return len(self.entries)

    def commit(self, made: Entry | None = None) -> Entry:
        """Append one entry."""
        self.entries.append(made or entry(self.head + 1, generation=self.generation))
        return self.entries[-1]

    def erase(self, first: int, last: int) -> None:
        """Make a hole."""
        self.holes.append(Hole(first, last, GapReason.RETENTION, self.entries[last - 1].hash))


class LogTopics:
    """``storage.base.Topics.read`` over a ``Log``."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def read(self, topic: bytes, after: int, entries_max: int, bytes_max: int) -> Page:
        """See the seam."""
        log = self._log
        before, behind = log.pauses.popleft() if log.pauses else (0, 0)
        for _ in range(before + 1):
            await trio.lowlevel.checkpoint()
        if log.is_away:
            raise StoreAway("the store is away")
        items: list[Entry | Hole] = []
        offset = after + 1
        while offset <= log.head and len(items) < entries_max:
            hole = next((h for h in log.holes if h.first <= offset <= h.last), None)
            items.append(hole or log.entries[offset - 1])
            offset = hole.last + 1 if hole else offset + 1
        page = Page(log.generation, log.head, tuple(items))
        for _ in range(behind):
            await trio.lowlevel.checkpoint()
        log.reads.append((after, len(items)))
        return page


class Follower:
    """A ``hub.Owner`` that writes down what it was told."""

    def __init__(self, account: bytes = ALICE, bound: int = 1000) -> None:
        self.account = account
        self.device = b"D" * 32
        self.peer = FakePeer(bound)
        self.behind: list[Subscription] = []
        self.ended: list[Subscription] = []
        self.on_behind_hook: Callable[[Subscription], None] | None = None

    def send(self, frame: Frame) -> None:
        """A frame of its own."""
        self.peer.send_nowait(encode_struct(frame))

    def on_behind(self, subscription: Subscription) -> None:
        """Not live any more."""
        self.behind.append(subscription)
        if self.on_behind_hook is not None:
            self.on_behind_hook(subscription)

    def on_ended(self, subscription: Subscription) -> None:
        """CLOSED was sent."""
        self.ended.append(subscription)

    @property
    def offsets(self) -> list[int]:
        """Entries received."""
        return [frame.offset for frame in self.peer.frames if isinstance(frame, Msg)]

    @property
    def lives(self) -> list[int]:
        """LIVE frames received."""
        return [frame.offset for frame in self.peer.frames if isinstance(frame, Live)]

    @property
    def closed(self) -> list[int]:
        """Codes of CLOSED frames received."""
        return [frame.code for frame in self.peer.frames if isinstance(frame, Closed)]


def make_hubs(log: Log, nursery: trio.Nursery, settings: Settings | None = None) -> tuple[Hubs, Bus, Counters]:
    """A registry of hubs over a log, alone on its bus."""
    bus, counters = Bus(), Counters()
    broker = MemoryBroker(bus, lambda channel, data: None)
    bus.nodes.append(broker)

    def spawn(name: str, run: Callable[[], Awaitable[None]], failed: Callable[[], None] | None = None) -> None:
        nursery.start_soon(run, name=name)

    return Hubs(settings or Settings(), log.log, broker, counters, spawn), bus, counters  # type: ignore[arg-type]


def joined(
    hubs: Hubs, follower: Follower, head: int, next_: int | None = None, at: int | None = None, **changes: Any
) -> Subscription:  # fmt: skip
    """A subscription of a follower, joined but not live, as SUB makes it; ``at``: its generation."""
    hub = hubs.pin(TOPIC)
    known = state(head, **changes)
    hub.start(known)
    subscription = Subscription(hub, follower, head + 1 if next_ is None else next_, known, at)
    hub.join(subscription)
    hubs.unpin(hub)
    return subscription
