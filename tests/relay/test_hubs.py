"""The registry of hubs: made on demand, filled from the store, kept a while, bounded."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from relay import hubs as module
from relay.broker.memory import MemoryBroker
from relay.config import Settings
from tests.support.lab import settle
from tests.support.logs import TOPIC, Follower, Log, entry, joined, make_hubs, state


async def test_a_gap_is_filled_once_for_all(nursery: trio.Nursery) -> None:
    log = Log()
    hubs, _, counters = make_hubs(log, nursery)
    followers = [Follower(), Follower()]
    for follower in followers:
        subscription = joined(hubs, follower, 0)
        assert subscription.hub.attach(subscription)
    for _ in range(5):
        log.commit()
    hub = hubs.get(TOPIC)
    assert hub is not None
    hub.offer(log.entries[4])
    await settle()
    assert [follower.offsets for follower in followers] == [[1, 2, 3, 4, 5]] * 2
    assert (counters.fills, log.reads) == (1, [(0, 5)])


async def test_a_fill_waits_for_a_store_that_is_away(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    log = Log()
    hubs, _, _ = make_hubs(log, nursery)
    follower = Follower()
    subscription = joined(hubs, follower, 0)
    subscription.hub.attach(subscription)
    log.is_away = True
    log.commit()
    subscription.hub.hear(1)
    await settle()
    assert follower.offsets == []
    log.is_away = False
    await trio.sleep(1)
    assert follower.offsets == [1]


async def test_a_hub_rests_when_nobody_follows_and_wakes_with_its_ring(nursery: trio.Nursery) -> None:
    log = Log()
    hubs, _, counters = make_hubs(log, nursery)
    subscription = joined(hubs, Follower(), 0)
    hub = subscription.hub
    hub.leave(subscription)
    hubs.rest(hub)
    hubs.rest(hub)
    assert hubs.statistics().idle == 1
    hubs.committed(log.commit())
    assert (hub.head, hub.ring.covers(1)) == (1, True)
    assert hubs.pin(TOPIC) is hub
    assert hubs.statistics().idle == 0
    hubs.unpin(hub)
    hub.offer(entry(9))  # a gap that nobody waits for
    assert hubs.get(TOPIC) is None
    assert counters.fills == 0


async def test_a_hub_that_never_started_goes(nursery: trio.Nursery) -> None:
    hubs, bus, _ = make_hubs(Log(), nursery)
    hub = hubs.pin(TOPIC)
    hubs.pin(TOPIC)
    hubs.unpin(hub)
    assert hubs.get(TOPIC) is hub
    hubs.unpin(hub)
    assert hubs.get(TOPIC) is None
    hubs.rest(hub)
    assert not bus.nodes[0]._channels


async def test_a_fill_ends_with_the_last_follower(nursery: trio.Nursery) -> None:
    log = Log()
    hubs, _, _ = make_hubs(log, nursery)
    subscription = joined(hubs, Follower(), 0)
    hub = subscription.hub
    log.commit()
    log.pauses.append((3, 0))
    hub.hear(2)  # one more than the store has yet
    hub.leave(subscription)
    hubs.rest(hub)
    await settle()
    assert hubs.get(TOPIC) is None
    assert log.reads in ([], [(0, 1)])


@pytest.mark.parametrize("bound", ["IDLE_HUBS_MAX", "IDLE_RING_BYTES_MAX"])
async def test_idle_hubs_are_bounded(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(module, bound, 2 if bound == "IDLE_HUBS_MAX" else 500)
    hubs, _, _ = make_hubs(Log(), nursery, Settings(ring_frames=2))
    for number in range(6):
        topic = bytes([number]) * 32
        hub = hubs.pin(topic)
        hub.start(state(0, topic=topic))
        hubs.committed(entry(1, topic=topic, body=bytes(100)))
        hubs.unpin(hub)
    now = hubs.statistics()
    assert now.hubs == now.idle == 2 if bound == "IDLE_HUBS_MAX" else now.ring_bytes <= 500
    assert hubs.get(bytes([5]) * 32) is not None
    assert hubs.get(bytes([0]) * 32) is None


async def test_entries_are_announced_to_other_nodes(nursery: trio.Nursery) -> None:
    log = Log()
    hubs, bus, _ = make_hubs(log, nursery)
    heard: list[tuple[bytes, bytes]] = []
    hubs.committed(log.commit())
    other = MemoryBroker(bus, lambda channel, data: heard.append((channel, data)))
    bus.nodes.append(other)
    other.listen_nowait(TOPIC)
    hubs.committed(log.commit())
    assert [channel for channel, _ in heard] == [TOPIC]
