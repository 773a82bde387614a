"""History for the subscriptions of one connection that are behind: round-robin, at the connection's own pace.

Each turn reads at most ``CATCHUP_BYTES`` for one subscription, from the hub's ring where it reaches, else from the
store, and stops where the outbound buffer is over its bound. A subscription that arrives at the head goes live in the
same tick in which ``next`` was compared (rule 4 of ``relay.hub``).
"""

from __future__ import annotations

from collections import OrderedDict

import trio

from protocol.errors import Code
from protocol.frames import GapReason
from protocol.limits import CATCHUP_BYTES, TOPIC_READ_ENTRIES_MAX
from relay.bounds import CATCHUP_RETRY_MS
from relay.counters import Counters
from relay.hub import Subscription
from relay.hubs import Spawn
from relay.seam import Peer
from storage.base import Hole, Page, StoreAway, Topics


class Catchup:
    """The backlog of one connection; its task lives only while there is one."""

    __slots__ = ("_backlog", "_bound", "_counters", "_is_closed", "_is_running", "_peer", "_room", "_spawn", "_topics")

    def __init__(self, peer: Peer, topics: Topics, bound: int, counters: Counters, spawn: Spawn) -> None:
        self._peer = peer
        self._topics = topics
        self._bound = bound
        self._counters = counters
        self._spawn = spawn
        self._backlog: OrderedDict[Subscription, None] | None = None  # only while there is one
        self._room: trio.Event | None = None  # somebody waits for room
        self._is_running = False
        self._is_closed = False

    def start(self, subscription: Subscription) -> None:
        """Serve a subscription until it is live: at once if it is at the head already."""
        if self._is_closed:
            return
        if subscription.next > subscription.since and subscription.hub.attach(subscription):
            return
        self._put(subscription)
        if not self._is_running:
            self._is_running = True
            self._spawn("catch-up", self._run)

    def _put(self, subscription: Subscription) -> None:
        if self._backlog is None:
            self._backlog = OrderedDict()
        self._backlog[subscription] = None

    def forget(self, subscription: Subscription) -> None:
        """The subscription has ended."""
        if self._backlog is not None:
            self._backlog.pop(subscription, None)

    def on_writable(self) -> None:
        """The peer has room again."""
        if self._room is not None:
            self._room.set()

    def close(self) -> None:
        """The connection is over."""
        self._is_closed = True
        self._backlog = None
        self.on_writable()

    def __len__(self) -> int:
        return len(self._backlog or ())

    async def room(self) -> None:
        """Wait while the outbound buffer is over its bound; returns at once after ``close``."""
        while self._peer.buffered_bytes > self._bound and not self._is_closed:
            if self._room is None or self._room.is_set():
                self._room = trio.Event()
            await self._room.wait()

    async def _run(self) -> None:
        try:
            while self._backlog:
                await self.room()
                if not self._backlog:
                    break
                subscription, _ = self._backlog.popitem(last=False)
                try:
                    await self._turn(subscription)
                except StoreAway:
                    await trio.sleep(CATCHUP_RETRY_MS / 1000)
                if not (self._is_closed or subscription.is_over or subscription.is_live):
                    self._put(subscription)
        finally:
            self._is_running = False
            if not self._backlog:
                self._backlog = None

    async def _turn(self, subscription: Subscription) -> None:
        hub = subscription.hub
        if subscription.is_over or subscription.is_live:
            return
        if subscription.next <= subscription.since:
            await self._send_policy_gap(subscription)
        elif subscription.until is not None and subscription.next > subscription.until:
            subscription.end(Code.NOT_FOUND, "you were removed from this conversation")
        elif hub.attach(subscription):
            pass
        elif hub.ring.covers(subscription.next):
            self._send_ring(subscription)
            await trio.lowlevel.checkpoint()
        else:
            page = await self._topics.read(hub.topic, subscription.next - 1, TOPIC_READ_ENTRIES_MAX, CATCHUP_BYTES)
            self._send_page(subscription, page)
            if not page.items:
                await trio.sleep(CATCHUP_RETRY_MS / 1000)  # the hub knows of more than this read does

    def _send_ring(self, subscription: Subscription) -> None:
        sent = 0
        for frame in subscription.hub.ring.read_from(subscription.next):
            if self._must_stop(subscription) or sent > CATCHUP_BYTES:
                return
            self._peer.send_framed_nowait(frame)
            subscription.next += 1
            sent += len(frame)
            self._counters.history += 1

    def _send_page(self, subscription: Subscription, page: Page) -> None:
        if not subscription.is_over and page.generation != subscription.hub.generation:
            subscription.end(Code.STORE_AWAY, "the log was restored from a backup; subscribe again", 0)
        for item in page.items:
            if self._must_stop(subscription):
                return
            if isinstance(item, Hole):
                subscription.send_gap(item)
                self._counters.gaps += 1
            else:
                subscription.send_entry(item)
                self._counters.history += 1

    def _must_stop(self, subscription: Subscription) -> bool:
        return (
            subscription.is_over
            or self._peer.buffered_bytes > self._bound
            or (subscription.until is not None and subscription.next > subscription.until)
        )

    async def _send_policy_gap(self, subscription: Subscription) -> None:
        """What lies before the account was let in: one GAP that ends with the chain's hash there."""
        since = subscription.since
        page = await self._topics.read(subscription.hub.topic, since - 1, 1, 1)
        if subscription.is_over or not page.items:
            return
        item = page.items[0]
        last = item.last if isinstance(item, Hole) else since
        subscription.send_gap(Hole(subscription.next, max(last, since), GapReason.POLICY, item.hash))
        self._counters.gaps += 1
