"""History: from ring and store, in turns, at the reader's pace."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing

from protocol.errors import Code
from protocol.frames import AccessChange, Gap, GapReason, Msg
from relay.catchup import Catchup
from relay.config import Settings
from relay.hub import Subscription
from relay.hubs import Hubs
from storage.decisions import Restored
from tests.support.lab import settle
from tests.support.logs import ALICE, Follower, Log, access_entry, joined, make_hubs


class Scene:
    """A log with a hub, and one connection's catch-up."""

    def __init__(self, nursery: trio.Nursery, entries: int, bound: int = 100_000, ring: int = 4) -> None:
        self.log = Log()
        settings = Settings(ring_frames=ring, outbound_bytes_max=bound)
        self.hubs: Hubs
        self.hubs, _, self.counters = make_hubs(self.log, nursery, settings)
        self.follower = Follower(bound=bound)
        self.catchup = Catchup(self.follower.peer, self.log.log, bound, self.counters, self.spawn)  # type: ignore[arg-type]
        self.follower.peer.handler = self  # type: ignore[assignment]
        self.follower.on_behind_hook = self.catchup.start
        self._nursery = nursery
        for _ in range(entries):
            self.log.commit()

    def spawn(self, name: str, run: object, failed: object = None) -> None:
        """Start a task."""
        self._nursery.start_soon(run, name=name)  # type: ignore[arg-type]

    def on_writable(self) -> None:
        """The peer has room."""
        self.catchup.on_writable()

    def subscribe(self, next_: int, **changes: Any) -> Subscription:
        """A subscription behind the head of the log."""
        return joined(self.hubs, self.follower, self.log.head, next_, **changes)


async def test_history_comes_from_the_store_and_ends_with_live(nursery: trio.Nursery) -> None:
    scene = Scene(nursery, 9)
    subscription = scene.subscribe(4)
    scene.catchup.start(subscription)
    assert len(scene.catchup) == 1
    await settle()
    assert scene.follower.offsets == [4, 5, 6, 7, 8, 9]
    assert scene.follower.lives == [9]
    assert subscription.is_live
    scene.catchup.start(subscription)  # is live already
    await settle()
    assert scene.follower.lives == [9]
    assert scene.counters.history == 6


async def test_who_is_at_the_head_is_live_at_once(nursery: trio.Nursery) -> None:
    scene = Scene(nursery, 3)
    scene.catchup.start(scene.subscribe(4))
    assert scene.follower.lives == [3]
    assert scene.log.reads == []


async def test_recent_entries_come_from_the_ring(nursery: trio.Nursery) -> None:
    scene = Scene(nursery, 0)
    scene.subscribe(1)
    for _ in range(6):
        scene.hubs.committed(scene.log.commit())
    scene.catchup.start(scene.subscribe(3))
    await settle()
    assert scene.follower.offsets == [3, 4, 5, 6]
    assert scene.log.reads == []


async def test_a_reader_that_is_stuck_gets_the_rest_when_it_reads(nursery: trio.Nursery) -> None:
    for ring in (1, 400):
        scene = Scene(nursery, 0, bound=2000, ring=ring)
        subscription = scene.subscribe(1)
        scene.catchup.start(subscription)
        scene.follower.peer.is_stuck = True
        for _ in range(300):
            scene.hubs.committed(scene.log.commit())
        await settle()
        assert scene.counters.fell_behind == 1
        assert scene.follower.peer.buffered_bytes < 2500
        while not subscription.is_live:
            scene.follower.peer.take(5)
            await settle()
        scene.follower.peer.take()
        assert scene.follower.offsets == list(range(1, 301))


async def test_topics_take_turns(nursery: trio.Nursery) -> None:
    scene = Scene(nursery, 1100)
    for _ in range(2):
        scene.catchup.start(scene.subscribe(1))
    await settle()
    assert scene.log.reads == [(0, 500), (0, 500), (500, 500), (500, 500), (1000, 100), (1000, 100)]


async def test_holes_are_told(nursery: trio.Nursery) -> None:
    scene = Scene(nursery, 6)
    scene.log.erase(1, 4)
    scene.catchup.start(scene.subscribe(1))
    await settle()
    gap = scene.follower.peer.frames[0]
    assert gap == Gap(1, 1, 1, 4, GapReason.RETENTION, scene.log.entries[3].hash)
    assert scene.follower.offsets == [5, 6]


async def test_what_was_before_the_account_is_one_gap(nursery: trio.Nursery) -> None:
    scene = Scene(nursery, 6)
    scene.catchup.start(scene.subscribe(2, since=4))
    await settle()
    assert scene.follower.peer.frames[0] == Gap(1, 1, 2, 4, GapReason.POLICY, scene.log.entries[3].hash)
    assert scene.follower.offsets == [5, 6]
    scene.log.erase(3, 5)
    scene.follower.peer.frames.clear()
    scene.catchup.start(scene.subscribe(2, since=4))
    await settle()
    assert scene.follower.peer.frames[0] == Gap(1, 1, 2, 5, GapReason.POLICY, scene.log.entries[4].hash)
    assert scene.follower.offsets == [6]


async def test_the_removed_get_history_up_to_their_removal(nursery: trio.Nursery) -> None:
    for ring in (1, 100):
        scene = Scene(nursery, 0, ring=ring)
        subscription = scene.subscribe(1)
        for _ in range(4):
            scene.hubs.committed(scene.log.commit())
        scene.hubs.committed(scene.log.commit(access_entry(5, AccessChange(removed=(ALICE,)))))
        scene.hubs.committed(scene.log.commit())
        scene.catchup.start(subscription)
        await settle()
        assert scene.follower.offsets == [1, 2, 3, 4, 5]
        assert scene.follower.closed == [Code.NOT_FOUND]
        assert scene.follower.lives == []


async def test_a_store_that_is_away_is_asked_again(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    scene = Scene(nursery, 3)
    scene.log.is_away = True
    scene.catchup.start(scene.subscribe(1))
    await trio.sleep(1)
    assert scene.follower.offsets == []
    scene.log.is_away = False
    await trio.sleep(1)
    assert scene.follower.offsets == [1, 2, 3]


async def test_a_read_that_knows_less_than_the_hub_is_repeated(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    scene = Scene(nursery, 2)
    kept = scene.log.entries.pop()
    subscription = joined(scene.hubs, scene.follower, 2, 1)
    scene.catchup.start(subscription)
    await trio.sleep(1)
    assert scene.follower.offsets == [1]
    scene.log.commit(kept)
    await trio.sleep(1)
    assert scene.follower.offsets == [1, 2]
    assert subscription.is_live


async def test_another_generation_below_ends_the_subscription(nursery: trio.Nursery) -> None:
    scene = Scene(nursery, 3)
    subscription = scene.subscribe(1)
    scene.log.generation = 2
    scene.catchup.start(subscription)
    await settle()
    assert scene.follower.closed == [Code.STORE_AWAY]
    assert scene.follower.offsets == []


async def test_closing_ends_everything(nursery: trio.Nursery) -> None:
    scene = Scene(nursery, 50, bound=200)
    scene.follower.peer.is_stuck = True
    subscription = scene.subscribe(1)
    scene.catchup.start(subscription)
    await settle()
    assert not subscription.is_live
    scene.catchup.close()
    await settle()
    scene.catchup.start(subscription)
    await scene.catchup.room()
    assert len(scene.catchup) == 0


async def test_a_subscription_that_ends_meanwhile_is_left_alone(nursery: trio.Nursery) -> None:
    for pause in ((3, 0), (0, 3)):
        for since in (0, 2):
            scene = Scene(nursery, 3)
            scene.log.pauses.append(pause)
            subscription = scene.subscribe(1, since=since)
            scene.catchup.start(subscription)
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            subscription.hub.leave(subscription)
            scene.catchup.forget(subscription)
            await settle()
            assert scene.follower.peer.frames == []


BORDERS = (Restored(20, 4, b"4" * 32), Restored(30, 4, b"4" * 32), Restored(40, 7, b"7" * 32))


def gaps(scene: Scene) -> list[tuple[int, int, int, int]]:
    """(generation, first, last, reason) of each GAP, and (0, offset, offset, 0) of each entry, as they came."""
    shown = []
    for frame in scene.follower.peer.frames:
        if isinstance(frame, Gap):
            shown.append((frame.generation, frame.first, frame.last, int(frame.reason)))
        elif isinstance(frame, Msg):
            shown.append((0, frame.offset, frame.offset, 0))
    return shown


async def test_where_the_log_was_restored_the_reader_is_told_between_the_entries(nursery: trio.Nursery) -> None:
    scene = Scene(nursery, 9)
    scene.log.generation = 40
    reset = int(GapReason.RESET)
    subscription = scene.subscribe(3, at=1, generation=40, restores=BORDERS)
    subscription.cross()  # not there yet
    scene.catchup.start(subscription)
    await settle()
    assert gaps(scene) == [
        (0, 3, 3, 0), (0, 4, 4, 0), (20, 5, 4, reset), (30, 5, 4, reset), (0, 5, 5, 0), (0, 6, 6, 0), (0, 7, 7, 0),
        (40, 8, 7, reset), (0, 8, 8, 0), (0, 9, 9, 0),
    ]  # fmt: skip
    assert subscription.is_live


async def test_a_hole_over_a_border_is_told_in_two_parts(nursery: trio.Nursery) -> None:
    scene = Scene(nursery, 9)
    scene.log.generation = 40
    scene.log.erase(2, 8)
    subscription = scene.subscribe(1, at=1, generation=40, restores=BORDERS)
    scene.catchup.start(subscription)
    await settle()
    old, reset = int(GapReason.RETENTION), int(GapReason.RESET)
    assert gaps(scene) == [
        (0, 1, 1, 0), (1, 2, 4, old), (20, 5, 4, reset), (30, 5, 4, reset), (30, 5, 7, old), (40, 8, 7, reset),
        (40, 8, 8, old), (0, 9, 9, 0),
    ]  # fmt: skip
