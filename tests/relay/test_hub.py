"""Heads, rings, fan-out and access of one topic. ``test_handover`` runs the same rules in random orders."""

from __future__ import annotations

import trio

from protocol.errors import Code
from protocol.frames import AccessChange, Flag, Gap, GapReason
from relay.counters import Counters
from relay.hub import Hub, Subscription
from relay.ring import Ring, encode_entry
from storage.base import Hole, Page
from tests.support.lab import payload_of
from tests.support.logs import ALICE, BOB, TOPIC, Follower, access_entry, entry, state


def hub(head: int = 0, **ring: int) -> tuple[Hub, list[Hub]]:
    """A started hub, and the list of its wishes for a fill."""
    fills: list[Hub] = []
    made = Hub(TOPIC, 7, Ring(ring.get("frames", 8), ring.get("bytes", 1 << 16)), 1000, Counters(), fills.append)
    if head >= 0:
        made.start(state(head))
    return made, fills


def follow(made: Hub, follower: Follower, next_: int, *, admitted: int | None = None, role: int = 2) -> Subscription:
    """A joined subscription."""
    known = state(made.head if admitted is None else admitted, role=role)
    subscription = Subscription(made, follower, next_, known)
    made.join(subscription)
    return subscription


def test_a_hub_listens_before_it_knows_its_head() -> None:
    made, fills = hub(-1)
    made.offer(entry(5))
    assert not made.is_started
    assert made.heard == 5
    made.start(state(3))
    assert made.head == 3
    assert fills == [made]
    made.start(state(9))
    assert (made.head, made.heard, len(fills)) == (3, 9, 1)


def test_what_is_heard_of_during_a_fill_is_filled_next() -> None:
    made, fills = hub(3)
    made.offer(entry(6))
    assert fills == [made]
    made.offer(entry(4))  # also during a fill only heard of
    assert made.head == 3
    made.offer(entry(8))
    assert made.filled(Page(1, 6, (entry(4), entry(5), entry(6))))
    assert made.head == 6
    assert not made.filled(Page(1, 8, (entry(6), entry(7), entry(8))))
    assert made.head == 8
    made.hear(9)
    assert len(fills) == 2
    assert not made.filled(Page(1, 8, ()))  # a rumour
    assert made.heard == 8


def test_frames_go_to_those_whose_next_they_are() -> None:
    made, _ = hub(3)
    at_head, ahead = Follower(), Follower()
    first, second = follow(made, at_head, 4), follow(made, ahead, 6)
    assert made.attach(first)
    assert made.attach(second)
    assert not made.attach(first)  # is live already
    for offset in (4, 5, 6):
        made.offer(entry(offset))
    made.offer(entry(5))  # again
    assert (at_head.offsets, ahead.offsets) == ([4, 5, 6], [6])
    assert (at_head.lives, ahead.lives) == ([3], [5])
    assert at_head.peer.frames[-1] == ahead.peer.frames[-1]


def test_who_is_not_at_the_head_does_not_go_live() -> None:
    made, _ = hub(3)
    behind = follow(made, Follower(), 3)
    assert not made.attach(behind)
    made.leave(behind)
    behind.next = 4
    assert not made.attach(behind)
    loading, _ = hub(-1)
    assert not loading.attach(Subscription(loading, Follower(), 1, state(0)))


def test_a_full_buffer_makes_a_cursor_of_a_live_subscription() -> None:
    made, _ = hub(0)
    follower = Follower()
    subscription = follow(made, follower, 1)
    made.attach(subscription)
    follower.peer.is_stuck = True
    for offset in range(1, 12):
        made.offer(entry(offset))
    assert follower.behind == [subscription]
    assert not subscription.is_live
    assert follower.peer.buffered_bytes < 1000 + len(encode_entry(7, entry(1)))
    kept = subscription.next
    follower.peer.take()
    assert follower.offsets == list(range(1, kept))


def test_a_hole_in_a_fill_is_told_and_ends_the_ring() -> None:
    made, _ = hub(0)
    follower = Follower()
    subscription = follow(made, follower, 1)
    made.attach(subscription)
    made.offer(entry(1))
    made.hear(5)
    hole = Hole(2, 4, GapReason.RETENTION, b"h" * 32)
    assert not made.filled(Page(1, 5, (hole, entry(5))))
    assert follower.peer.frames[-2] == Gap(7, 1, 2, 4, GapReason.RETENTION, b"h" * 32)
    assert follower.offsets == [1, 5]
    assert not made.ring.covers(1)
    assert made.ring.covers(5)
    made.filled(Page(1, 5, (hole,)))  # old news
    assert follower.offsets == [1, 5]


def test_an_erasure_drops_what_may_hold_the_body() -> None:
    made, _ = hub(0)
    for offset in (1, 2):
        made.offer(entry(offset, body=b"secret" * 10))
    made.offer(entry(3, flags=Flag.ERASE, header=(1).to_bytes(8, "big")))
    assert not made.ring.covers(2)
    assert made.ring.covers(3)
    assert b"secret" not in b"".join(made.ring.read_from(3))


def test_the_removed_get_their_removal_and_nothing_more() -> None:
    made, _ = hub(4)
    alice, bob, late = Follower(ALICE), Follower(BOB), Follower(BOB)
    made.attach(follow(made, alice, 5))
    made.attach(follow(made, bob, 5))
    behind = follow(made, late, 2)
    made.offer(access_entry(5, AccessChange(removed=(BOB,))))
    made.offer(entry(6))
    assert (alice.offsets, bob.offsets) == ([5, 6], [5])
    assert bob.closed == [Code.NOT_FOUND]
    assert bob.ended
    assert (behind.until, behind.is_over, late.closed) == (5, False, [])
    assert made.is_stale(BOB, 4)
    assert not made.is_stale(BOB, 5)
    assert not made.is_stale(ALICE, 4)


def test_an_older_change_does_not_end_a_newer_admission() -> None:
    made, _ = hub(4)
    bob = Follower(BOB)
    subscription = follow(made, bob, 7, admitted=6)
    made.attach(subscription)
    made.offer(access_entry(5, AccessChange(removed=(BOB,))))
    made.offer(access_entry(6, AccessChange(added=((BOB, 2),))))
    made.offer(access_entry(7, AccessChange(added=((BOB, 1),))))
    assert bob.offsets == [7]
    assert not bob.closed
    assert subscription.role == 1


def test_an_access_change_that_names_others_changes_nothing_here() -> None:
    made, _ = hub(0)
    subscription = follow(made, Follower(ALICE), 1)
    made.offer(access_entry(1, AccessChange(added=((BOB, 3),))))
    assert (subscription.role, subscription.until) == (2, None)


def test_changes_beyond_the_memory_make_every_older_reading_stale() -> None:
    made, _ = hub(0)
    for block in range(5):
        accounts = tuple(((block * 256 + number).to_bytes(32, "big"), 2) for number in range(256))
        made.offer(access_entry(block + 1, AccessChange(added=accounts)))
    assert made.is_stale(b"anybody" + bytes(25), 4)
    assert not made.is_stale(b"anybody" + bytes(25), 5)


def test_another_generation_ends_all_subscriptions() -> None:
    made, _ = hub(4)
    follower = Follower()
    subscription = follow(made, follower, 5)
    made.attach(subscription)
    made.offer(entry(3, generation=2))
    assert follower.closed == [Code.STORE_AWAY]
    assert not made.is_started
    made.start(state(3, generation=2))
    assert (made.head, made.generation) == (3, 2)
    made.start(state(2, generation=3))
    assert (made.head, made.generation) == (2, 3)
    subscription.end(Code.NOT_FOUND, "twice")
    assert len(follower.closed) == 1


def test_ephemerals_reach_live_subscribers_with_room() -> None:
    made, _ = hub(0)
    sender, listener, busy, behind = (Follower() for _ in range(4))
    said = follow(made, sender, 1)
    made.attach(said)
    for follower in (listener, busy):
        made.attach(follow(made, follower, 1))
    follow(made, behind, 0)
    busy.peer.is_stuck = True
    busy.peer.send_nowait(payload_of(encode_entry(7, entry(1, body=b"x" * 500))))
    frame = encode_entry(7, entry(9))
    made.send_ephemeral(frame, said)
    assert [len(f.offsets) for f in (sender, listener, behind)] == [0, 1, 0]
    made.send_ephemeral(frame, None)
    assert len(sender.offsets) == 1
    busy.peer.take()
    assert busy.offsets == [1]


def test_gaps_and_entries_out_of_turn_are_not_sent() -> None:
    made, _ = hub(9)
    follower = Follower()
    subscription = follow(made, follower, 5)
    subscription.send_entry(entry(4))
    subscription.send_entry(entry(6))
    subscription.send_gap(Hole(1, 4, 1, b""))
    assert follower.peer.frames == []
    subscription.send_gap(Hole(3, 6, 1, b"h"))
    assert follower.peer.frames == [Gap(7, 1, 5, 6, 1, b"h")]
    assert subscription.next == 7


async def test_a_live_subscription_that_missed_something_reads_on_by_itself() -> None:
    made, _ = hub(3)
    follower = Follower()
    subscription = follow(made, follower, 4)
    made.attach(subscription)
    subscription.next = 3  # cannot happen; if it did, nothing would be skipped
    made.offer(entry(4))
    assert follower.behind == [subscription]
    assert follower.offsets == []
    await trio.lowlevel.checkpoint()
