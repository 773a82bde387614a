"""What all connections of a relay share, put together once by ``relay.node`` (or a test)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import trio

from protocol.codec import encode_struct
from protocol.errors import Close
from protocol.frames import VERSION, Evt, Info
from protocol.identity import open_signed
from protocol.ids import Entropy
from protocol.limits import MESSAGE_BYTES_MAX
from protocol.requests import DevicesChanged
from relay import log
from relay.admission.rules import Rules
from relay.boundary import Boundary
from relay.broker.base import Broker
from relay.config import Settings
from relay.counters import Counters
from relay.hubs import Hubs
from relay.pending import Pending
from relay.presence import Presence
from relay.registry import Registry
from relay.reports import ReportDesk
from relay.slots import Slots
from relay.tickets import Tickets
from relay.wheel import Wheel
from storage.base import Entry, Freed, Store
from storage.flags import DEVICES

FLAG_DRAINING = 1


class Relay:
    """Shared state. ``clock_ms`` is wall-clock time, ``tick_ms`` monotonic; tasks run in ``nursery``."""

    def __init__(
        self, settings: Settings, store: Store, broker: Broker, nursery: trio.Nursery, cluster: bytes,
        clock_ms: Callable[[], int], tick_ms: Callable[[], int], entropy: Entropy,
    ) -> None:  # fmt: skip
        self.settings = settings
        self.store = store
        self.broker = broker
        self.cluster = cluster
        self.clock_ms = clock_ms
        self.tick_ms = tick_ms
        self.entropy = entropy
        self.counters = Counters()
        self.rules = Rules(settings, store.admission, clock_ms)
        self.reports = ReportDesk(store.reports, bytes.fromhex(settings.report_key), tick_ms)
        self.registry = Registry()
        self.wheel = Wheel(tick_ms())
        self.hubs = Hubs(settings, store.topics, broker, self.counters, self.spawn, lambda do: self.later(do))
        self.slots = Slots(store.slots, tick_ms, self.spawn)
        self.tickets = Tickets(tick_ms, entropy)
        self.presence = Presence(store.topics, clock_ms, self.spawn)
        self.registry.gone = self.presence.gone
        self.logins = trio.Lock()  # whose signature is being checked
        self.is_draining = False
        self.pending = Pending()  # PUBs of all connections that wait for their commit
        self.now_ms = tick_ms  # the same for all that came together, where the listener reads the clock once for it
        self.later: Callable[[Callable[[], None]], None] = _at_once  # the listener's, when there is one
        self._nursery = nursery

    def spawn(self, name: str, run: Callable[[], Awaitable[None]], failed: Callable[[], None] | None = None) -> None:
        """Start a task that outlives the caller; a bug in it is logged, counted and told to ``failed``."""

        async def guarded() -> None:
            with self.boundary(name, failed):
                await run()

        self._nursery.start_soon(guarded, name=name)

    def boundary(self, what: str, failed: Callable[[], None] | None = None) -> Boundary:
        """A ``Boundary`` that counts."""

        def count() -> None:
            self.counters.failures += 1
            if failed is not None:
                failed()

        return Boundary(what, count)

    def info(self, nonce: bytes) -> Info:
        """The relay's greeting."""
        settings = self.settings
        limits = (
            ("message_bytes", MESSAGE_BYTES_MAX),
            ("subscriptions", settings.subscriptions_max),
            ("inflight_pubs", settings.inflight_pubs_max),
        )
        flags = FLAG_DRAINING if self.is_draining else 0
        return Info((VERSION,), self.cluster, nonce, (), limits, self.clock_ms(), flags)

    async def retain(self, before_ms: int) -> Freed:
        """One run of retention. Raises ``StoreAway``."""
        freed = await self.store.topics.retain(before_ms, self.clock_ms())
        if freed.entries:
            self.hubs.forget_frames()
        log.info("retention", entries=freed.entries, bytes=freed.bytes, blobs=freed.blobs, blob_bytes=freed.blob_bytes)
        return freed

    def committed(self, entry: Entry) -> None:
        """An entry is durable: hand it to its followers, and act on new device lists."""
        self.hubs.committed(entry)
        self.slots.committed(entry)
        if entry.flags & DEVICES:
            self._list_changed(entry)

    def _list_changed(self, entry: Entry) -> None:
        devices = open_signed(entry.body)
        self.tickets.keep_only(devices.account, {device.key for device in devices.devices})
        event = Evt("devices", _raw(DevicesChanged(devices.account, devices.version)))
        for connection in self.registry.of_account(devices.account):
            if devices.device(connection.device) is None:
                connection.bye(Close.REVOKED)
            else:
                connection.send(event)


def _at_once(do: Callable[[], None]) -> None:
    do()


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(encode_struct(value))
