"""A broker within one process: a single relay has nobody to talk to; tests put several nodes on one bus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from relay.broker.base import Broker, BrokerStatistics, Hear, Missed


class Bus:
    """What the nodes of one process share."""

    def __init__(self) -> None:
        self.nodes: list[MemoryBroker] = []

    @asynccontextmanager
    async def open(self, hear: Hear, missed: Missed) -> AsyncIterator[Broker]:
        """A node's end; ``missed`` is never called, since nothing gets lost here."""
        del missed
        node = MemoryBroker(self, hear)
        self.nodes.append(node)
        try:
            yield node
        finally:
            self.nodes.remove(node)


class MemoryBroker:
    """One node's end of a ``Bus``."""

    def __init__(self, bus: Bus, hear: Hear) -> None:
        self._bus = bus
        self._hear = hear
        self._channels: set[bytes] = set()
        self._announced = self._heard = 0

    @property
    def is_alone(self) -> bool:
        """True while this is the only node of the bus."""
        return len(self._bus.nodes) == 1

    def announce_nowait(self, channel: bytes, data: bytes) -> None:
        """Call every other listening node at once."""
        self._announced += 1
        for node in self._bus.nodes:
            if node is not self and channel in node._channels:
                node._heard += 1
                node._hear(channel, data)

    def listen_nowait(self, channel: bytes) -> None:
        """Begin to listen."""
        self._channels.add(channel)

    async def listening(self) -> None:
        """Listening takes effect at once here."""
        await trio.lowlevel.checkpoint()

    def ignore_nowait(self, channel: bytes) -> None:
        """Stop listening."""
        self._channels.discard(channel)

    def statistics(self) -> BrokerStatistics:
        """Always connected, never a queue."""
        return BrokerStatistics(True, self._announced, 0, self._heard, 0)
