"""All hubs of this process: made on the first SUB, kept for a while after the last, bounded in number and memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from protocol.codec import encode_struct
from relay import log
from relay.bounds import FILL_BYTES, FILL_ENTRIES, FILL_RETRY_MS, IDLE_HUBS_MAX, IDLE_RING_BYTES_MAX
from relay.broker.base import Broker
from relay.config import Settings
from relay.counters import Counters
from relay.hub import Hub
from relay.ring import Ring
from storage.base import Entry, StoreAway, Topics

Spawn = Callable[[str, Callable[[], Awaitable[None]]], None]


@dataclass(frozen=True, slots=True)
class HubsStatistics:
    """What is kept in memory."""

    hubs: int
    idle: int
    subscriptions: int
    ring_bytes: int


class Hubs:
    """Registry of hubs. ``spawn(name, async function)`` starts a task that outlives the caller;
    ``later(function)`` calls it after everything that came at the same time."""

    def __init__(
        self, settings: Settings, topics: Topics, broker: Broker, counters: Counters, spawn: Spawn,
        later: Callable[[Callable[[], None]], None] = lambda do: do(),
    ) -> None:  # fmt: skip
        self._settings = settings
        self._topics = topics
        self._broker = broker
        self._counters = counters
        self._spawn = spawn
        self._later = later
        self._hubs: dict[bytes, Hub] = {}
        self._idle: OrderedDict[bytes, Hub] = OrderedDict()
        self._idle_bytes = 0
        self._last_tid = 0

    def forget_frames(self) -> None:
        """Retention has removed bodies: rings may still hold some of them, so every reader goes back to the store."""
        for hub in self._hubs.values():
            if hub.is_started:
                hub.ring.forget(hub.head + 1)
        self._idle_bytes = 0

    def pin(self, topic: bytes) -> Hub:
        """The hub of a topic, made if there is none; it listens from now on. ``unpin`` it when the SUB is decided."""
        hub = self._hubs.get(topic)
        if hub is None:
            self._last_tid += 1
            ring = Ring(self._settings.ring_frames, self._settings.ring_bytes_max)
            hub = Hub(
                topic, self._last_tid, ring, self._settings.outbound_bytes_max, self._counters, self._fill, self._later
            )
            self._hubs[topic] = hub
            self._broker.listen_nowait(topic)
        elif self._idle.pop(topic, None) is not None:
            self._idle_bytes -= hub.ring.bytes
        hub.pins += 1
        return hub

    def unpin(self, hub: Hub) -> None:
        """The SUB is decided."""
        hub.pins -= 1
        self.rest(hub)

    def rest(self, hub: Hub) -> None:
        """Called after a subscription has left: a hub without any becomes idle, or goes."""
        if hub.subscriptions or hub.pins or self._hubs.get(hub.topic) is not hub:
            return
        if not hub.is_started or hub.is_filling:
            self._drop(hub)
            return
        if hub.topic not in self._idle:
            self._idle[hub.topic] = hub
            self._idle_bytes += hub.ring.bytes
        while self._idle and (len(self._idle) > IDLE_HUBS_MAX or self._idle_bytes > IDLE_RING_BYTES_MAX):
            self._drop(next(iter(self._idle.values())))

    def _drop(self, hub: Hub) -> None:
        if self._idle.pop(hub.topic, None) is not None:
            self._idle_bytes -= hub.ring.bytes
        del self._hubs[hub.topic]
        self._broker.ignore_nowait(hub.topic)

    def get(self, topic: bytes) -> Hub | None:
        """The hub of a topic, if there is one."""
        return self._hubs.get(topic)

    def committed(self, entry: Entry) -> None:
        """An entry was committed by this node: tell local followers, then the other nodes."""
        hub = self._hubs.get(entry.topic)
        if hub is not None:
            self._offer(hub, entry)
        if not self._broker.is_alone:
            self._broker.announce_nowait(entry.topic, encode_struct(entry))

    def _offer(self, hub: Hub, entry: Entry) -> None:
        before = hub.ring.bytes
        hub.offer(entry)
        if hub.topic in self._idle:
            self._idle_bytes += hub.ring.bytes - before

    def _fill(self, hub: Hub) -> None:
        if hub.subscriptions or hub.pins:
            self._counters.fills += 1
            self._spawn("fill", lambda: self._fill_from_store(hub))
        else:
            self._drop(hub)  # nobody waits for the gap to be closed

    async def _fill_from_store(self, hub: Hub) -> None:
        while hub.is_filling and (hub.subscriptions or hub.pins):
            try:
                page = await self._topics.read(hub.topic, hub.head, FILL_ENTRIES, FILL_BYTES)
            except StoreAway as error:
                log.warning("fill-waits", topic=hub.topic, why=str(error))
                await trio.sleep(FILL_RETRY_MS / 1000)
                continue
            hub.filled(page)
        if hub.is_filling and self._hubs.get(hub.topic) is hub:
            self.rest(hub)

    def statistics(self) -> HubsStatistics:
        """Sizes now."""
        hubs = self._hubs.values()
        return HubsStatistics(
            len(self._hubs), len(self._idle), sum(len(h.subscriptions) for h in hubs), sum(h.ring.bytes for h in hubs)
        )
