"""One topic in this process: its head, its recent frames, and who follows it.

The hand-over rules, as they were model-checked:

Rule 1.  A hub listens before it reads its head: until ``start`` it only remembers the highest offset heard of.
Rule 2.  A hub is contiguous: an entry above ``head + 1`` is only heard of, and the gap is filled from the store once
         for all subscribers. What is heard of during a fill is filled next.
Rule 3.  A frame is sent to a subscription only if its offset equals ``next``; a lower one is dropped.
Rule 4.  Going live is a compare of ``next`` with the head and the attach, in one tick without an await.
Rule 5.  A subscriber whose buffer is full is no longer live: its subscription reads on at its own pace.
Rule 6.  Access changes are applied in offset order, after the entry that brings them was delivered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

from protocol.codec import decode_struct, encode_struct
from protocol.errors import Code
from protocol.frames import AccessChange, Closed, Flag, Frame, Gap, GapReason, Live, Msg
from protocol.ids import TopicKind
from relay.bounds import REMOVED_KEPT_MAX
from relay.counters import Counters
from relay.framing import binary_frame
from relay.seam import Peer
from storage.base import Entry, Hole, Page, TopicState
from storage.decisions import Restored

_ERASED_BY_ORDER = int(Flag.ERASE)


class Owner(Protocol):
    """What a hub needs of the connection that subscribed."""

    @property
    def account(self) -> bytes: ...

    @property
    def peer(self) -> Peer: ...

    def send(self, frame: Frame) -> None:
        """Send a frame that is this connection's alone."""
        ...

    def on_behind(self, subscription: Subscription) -> None:
        """The subscription is not live any more: serve it from ring or store."""
        ...

    def on_ended(self, subscription: Subscription) -> None:
        """The topic has ended the subscription (CLOSED was sent): forget it."""
        ...


class Subscription:
    """A reader of a topic: one number, ``next``.

    ``since``: what lies at or below it was before the account was let in. ``admitted``: the log's head when access was
    checked, so that older access changes do not end it. ``until``: the entry that removed the account, the last one.
    ``generation``: of the entry before ``next``; where the log was restored from a backup, the reader is told.
    """

    __slots__ = ("admitted", "generation", "hub", "is_live", "is_over", "next", "owner", "role", "since", "until")

    def __init__(
        self, hub: Hub, owner: Owner, next_: int, state: TopicState, generation: int | None = None
    ) -> None:  # fmt: skip
        self.hub = hub
        self.generation = state.generation if generation is None else generation
        self.owner = owner
        self.next = next_
        self.role = state.role
        self.since = state.since
        self.admitted = state.head
        self.until: int | None = None
        self.is_live = False
        self.is_over = False

    def send_entry(self, entry: Entry) -> None:
        """Send one entry from the store, if it is the next one."""
        if entry.offset == self.next:
            self.owner.peer.send_framed_nowait(encode_entry(self.hub.tid, entry))
            self.next += 1
            if self.generation != self.hub.generation:
                self.cross()

    def send_gap(self, hole: Hole) -> None:
        """Tell the reader that entries will not come, and go on behind them; a border that lies in them is told too."""
        for border in self.hub.restores:
            if border.generation > self.generation and self.next <= border.base < hole.last:
                self._gap(Hole(hole.first, border.base, hole.reason, border.hash))
        if hole.last >= self.next:
            self._gap(hole)

    def _gap(self, hole: Hole) -> None:
        first = max(hole.first, self.next)
        self.owner.send(Gap(self.hub.tid, self.generation, first, hole.last, hole.reason, hole.hash))
        self.next = hole.last + 1
        self.cross()

    def cross(self) -> None:
        """Say where the log was restored, if the reader has come there: GAP ``reset``, empty, with the chain hash.

        ``first`` is the offset that comes next, and of the new generation; a reader that has more has to go back.
        """
        for border in self.hub.restores:
            if border.generation > self.generation and border.base < self.next:
                self.generation, base = border.generation, border.base
                self.owner.send(Gap(self.hub.tid, border.generation, base + 1, base, GapReason.RESET, border.hash))

    def end(self, code: Code, text: str, retry_ms: int | None = None) -> None:
        """Send CLOSED and leave the hub."""
        if not self.is_over:
            self.hub.leave(self)
            self.owner.send(Closed(self.hub.tid, code, text, retry_ms))
            self.owner.on_ended(self)


def encode_entry(tid: int, entry: Entry) -> bytes:
    """An entry as the websocket frame that all subscribers share."""
    return binary_frame(
        encode_struct(
            Msg(
                tid, entry.offset, entry.id, entry.account, entry.device, entry.ts, entry.flags, entry.fence, entry.ttl,
                entry.header, entry.body,
            )
        )
    )  # fmt: skip


class Ring:
    """The most recent frames of a topic, contiguous up to its head, bounded in number and bytes."""

    __slots__ = ("_bytes_max", "_frames", "_frames_max", "bytes", "first")

    def __init__(self, frames_max: int, bytes_max: int) -> None:
        self._frames: deque[bytes] = deque()
        self._frames_max = frames_max
        self._bytes_max = bytes_max
        self.bytes = 0
        self.first = 1  # offset of the oldest frame, or of the next one when empty

    def push(self, offset: int, frame: bytes) -> None:
        """Add the frame of the next offset."""
        if not self._frames:
            self.first = offset
        self._frames.append(frame)
        self.bytes += len(frame)
        while len(self._frames) > self._frames_max or self.bytes > self._bytes_max:
            self.bytes -= len(self._frames.popleft())
            self.first += 1

    def forget(self, next_offset: int) -> None:
        """Drop everything; ``next_offset`` comes next."""
        self._frames.clear()
        self.bytes = 0
        self.first = next_offset

    def covers(self, offset: int) -> bool:
        """Whether the frame of ``offset`` is here."""
        return self.first <= offset < self.first + len(self._frames)

    def read_from(self, offset: int) -> Iterator[bytes]:
        """Frames from ``offset`` on."""
        return islice(self._frames, offset - self.first, None)

    def __len__(self) -> int:
        return len(self._frames)


class Hub:
    """See the module. ``fill`` is asked, once per gap, to read what is missing and to call ``filled``."""

    def __init__(
        self, topic: bytes, tid: int, ring: Ring, outbound_bytes_max: int, counters: Counters,
        fill: Callable[[Hub], None],
    ) -> None:  # fmt: skip
        self.topic = topic
        self.tid = tid
        self.ring = ring
        self.kind = TopicKind.GROUP
        self.generation = 0
        self.restores: tuple[Restored, ...] = ()
        self.head = -1  # unknown until ``start``
        self.heard = 0
        self.is_filling = False
        self.pins = 0  # SUBs under way
        self.subscriptions: dict[Subscription, None] = {}
        self._live: dict[Subscription, None] = {}
        self._changed: dict[bytes, int] = {}  # account → offset of the last change of its access since the start
        self._changed_floor = 0
        self._outbound_bytes_max = outbound_bytes_max
        self._counters = counters
        self._fill = fill

    # -- the log -------------------------------------------------------------------------------------------------------
    @property
    def is_started(self) -> bool:
        """Whether the head is known."""
        return self.head >= 0

    def start(self, state: TopicState) -> None:
        """Take the head that was read after this hub began to listen; later calls only hear of it."""
        if self.is_started and state.generation > self.generation:
            self._restart()
        if not self.is_started:
            self.kind = state.kind
            self.generation = state.generation
            self.restores = state.restores
            self.head = state.head
            self.ring.forget(self.head + 1)
            self._changed_floor = self.head
        self.hear(state.head)

    def hear(self, offset: int) -> None:
        """Somebody says that the log reaches to ``offset``."""
        if offset > self.heard:
            self.heard = offset
        if self.is_started and self.heard > self.head and not self.is_filling:
            self.is_filling = True
            self._fill(self)

    def offer(self, entry: Entry) -> None:
        """An entry was committed here, or announced by another node. Any order, any number of times."""
        if self.is_started and entry.generation != self.generation:
            self._restart()
        elif self.is_started and entry.offset == self.head + 1 and not self.is_filling:
            self.heard = max(self.heard, entry.offset)
            self._advance(entry)
        else:
            self.hear(entry.offset)

    def _restart(self) -> None:
        self.end_all(Code.STORE_AWAY, "the log was restored from a backup; subscribe again", 0)
        self.head = -1  # the next SUB starts it anew
        self.heard = 0

    def filled(self, page: Page) -> bool:
        """Apply what a fill read. True: read on from ``head``; False: the gap is closed."""
        for item in page.items:
            if isinstance(item, Hole):
                self._advance_hole(item)
            elif item.offset == self.head + 1:
                self._advance(item)
        if not page.items:
            self.heard = self.head  # a rumour: the store knows nothing beyond
        self.is_filling = self.heard > self.head
        return self.is_filling

    def _advance(self, entry: Entry) -> None:
        offset = entry.offset
        frame = encode_entry(self.tid, entry)
        self.head = offset
        if entry.flags & _ERASED_BY_ORDER:
            self.ring.forget(offset)  # the erased body may be in it
        self.ring.push(offset, frame)
        self._fan_out(offset, frame)
        if entry.flags & Flag.ACCESS:
            self._apply(decode_struct(entry.header, AccessChange), offset)

    def _fan_out(self, offset: int, frame: bytes) -> None:
        bound = self._outbound_bytes_max
        behind = []
        sent = 0
        for subscription in self._live:
            if subscription.next == offset:
                peer = subscription.owner.peer
                if peer.buffered_bytes > bound:
                    behind.append(subscription)
                else:
                    peer.send_framed_nowait(frame)
                    subscription.next = offset + 1
                    sent += 1
            elif subscription.next < offset:
                behind.append(subscription)
        self._counters.deliveries += sent
        for subscription in behind:
            self._fall_behind(subscription)

    def _advance_hole(self, hole: Hole) -> None:
        if hole.last <= self.head:
            return
        self.head = hole.last
        self.ring.forget(self.head + 1)
        for subscription in list(self._live):
            subscription.send_gap(hole)
            self._counters.gaps += 1

    def _fall_behind(self, subscription: Subscription) -> None:
        del self._live[subscription]
        subscription.is_live = False
        self._counters.fell_behind += 1
        subscription.owner.on_behind(subscription)

    # -- access --------------------------------------------------------------------------------------------------------
    def _apply(self, change: AccessChange, offset: int) -> None:
        removed = set(change.removed)
        added = dict(change.added)
        for account in removed | added.keys():
            self._changed[account] = offset
        if len(self._changed) > REMOVED_KEPT_MAX:
            self._changed.clear()
            self._changed_floor = offset
        for subscription in list(self.subscriptions):
            account = subscription.owner.account
            if offset <= subscription.admitted:
                continue
            if account in added:
                subscription.role = added[account]
            elif account in removed and subscription.until is None:
                subscription.until = offset
                if subscription.is_live:
                    subscription.end(Code.NOT_FOUND, "you were removed from this conversation")

    def is_stale(self, account: bytes, head: int) -> bool:
        """Whether access that was read when the log's head was ``head`` may have been changed since."""
        return self._changed.get(account, self._changed_floor) > head

    # -- subscribers ---------------------------------------------------------------------------------------------------
    def join(self, subscription: Subscription) -> None:
        """Take a subscription in, not live yet."""
        self.subscriptions[subscription] = None

    def attach(self, subscription: Subscription) -> bool:
        """Make the subscription live and say so, if it is at the head. Nothing is awaited in between."""
        if subscription.is_over or subscription.is_live or subscription.next <= self.head or not self.is_started:
            return False
        subscription.is_live = True
        self._live[subscription] = None
        subscription.owner.send(Live(self.tid, subscription.next - 1))  # the log may be ahead of this hub
        return True

    def leave(self, subscription: Subscription) -> None:
        """The subscription has ended."""
        subscription.is_over = True
        subscription.is_live = False
        self._live.pop(subscription, None)
        self.subscriptions.pop(subscription, None)

    def end_all(self, code: Code, text: str, retry_ms: int | None = None) -> None:
        """End every subscription of this topic."""
        for subscription in list(self.subscriptions):
            subscription.end(code, text, retry_ms)

    def send_ephemeral(self, frame: bytes, without: Owner | None) -> None:
        """Hand a frame that nobody keeps to the live subscribers whose buffers are at most half full."""
        bound = self._outbound_bytes_max // 2
        for subscription in self._live:
            owner = subscription.owner
            if owner is not without and owner.peer.buffered_bytes <= bound:
                owner.peer.send_framed_nowait(frame)
                self._counters.deliveries += 1
