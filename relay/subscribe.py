"""SUB: from positions to subscriptions.

The hub of every topic listens before its state is read, and the state is read again where an access change arrived in
between; OK and the start of all subscriptions then happen in one tick, so no entry falls between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from protocol import frames as F
from protocol.codec import encode_struct
from protocol.errors import Code
from protocol.position import chain_start
from relay.bounds import RETRY_MS
from relay.catchup import Catchup
from relay.context import Relay
from relay.hub import Hub, Owner, Subscription
from relay.hubs import Spawn
from relay.lease import Lease
from storage.base import Refused, StoreAway, Topics, TopicState

NIL = b"\xc0"
_STALE_READS_MAX = 8  # access of one topic does not change faster than this under any real use


@dataclass(frozen=True, slots=True)
class Start:
    """Where a subscription begins: behind an entry of ``generation``.

    ``reset``: the reader's history is of a generation that this log never had.
    """

    next: int
    generation: int
    reset: bool = False


def generation_at(state: TopicState, offset: int) -> int:
    """The generation of the entry at an offset: it changes above each place where the log was restored."""
    first = 1 if state.restores else state.generation
    return next((restored.generation for restored in reversed(state.restores) if restored.base < offset), first)


def place(want: F.Subscription, state: TopicState, head: int) -> Start | Code:
    """Where to begin, or why not; ``head`` is the highest one known. Pure.

    Live only: behind the head. ``last`` n: that many entries, none from before the account was let in
    (0: from the oldest on, which says what is missing). A position beyond the log is refused: the store has lost
    entries, or the reader's position is not of this log.
    """
    if want.start is not None:
        return _after(want.start, state, head)
    offset = head
    if want.last is not None:
        offset = max(head - want.last, state.since, 0) if want.last else 0
    return Start(offset + 1, state.generation if offset == head else generation_at(state, offset))


def _after(position: tuple[int, int], state: TopicState, head: int) -> Start | Code:
    """Behind a position. What a reader has beyond the place where the log was restored is not in it any more."""
    generation, offset = position
    if generation == state.generation:
        return Code.CONFLICT if offset > head else Start(offset + 1, generation)
    following = next((restored for restored in state.restores if restored.generation > generation), None)
    if following is None:
        return Start(1, generation_at(state, 1), reset=True)
    return Start(min(offset, following.base) + 1, generation)


async def read_states(
    topics: Topics, account: bytes, wanted: tuple[F.Subscription, ...], hubs: list[Hub]
) -> list[TopicState | None] | None:
    """States of the topics that no later access change has overtaken. None: they changed all the time."""
    names = [want.topic for want in wanted]
    for _ in range(_STALE_READS_MAX):
        states = await topics.states(names, account)
        pairs = zip(hubs, states, strict=True)
        if not any(state is not None and hub.is_started and hub.is_stale(account, state.head) for hub, state in pairs):
            return states
    return None


class Client(Owner, Protocol):
    """What this module needs of its connection."""

    device: bytes
    is_registered: bool
    is_shared: bool
    lease: Lease | None

    @property
    def is_over(self) -> bool: ...

    def reply(self, rid: int, result: bytes) -> None: ...

    def refuse(self, rid: int, refusal: Refused) -> None: ...


class Subscriptions:
    """The subscriptions of one connection, one per topic."""

    __slots__ = ("_by_tid", "_by_topic", "_catchup", "_client", "_hubs", "_slots", "_spawn", "_topics", "most")

    def __init__(self, client: Client, relay: Relay, catchup: Catchup, spawn: Spawn) -> None:
        self._client = client
        self._topics = relay.store.topics
        self._hubs = relay.hubs
        self._slots = relay.slots
        self._catchup = catchup
        self._spawn = spawn
        self.most = relay.settings.subscriptions_max  # unless the account has a bound of its own
        self._by_tid: dict[int, Subscription] = {}
        self._by_topic: dict[bytes, Subscription] = {}

    def of_topic(self, topic: bytes) -> Subscription | None:
        """The subscription of a topic, if there is one."""
        return self._by_topic.get(topic)

    def __len__(self) -> int:
        return len(self._by_tid)

    async def subscribe(self, frame: F.Sub) -> None:
        """Answer a SUB and begin what it asks for."""
        client, wanted = self._client, frame.topics
        if not client.is_registered:
            text = "this device is not registered yet; send devices.publish first"
            client.refuse(frame.rid, Refused(Code.UNAUTHENTICATED, text))
            return
        if wanted is None:
            self._lease(frame)
            return
        hubs = [self._hubs.pin(want.topic) for want in wanted]
        try:
            states = await read_states(self._topics, client.account, wanted, hubs)
            if states is None:
                raise StoreAway("access to one of the topics keeps changing")
            if not client.is_over:
                self._begin(frame.rid, wanted, hubs, states)
        except StoreAway as error:
            client.refuse(frame.rid, Refused(Code.STORE_AWAY, f"{error}; retry"[:400], retry_ms=RETRY_MS))
        finally:
            for hub in hubs:
                self._hubs.unpin(hub)

    def _lease(self, frame: F.Sub) -> None:
        """A process of a worker wants slots: OK, then EVT ``slots``, and the topics of what it holds as they have news.

        A second SUB of this kind changes nothing.
        """
        client = self._client
        if not client.is_shared:
            text = f"slots are for workers: a service account, with {F.SLOTS_FEATURE!r} among the features of CONNECT"
            client.refuse(frame.rid, Refused(Code.FORBIDDEN, text))
            return
        if client.lease is None:
            lease = Lease(client, self, self._spawn)
            refusal = self._slots.join(lease, frame.worker_group or F.GROUP_SHARED)
            if refusal is not None:
                client.refuse(frame.rid, refusal)
                return
            client.lease = lease
        client.reply(frame.rid, NIL)

    async def deliver(self, lease: Lease, topics: list[bytes]) -> None:
        """Begin topics of held slots, each from its cursor, with an EVT ``topic`` before its first frame.

        Raises ``StoreAway``: nothing was begun.
        """
        wanted = tuple(F.Subscription(topic) for topic in topics)
        hubs = [self._hubs.pin(topic) for topic in topics]
        try:
            states = await read_states(self._topics, self._client.account, wanted, hubs)
            if states is None:
                raise StoreAway("access to one of the topics keeps changing")
            for topic, hub, state in zip(topics, hubs, states, strict=True):
                if not self._client.is_over and lease.holds(topic) and topic not in self._by_topic:
                    self._deliver(lease, hub, state)
        finally:
            for hub in hubs:
                self._hubs.unpin(hub)

    def _deliver(self, lease: Lease, hub: Hub, state: TopicState | None) -> None:
        if state is None:
            lease.lost(hub.topic)
            return
        hub.start(state)
        cursor = max(lease.cursor(hub.topic), state.since)
        subscription = Subscription(hub, self._client, min(cursor, max(state.head, hub.head)) + 1, state)
        hub.join(subscription)
        self._by_tid[hub.tid] = self._by_topic[hub.topic] = subscription
        lease.began(subscription, state)
        self._catchup.start(subscription)

    def drop_topic(self, topic: bytes) -> None:
        """End a subscription silently; EVT ``topic`` begins it anew."""
        subscription = self._by_topic.get(topic)
        if subscription is not None:
            self._drop(subscription)

    def _begin(
        self, rid: int, wanted: tuple[F.Subscription, ...], hubs: list[Hub], states: list[TopicState | None]
    ) -> None:
        """OK, then every subscription's first frames: all in one tick, so that nothing falls in between."""
        results: list[F.SubResult] = []
        started: list[tuple[Subscription, Start]] = []
        for want, hub, state in zip(wanted, hubs, states, strict=True):
            self._admit(want, hub, state, results, started)
        self._client.reply(rid, encode_struct(results))
        for subscription, start in started:
            if subscription.is_over:
                continue  # the same SUB named the topic twice
            if start.reset:
                hub = subscription.hub
                self._client.send(F.Gap(hub.tid, start.generation, 1, 0, F.GapReason.RESET, chain_start(hub.topic)))
            subscription.cross()
            self._catchup.start(subscription)

    def _admit(
        self, want: F.Subscription, hub: Hub, state: TopicState | None, results: list[F.SubResult],
        started: list[tuple[Subscription, Start]],
    ) -> None:  # fmt: skip
        if state is None:
            results.append(F.SubResult(0, code=Code.NOT_FOUND))
            return
        old = self._by_topic.get(want.topic)
        if old is None and len(self._by_tid) >= self.most:
            results.append(F.SubResult(0, code=Code.TOO_LARGE))
            return
        hub.start(state)
        head = max(state.head, hub.head)
        start = place(want, state, head)
        if isinstance(start, Code):
            results.append(F.SubResult(0, state.generation, head, state.group, state.fence, start))
            return
        if old is not None:
            self._drop(old)  # subscribing again moves the position
        subscription = Subscription(hub, self._client, start.next, state, start.generation)
        hub.join(subscription)
        self._by_tid[hub.tid] = self._by_topic[want.topic] = subscription
        if self._client.lease is not None:
            self._client.lease.followed(subscription)
        results.append(F.SubResult(hub.tid, start.generation, head, state.group, state.fence))
        started.append((subscription, start))

    def unsubscribe(self, frame: F.Unsub) -> None:
        """End subscriptions; tids that are none are ignored, since they may just have been closed."""
        for tid in frame.tids:
            subscription = self._by_tid.get(tid)
            if subscription is not None:
                self._drop(subscription)
        self._client.reply(frame.rid, NIL)

    def acknowledge(self, frame: F.Ack) -> None:
        """Note how far the device has come; an ACK of what was not sent is ignored."""
        subscription, lease = self._by_tid.get(frame.tid), self._client.lease
        if subscription is None or not 0 < frame.offset < subscription.next:
            return
        topic = subscription.hub.topic
        if lease is None or lease.acknowledged(topic, frame.offset, frame.token):
            self._topics.acknowledge_nowait(topic, self._client.device, frame.offset)

    def leave_all(self) -> None:
        """The connection is over."""
        if self._client.lease is not None:
            self._client.lease.close()
            self._slots.leave(self._client.lease)
        for subscription in list(self._by_tid.values()):
            self._drop(subscription)

    def _drop(self, subscription: Subscription) -> None:
        subscription.hub.leave(subscription)
        self.forget(subscription)

    def forget(self, subscription: Subscription) -> None:
        """A subscription has left its hub."""
        hub = subscription.hub
        if self._by_tid.get(hub.tid) is subscription:
            del self._by_tid[hub.tid]
            del self._by_topic[hub.topic]
            if self._client.lease is not None:
                self._client.lease.ended(hub.topic)
        self._catchup.forget(subscription)
        self._hubs.rest(hub)
