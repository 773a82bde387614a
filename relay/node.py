"""A relay process: store, hubs, connections, listener and background tasks, put together and taken apart again.

Draining (SIGTERM): stop accepting, say so in INFO, refuse new work with 503, wait for the commits under way and their
OKs, BYE 4000 and close 1012 to everyone, flush, end. Nothing acked is lost, since an OK follows its commit anyway.
"""

from __future__ import annotations

import gc
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import trio

from protocol.ids import Entropy
from relay import bounds as B
from relay import log
from relay.admission.rules import RulesStatistics
from relay.blobs import BlobService
from relay.broker.base import Broker, BrokerStatistics
from relay.config import ConfigError, Settings
from relay.connection import Connection
from relay.context import Relay
from relay.counters import Counters
from relay.dataplane import plane
from relay.delivery_service import DeliveryService
from relay.hubs import HubsStatistics
from relay.listener import Listener
from relay.presence import PresenceStatistics
from relay.seam import Front, FrontStatistics, Handler, Peer
from relay.slots import GroupStatistics
from relay.wheel import BUCKET_MS
from relay.workers import WorkerState
from storage.base import Store, StoreAway, StoreStatistics
from storage.casework import Waiting

#: sqlite3 takes the GIL back for every row; a short interval lets the event loop in between (measured, DESIGN 6).
SWITCH_INTERVAL_S: Final = 0.0005
#: Of the collector. A full collection looked at 67,000 objects of imports (24 ms, frozen now) and at 37 a connection
#: (3.4 ms for each thousand). What the hot path makes is in no cycle, so looking rarely costs a little memory at most.
COLLECTOR: Final = (10_000, 20, 100)


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """Everything that a relay can say about itself."""

    listener: FrontStatistics
    hubs: HubsStatistics
    store: StoreStatistics
    broker: BrokerStatistics
    connections: int
    rules: RulesStatistics
    reports: Waiting
    presence: PresenceStatistics
    inflight: int
    backlog: int  # subscriptions behind the head
    is_draining: bool
    workers: tuple[GroupStatistics, ...]


class Node:
    """A running relay; made by ``open_node``."""

    def __init__(self, relay: Relay, listener: Front, nursery: trio.Nursery) -> None:
        self.relay = relay
        self.listener = listener
        self.insecure = relay.settings.insecure()
        self.address = ""  # "host:port" once `listen` has been called
        self.drained = trio.Event()
        self.workers: Callable[[], tuple[WorkerState, ...]] = tuple  # beside this relay
        self._nursery = nursery

    @property
    def counters(self) -> Counters:
        """What has happened so far."""
        return self.relay.counters

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"{'wss' if self.relay.settings.tls_certificate else 'ws'}://{self.address}/ws"

    async def listen(self) -> None:
        """Bind and accept from now on. Raises ``ConfigError`` where the address cannot be had."""
        settings = self.relay.settings
        self.address = await self.listener.listen(settings.host, settings.port, "port")
        await self._nursery.start(self.listener.serve)

    def reload_tls(self) -> None:
        """Read certificate and key anew, for the connections to come; what cannot be used changes nothing."""
        try:
            self.listener.tls = _tls(self.relay.settings)
        except ConfigError as error:
            log.warning("tls-not-reloaded", why=str(error))
        else:
            log.info("tls-reloaded")

    def connections(self) -> list[Connection]:
        """Open connections."""
        return [item for item in self.relay.registry if isinstance(item, Connection)]

    def statistics(self) -> NodeStatistics:
        """Numbers now."""
        connections = self.connections()
        return NodeStatistics(
            self.listener.statistics(), self.relay.hubs.statistics(), self.relay.store.statistics(),
            self.relay.broker.statistics(), len(connections), self.relay.rules.statistics(),
            self.relay.reports.statistics(), self.relay.presence.statistics(), self.relay.pending.count,
            sum(c.backlog for c in connections), self.relay.is_draining, self.relay.slots.statistics(),
        )  # fmt: skip

    async def drain(self) -> None:
        """End in an orderly way; see the module. Returns when every connection is gone, or after ``drain_ms``."""
        if self.relay.is_draining:
            await self.drained.wait()
            return
        log.info("draining", connections=len(self.relay.registry))
        with trio.move_on_after(self.relay.settings.drain_ms / 1000 * 0.9):
            self.listener.stop_accepting()
            self.relay.is_draining = True
            for connection in self.connections():
                connection.announce()
            with trio.move_on_after(B.DRAIN_COMMIT_MS / 1000):
                await self.relay.pending.none()
            for connection in self.connections():
                connection.drain()
            await self.relay.registry.empty()
        log.info("drained", left=len(self.relay.registry))
        self.drained.set()


def make_accept(relay: Relay) -> Callable[[Peer], Handler]:
    """What a listener calls for every websocket."""
    service = DeliveryService(relay)
    return lambda peer: Connection(relay, service, peer)


def wall_clock_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def trio_tick_ms() -> int:
    """Monotonic milliseconds of trio's clock, so that tests with a virtual clock move it."""
    return int(trio.current_time() * 1000)


@asynccontextmanager
async def open_node(
    settings: Settings, store: Store, broker: Broker, cluster: bytes, *,
    clock_ms: Callable[[], int] = wall_clock_ms, entropy: Entropy = os.urandom,
) -> AsyncIterator[Node]:  # fmt: skip
    """A relay over an open store and broker, not listening yet. Everything ends with the block."""
    async with trio.open_nursery() as nursery:
        relay = Relay(settings, store, broker, nursery, cluster, clock_ms, trio_tick_ms, entropy)
        await relay.rules.load()
        listener = _open_front(relay)
        relay.later = listener.later
        relay.now_ms = lambda: listener.now_ms
        await relay.reports.load()
        node = Node(relay, listener, nursery)
        for sentence in node.insecure:
            log.warning("insecure", why=sentence)
        nursery.start_soon(_turn_wheel, relay, listener)
        nursery.start_soon(_retain, relay)
        nursery.start_soon(_look_at_workers, relay)
        try:
            yield node
        finally:
            nursery.cancel_scope.cancel()


def _open_front(relay: Relay) -> Front:
    settings, accept, tls, blobs = relay.settings, make_accept(relay), _tls(relay.settings), BlobService(relay)
    if settings.plane == "trio" or not plane.IS_AVAILABLE:
        return Listener(settings, accept, relay.counters, tls, blobs, relay.rules.may_connect)
    return plane.Plane(
        settings, accept, relay.counters, relay.tick_ms, tls=tls, http=blobs, may_connect=relay.rules.may_connect
    )


async def _turn_wheel(relay: Relay, listener: Front) -> None:
    while True:
        await trio.sleep(BUCKET_MS / 1000)
        relay.wheel.turn(relay.tick_ms())
        listener.sweep(relay.tick_ms())


async def _retain(relay: Relay) -> None:
    """Remove what is too old, again and again; a store that is away is asked again the next time.

    Where messages are kept for ever, their time to live still ends, and uploads that nothing names still go.
    """
    while True:
        before_ms = relay.clock_ms() - relay.settings.retention_ms if relay.settings.retention_ms else 0
        try:
            await relay.retain(before_ms)
        except StoreAway as error:
            log.warning("retention-skipped", why=str(error))
        await trio.sleep(relay.settings.retention_every_ms / 1000)


async def _look_at_workers(relay: Relay) -> None:
    """What workers have not acknowledged, for the metrics."""
    while True:
        await trio.sleep(B.LAG_EVERY_MS / 1000)
        try:
            await relay.slots.look()
        except StoreAway as error:
            log.warning("lag-skipped", why=str(error))


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.tls_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"tls_certificate or tls_key cannot be used: {error}") from None
    return context


def prepare_process() -> None:
    """Settings of the whole process, for the commands only."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*COLLECTOR)


def settle_process() -> None:
    """Everything is imported and built: the collector need never look at it again."""
    gc.collect()
    gc.freeze()
