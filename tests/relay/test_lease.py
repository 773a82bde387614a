"""What one process of a worker holds and follows, with a connection that is a list of frames."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest
import trio
import trio.testing

from protocol.codec import decode_struct
from protocol.frames import Evt, Frame
from protocol.ids import TopicKind
from protocol.requests import SlotsChanged, TopicNews
from relay.counters import Counters
from relay.hub import Hub, Subscription
from relay.lease import Lease
from relay.ring import Ring
from storage.base import StoreAway, TopicState


class Fake:
    """A connection, and what begins its subscriptions."""

    account, device = b"a" * 32, b"d" * 32

    def __init__(self, nursery: trio.Nursery) -> None:
        self.sent: list[Evt] = []
        self.delivered: list[bytes] = []
        self.away = 0
        self.lease = Lease(self, self, self.spawn)
        self._nursery = nursery

    def send(self, frame: Frame) -> None:
        assert isinstance(frame, Evt)
        self.sent.append(frame)

    def spawn(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._nursery.start_soon(run, name=name)

    async def deliver(self, lease: Lease, topics: list[bytes]) -> None:
        if self.away:
            self.away -= 1
            raise StoreAway("away")
        for topic in topics:
            self.delivered.append(topic)
            lease.began(subscription(topic), state(topic))

    def drop_topic(self, topic: bytes) -> None:
        self.lease.ended(topic)


def state(topic: bytes) -> TopicState:
    return TopicState(topic, TopicKind.GROUP, 1, 3, b"", 1, 1, 0, 2, 0)


def subscription(topic: bytes) -> Subscription:
    hub = Hub(topic, topic[0] + 1, Ring(1, 1), 1, Counters(), lambda hub: None)
    hub.start(state(topic))
    found = Subscription(hub, SimpleNamespace(peer=None), 4, state(topic))
    found.is_live = True
    return found


def topic(slot: int) -> bytes:
    return bytes([slot]) * 32


async def test_topics_with_news_begin_and_idle_ones_make_room(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.abc.Clock
) -> None:
    monkeypatch.setattr("relay.lease.LEASED_TOPICS_MAX", 2)
    fake = Fake(nursery)
    lease = fake.lease
    lease.granted({slot: slot + 10 for slot in range(5)})
    fake.away = 1
    for slot in (0, 1, 2):
        lease.offer(topic(slot))
    await trio.sleep(10)
    assert fake.delivered == [topic(0), topic(1)]
    assert lease.behind == 1
    lease.offer(topic(0))  # followed already
    assert lease.behind == 1
    assert not lease.acknowledged(topic(0), 3, b"wrong")
    assert not lease.acknowledged(topic(9), 3, (1).to_bytes(8, "big"))
    assert lease.acknowledged(topic(0), 3, (10).to_bytes(8, "big"))
    await trio.testing.wait_all_tasks_blocked()
    assert fake.delivered[2:] == [topic(2)]
    news = [decode_struct(e.payload, TopicNews) for e in fake.sent if e.name == "topic"]
    assert (news[0].tid, news[0].next, news[0].head) == (1, 4, 3)


async def test_what_is_revoked_is_not_delivered(nursery: trio.Nursery) -> None:
    fake = Fake(nursery)
    lease = fake.lease
    lease.granted({1: 1, 2: 1})
    lease.offer(topic(1))
    lease.offer(topic(2))
    lease.revoked([1])
    await trio.testing.wait_all_tasks_blocked()
    assert fake.delivered == [topic(2)]
    lease.revoked([2])
    assert not lease.holds(topic(2))
    assert decode_struct(fake.sent[-1].payload, SlotsChanged).revoked == (2,)


async def test_the_end_of_a_connection(nursery: trio.Nursery) -> None:
    fake = Fake(nursery)
    fake.lease.close()
    fake.lease.offer(topic(1))
    assert fake.lease.behind == 0
    fake.lease.cursors[topic(1)] = 5
    assert fake.lease.cursor(topic(1)) == 5
    fake.lease.lost(topic(1))
    fake.lease.ended(topic(1))
    assert decode_struct(fake.sent[-1].payload, TopicNews).tid == 0
    assert fake.lease.cursor(topic(1)) == 0
    fake.lease.acknowledged(topic(1), 1, None)
