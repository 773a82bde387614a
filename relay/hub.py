"""One topic in this process: its head, its recent frames, and who follows it.

The hand-over rules, as they were model-checked:

Rule 1.  A hub listens before it reads its head: until ``start`` it only remembers the highest offset heard of.
Rule 2.  A hub is contiguous: an entry above ``head + 1`` is only heard of, and the gap is filled from the store once
         for all subscribers. What is heard of during a fill is filled next.
Rule 3.  A frame is sent to a subscription only if its offset equals ``next``; a lower one is dropped.
Rule 4.  Going live is a compare of ``next`` with the head and the attach, in one tick without an await.
Rule 5.  A subscriber whose buffer is full is no longer live: its subscription reads on at its own pace.
Rule 6.  Access changes are applied in offset order, after the entry that brings them was delivered.
Rule 7.  What comes in one tick is joined and handed out at its end, or earlier, before anything else happens to the
         subscribers (attach, leave, hole, access): in between, nobody can see that it was put off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from protocol.codec import decode_struct
from protocol.errors import Code
from protocol.frames import AccessChange, Closed, Frame, Gap, GapReason, Live
from protocol.ids import TopicKind
from relay.bounds import REMOVED_KEPT_MAX, SLICE
from relay.counters import Counters
from relay.ring import Ring, encode_entry
from relay.seam import Peer
from storage.base import Entry, Hole, Page, TopicState
from storage.decisions import Restored
from storage.flags import ACCESS, ERASE


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

    __slots__ = (
        "admitted", "generation", "hub", "is_live", "is_over", "next", "owner", "peer", "role", "since", "until"
    )  # fmt: skip

    def __init__(
        self, hub: Hub, owner: Owner, next_: int, state: TopicState, generation: int | None = None
    ) -> None:  # fmt: skip
        self.hub = hub
        self.generation = state.generation if generation is None else generation
        self.owner = owner
        self.peer = owner.peer
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
            self.peer.send_framed_nowait(encode_entry(self.hub.tid, entry))
            self.next += 1
            if self.generation != self.hub.generation:
                self.cross()

    def send_each(self, pending: list[tuple[int, bytes]], bound: int) -> int:
        """Send of the frames of one tick what may be sent, one by one; how many were. Offset 0: ephemeral."""
        sent = 0
        for offset, frame in pending:
            if offset < self.next and offset:
                continue
            waiting = self.peer.buffered_bytes
            if offset > self.next or waiting > (bound if offset else bound // 2):
                if offset:
                    break
                continue
            self.peer.send_framed_nowait(frame)
            self.next += offset > 0
            sent += 1
        return sent

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


class Hub:
    """See the module. ``fill`` is asked, once per gap, to read what is missing and to call ``filled``."""

    __slots__ = (
        "_changed", "_changed_floor", "_counters", "_fill", "_later", "_live", "_outbound_bytes_max", "_pending",
        "_without", "generation", "head", "heard", "is_filling", "kind", "pins", "restores", "ring", "subscriptions",
        "tid", "topic",
    )  # fmt: skip

    def __init__(
        self, topic: bytes, tid: int, ring: Ring, outbound_bytes_max: int, counters: Counters,
        fill: Callable[[Hub], None], later: Callable[[Callable[[], None]], None] = lambda do: do(),
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
        self._later = later
        self._pending: list[tuple[int, bytes]] = []  # frames of this tick, with their offsets
        self._without: dict[Subscription, set[int]] = {}  # who does not get which of them

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
        if entry.flags & ERASE:
            self.ring.forget(offset)  # the erased body may be in it
        self.ring.push(offset, frame)
        self._queue(offset, frame)
        if entry.flags & ACCESS:
            self.flush()
            self._apply(decode_struct(entry.header, AccessChange), offset)

    def _queue(self, offset: int, frame: bytes) -> None:
        """Put a frame off to the end of the tick: what comes together is joined once for all. Offset 0: ephemeral."""
        self._pending.append((offset, frame))
        if len(self._pending) == 1:
            self._later(self.flush)

    def flush(self) -> None:
        """Hand what was put off to the live subscribers; called before anything that must not overtake it."""
        pending = self._pending
        if not pending:
            return
        self._pending = []
        if not self._live:
            self._without.clear()
            return
        offsets = [offset for offset, _ in pending if offset] if len(pending) > 1 or pending[0][0] else ()
        whole = pending[0][1] if len(pending) == 1 else b"".join([frame for _, frame in pending])
        if self._without:
            self._fan_out_but(pending)
        elif offsets:
            self._fan_out(pending, whole, offsets[0], offsets[-1] + 1)
        else:
            self._fan_out_ephemeral(whole, len(pending))

    def _fan_out_ephemeral(self, whole: bytes, count: int) -> None:
        """What nobody keeps is for those whose buffers are at most half full."""
        bound = self._outbound_bytes_max // 2
        sent = 0
        if len(self._live) > SLICE:
            for subscription in self._live:
                peer = subscription.peer
                if peer.buffered_bytes <= bound:
                    peer.send_shared_nowait(whole)
                    sent += count
        else:
            for subscription in self._live:
                peer = subscription.peer
                if peer.buffered_bytes <= bound:
                    peer.send_framed_nowait(whole)
                    sent += count
        self._counters.deliveries += sent

    def _fan_out_but(self, pending: list[tuple[int, bytes]]) -> None:
        """Some of the frames are for everybody but their senders, who get the others."""
        without, self._without = self._without, {}
        live = self._live
        senders = {subscription: positions for subscription, positions in without.items() if subscription in live}
        for subscription in senders:
            del live[subscription]
        offsets = [offset for offset, _ in pending if offset]
        whole = b"".join([frame for _, frame in pending])
        if offsets:
            self._fan_out(pending, whole, offsets[0], offsets[-1] + 1)
        else:
            self._fan_out_ephemeral(whole, len(pending))
        for subscription, positions in senders.items():
            live[subscription] = None
            theirs = [item for place, item in enumerate(pending) if place not in positions]
            self._counters.deliveries += subscription.send_each(theirs, self._outbound_bytes_max)
            if offsets and subscription.next <= offsets[-1]:
                self._fall_behind(subscription)

    def _fan_out(self, pending: list[tuple[int, bytes]], whole: bytes, first: int, after: int) -> None:
        """Rules 3 and 5, for all frames of a tick at once where that is the same as one by one."""
        bound = self._outbound_bytes_max
        is_shared = len(self._live) > SLICE
        behind = []
        sent = 0
        for subscription in self._live:
            peer = subscription.peer
            if subscription.next == first and peer.buffered_bytes <= bound // 2:
                if is_shared:
                    peer.send_shared_nowait(whole)
                else:
                    peer.send_framed_nowait(whole)
                subscription.next = after
                sent += len(pending)
            elif subscription.next < after:
                sent += subscription.send_each(pending, bound)
                if subscription.next < after:
                    behind.append(subscription)
        self._counters.deliveries += sent
        for subscription in behind:
            self._fall_behind(subscription)

    def _advance_hole(self, hole: Hole) -> None:
        if hole.last <= self.head:
            return
        self.flush()
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
        self.flush()
        subscription.is_live = True
        self._live[subscription] = None
        subscription.owner.send(Live(self.tid, subscription.next - 1))  # the log may be ahead of this hub
        return True

    def leave(self, subscription: Subscription) -> None:
        """The subscription has ended."""
        self.flush()
        subscription.is_over = True
        subscription.is_live = False
        self._live.pop(subscription, None)
        self.subscriptions.pop(subscription, None)

    def end_all(self, code: Code, text: str, retry_ms: int | None = None) -> None:
        """End every subscription of this topic."""
        for subscription in list(self.subscriptions):
            subscription.end(code, text, retry_ms)

    def send_ephemeral(self, frame: bytes, without: Subscription | None) -> None:
        """Hand a frame that nobody keeps to the live subscribers whose buffers are at most half full."""
        if without is not None:
            self._without.setdefault(without, set()).add(len(self._pending))
        self._queue(0, frame)
