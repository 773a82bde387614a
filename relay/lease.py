"""What one process of a worker holds: tokens of slots, and the topics of them that are being delivered.

Rule 1.  A topic of a held slot is begun when it has news, from the worker's cursor on. EVT ``topic`` comes before its
         first frame, so the process need not know which topics there are.
Rule 2.  At most ``LEASED_TOPICS_MAX`` topics are followed at a time. A topic that was acknowledged up to its head makes
         room for one that waits; it is begun anew when it has news again. So the cost follows what happens, not what
         there is.
Rule 3.  ACK moves the worker's cursor of a topic only with the token of its slot.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol

import msgspec
import trio

from protocol.codec import encode_struct
from protocol.frames import Evt, Frame
from protocol.ids import slot_of
from protocol.limits import LEASED_TOPICS_MAX
from protocol.requests import SlotsChanged, TopicNews
from relay.bounds import LEASE_BEGIN_TOPICS, RETRY_MS
from relay.hub import Subscription
from storage.base import StoreAway, TopicState

LEASE_BYTES: Final = 8  # a token of a slot as it travels
Spawn = Callable[[str, Callable[[], Awaitable[None]]], None]


class Process(Protocol):
    """What a lease needs of its connection."""

    @property
    def account(self) -> bytes: ...

    @property
    def device(self) -> bytes: ...

    def send(self, frame: Frame) -> None: ...


class Deliverer(Protocol):
    """What begins and ends the subscriptions of a lease."""

    async def deliver(self, lease: Lease, topics: list[bytes]) -> None: ...

    def drop_topic(self, topic: bytes) -> None: ...


class Lease:
    """One process of a worker at the relay."""

    def __init__(self, process: Process, deliverer: Deliverer, spawn: Spawn) -> None:
        self.account = process.account
        self.device = process.device
        self.tokens: dict[int, int] = {}  # slot → token
        self.cursors: dict[bytes, int] = {}  # of all topics of the worker; shared by its processes
        self._process = process
        self._deliverer = deliverer
        self._spawn = spawn
        self._waiting: OrderedDict[bytes, None] = OrderedDict()  # topics that have news
        self._followed: OrderedDict[bytes, Subscription] = OrderedDict()  # longest unused first
        self._room = trio.Event()
        self._is_running = False
        self.is_over = False

    @property
    def behind(self) -> int:
        """Topics that wait to be begun."""
        return len(self._waiting)

    # -- slots ---------------------------------------------------------------------------------------------------------
    def granted(self, tokens: dict[int, int]) -> None:
        """These slots are this process's from now on."""
        self.tokens.update(tokens)
        self._tell("slots", SlotsChanged(granted=tuple(sorted(tokens.items()))))

    def revoked(self, slots: Iterable[int]) -> None:
        """Ask for slots back: nothing of them is delivered any more, and what was is still to be written."""
        taken = frozenset(slots)
        for topic in [topic for topic in self._followed if slot_of(topic) in taken]:
            self._deliverer.drop_topic(topic)
        for topic in [topic for topic in self._waiting if slot_of(topic) in taken]:
            del self._waiting[topic]
        for slot in taken:
            self.tokens.pop(slot, None)
        self._tell("slots", SlotsChanged(revoked=tuple(sorted(taken))))

    def holds(self, topic: bytes) -> bool:
        """Whether a topic's slot is this process's."""
        return slot_of(topic) in self.tokens

    def _tell(self, name: str, payload: SlotsChanged | TopicNews) -> None:
        self._process.send(Evt(name, msgspec.Raw(encode_struct(payload))))

    def close(self) -> None:
        """The connection is over."""
        self.is_over = True
        self._waiting.clear()
        self._room.set()

    # -- topics --------------------------------------------------------------------------------------------------------
    def offer(self, topic: bytes) -> None:
        """A topic of a held slot has news."""
        if self.is_over or topic in self._followed:
            return
        self._waiting[topic] = None
        if not self._is_running:
            self._is_running = True
            self._spawn("lease", self._run)

    async def _run(self) -> None:
        try:
            while self._waiting:
                room = self._make_room()
                if not room:
                    self._room = trio.Event()
                    await self._room.wait()
                    continue
                taken = [self._waiting.popitem(last=False)[0] for _ in range(min(room, len(self._waiting)))]
                try:
                    await self._deliverer.deliver(self, [topic for topic in taken if self.holds(topic)])
                except StoreAway:
                    for topic in reversed(taken):
                        self._waiting[topic] = None
                        self._waiting.move_to_end(topic, last=False)
                    await trio.sleep(RETRY_MS / 1000)
        finally:
            self._is_running = False

    def _make_room(self) -> int:
        """How many topics may begin now; those that are done make room."""
        wanted = min(LEASE_BEGIN_TOPICS, len(self._waiting))
        missing = len(self._followed) + wanted - LEASED_TOPICS_MAX
        if missing > 0:
            done = [topic for topic, subscription in self._followed.items() if self._is_done(topic, subscription)]
            for topic in done[:missing]:
                self._deliverer.drop_topic(topic)
        return min(wanted, LEASED_TOPICS_MAX - len(self._followed))

    def _is_done(self, topic: bytes, subscription: Subscription) -> bool:
        return subscription.is_live and self.cursors.get(topic, 0) >= subscription.next - 1

    def began(self, subscription: Subscription, state: TopicState) -> None:
        """A subscription of a held slot begins: say so before its first frame."""
        hub = subscription.hub
        self.followed(subscription)
        head = max(hub.head, state.head)
        self._tell("topic", TopicNews(hub.tid, hub.topic, hub.generation, subscription.next, head, state.fence))

    def followed(self, subscription: Subscription) -> None:
        """A topic is followed from now on, by lease or by name."""
        self._waiting.pop(subscription.hub.topic, None)
        self._followed[subscription.hub.topic] = subscription

    def ended(self, topic: bytes) -> None:
        """A topic is not followed any more."""
        self._followed.pop(topic, None)
        self._room.set()

    def lost(self, topic: bytes) -> None:
        """The worker is not on the topic's list any more: tid 0 says so."""
        self.cursors.pop(topic, None)
        self._tell("topic", TopicNews(0, topic, 0, 0, 0, 0))

    def cursor(self, topic: bytes) -> int:
        """Offset up to which the worker has acknowledged a topic."""
        return self.cursors.get(topic, 0)

    def acknowledged(self, topic: bytes, offset: int, token: bytes | None) -> bool:
        """Move the cursor of a topic. False: the token is not that of its slot, so the ACK does not count."""
        held = self.tokens.get(slot_of(topic))
        if held is None or token != held.to_bytes(LEASE_BYTES, "big"):
            return False
        self.cursors[topic] = max(self.cursors.get(topic, 0), offset)
        if topic in self._followed:
            self._followed.move_to_end(topic)
        self._room.set()
        return True
