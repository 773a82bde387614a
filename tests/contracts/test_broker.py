"""What every broker promises, checked on each: ``relay.broker.base`` has the rules."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
import trio

from relay.broker.base import Broker, BrokerAway
from relay.broker.memory import Bus
from relay.broker.redis import open_redis
from tests.support.waiting import TIMEOUT_S, until


class Node:
    """One end, and what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, bytes]] = []
        self.missed = 0
        self._news = trio.Event()
        self.broker: Broker

    def hear(self, channel: bytes, data: bytes) -> None:
        """An announcement."""
        self.heard.append((channel, data))
        self._news.set()

    def miss(self) -> None:
        """Something may have been lost."""
        self.missed += 1

    async def listen(self, *channels: bytes) -> None:
        """Listen, for certain."""
        for channel in channels:
            self.broker.listen_nowait(channel)
        with trio.fail_after(TIMEOUT_S):
            while True:
                try:
                    return await self.broker.listening()
                except BrokerAway:
                    await trio.sleep(0.01)

    async def until(self, count: int) -> list[tuple[bytes, bytes]]:
        """Wait until that much was heard."""
        with trio.fail_after(TIMEOUT_S):
            while len(self.heard) < count:
                self._news = trio.Event()
                await self._news.wait()
        return self.heard


Open = Callable[[Node], AbstractAsyncContextManager[Broker]]
Nodes = Callable[[int], AbstractAsyncContextManager[list[Node]]]


@pytest.fixture(params=["memory", "redis"])
def nodes(request: pytest.FixtureRequest) -> Nodes:
    """Opens some nodes of one cluster."""
    if request.param == "memory":
        bus = Bus()
        return partial(_open_nodes, lambda node: bus.open(node.hear, node.miss))
    url, namespace = request.getfixturevalue("redis_url"), os.urandom(4).hex().encode()
    return partial(_open_nodes, lambda node: open_redis(url, node.hear, node.miss, namespace=namespace))


@asynccontextmanager
async def _open_nodes(open_: Open, count: int) -> AsyncIterator[list[Node]]:
    async with AsyncExitStack() as stack:
        made = [Node() for _ in range(count)]
        for node in made:
            node.broker = await stack.enter_async_context(open_(node))
        await until(lambda: all(node.broker.statistics().connected for node in made))
        yield made


async def test_others_that_listen_hear(nodes: Nodes) -> None:
    async with nodes(3) as (speaker, listener, deaf):
        await listener.listen(b"one", b"two")
        await deaf.listen(b"three")
        for channel, data in ((b"one", b"a"), (b"three", b"b"), (b"two", bytes(range(256)) * 300), (b"one", b"")):
            speaker.broker.announce_nowait(channel, data)
        assert sorted(await listener.until(3)) == [(b"one", b""), (b"one", b"a"), (b"two", bytes(range(256)) * 300)]
        assert await deaf.until(1) == [(b"three", b"b")]
        assert speaker.heard == []
        assert speaker.broker.statistics().announced == 4
        assert listener.broker.statistics().heard == 3


async def test_a_node_does_not_hear_itself(nodes: Nodes) -> None:
    async with nodes(2) as (one, other):
        await one.listen(b"c")
        await other.listen(b"c")
        one.broker.announce_nowait(b"c", b"from one")
        other.broker.announce_nowait(b"c", b"from other")
        assert await one.until(1) == [(b"c", b"from other")]
        assert await other.until(1) == [(b"c", b"from one")]


async def test_who_stops_listening_hears_no_more(nodes: Nodes) -> None:
    async with nodes(2) as (speaker, listener):
        await listener.listen(b"c", b"mark")
        listener.broker.listen_nowait(b"c")
        listener.broker.ignore_nowait(b"c")
        listener.broker.ignore_nowait(b"never")
        await listener.listen(b"mark")
        speaker.broker.announce_nowait(b"c", b"unheard")
        speaker.broker.announce_nowait(b"mark", b"heard")
        assert await listener.until(1) == [(b"mark", b"heard")]
        await listener.listen(b"c")
        speaker.broker.announce_nowait(b"c", b"again")
        assert (await listener.until(2))[1] == (b"c", b"again")


async def test_a_burst_arrives_at_most_once_and_unaltered(nodes: Nodes) -> None:
    async with nodes(2) as (speaker, listener):
        await listener.listen(b"c")
        sent = {b"%d" % number for number in range(500)}
        for data in sent:
            speaker.broker.announce_nowait(b"c", data)
        heard = [data for _, data in await listener.until(500)]
        assert (len(heard), set(heard)) == (500, sent)
        assert listener.missed == 0


async def test_who_is_alone_knows_or_does_not_claim_it(nodes: Nodes) -> None:
    async with nodes(1) as (only,):
        only.broker.announce_nowait(b"c", b"nobody hears")
        assert only.broker.statistics().queued_bytes >= 0
        alone = only.broker.is_alone
    async with nodes(2) as (one, _):
        assert not one.broker.is_alone
    assert alone in (True, False)
