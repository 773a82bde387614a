"""The broker over Redis' publish/subscribe: a link of our own for what is said all the time, ``redis`` for the start.

Why a link of our own: a thread per call costs more than the call, and a client that matches replies to callers can hand
one caller's reply to the next after a cancellation (it has happened: CVE-2023-28858). Here nobody waits for a reply:
one task writes what is to be said, one reads what comes, and replies are only counted. ``hiredis`` packs and parses.

Two connections: one publishes, one is subscribed. Each is made anew with growing pauses for as long as the node lives;
what was to be said meanwhile is dropped, and after the subscribed one is back ``missed`` is called.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import hiredis
import redis
import trio

from relay import log
from relay.bounds import ANNOUNCE_BYTES_MAX
from relay.broker.base import Broker, BrokerAway, BrokerStatistics, Hear, Missed
from relay.config import ConfigError

CONNECT_S: Final = 5.0
PING_S: Final = 5.0  # a link that says nothing for twice as long is dead
PAUSE_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # between attempts to connect; the last one stays
_NODE_BYTES: Final = 16
_SUBSCRIBE_CHANNELS: Final = 1000  # named in one command when a link comes back
_RECEIVE_BYTES: Final = 64 * 1024
_NOTHING: Final = object()
Stream = trio.abc.Stream


@dataclass(frozen=True, slots=True)
class Address:
    """What a ``redis://`` URL says. The password is not shown."""

    host: str
    port: int
    database: int
    tls: bool
    greeting: tuple[tuple[str, ...], ...]  # AUTH and SELECT, if needed

    def __repr__(self) -> str:
        return f"Address({self.host}:{self.port}/{self.database})"


def parse_url(url: str) -> Address:
    """``redis[s]://[[user]:password@]host[:port][/database]``. Raises ``ConfigError``."""
    parts = urlsplit(url)
    try:
        port = parts.port or 6379
        database = int(parts.path.strip("/") or 0)
    except ValueError:
        raise ConfigError("redis_url: port and database are numbers: redis://host:6379/0") from None
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise ConfigError("redis_url begins with redis:// or rediss:// and names a host: redis://host:6379/0")
    greeting: list[tuple[str, ...]] = []
    if parts.password:
        user = (unquote(parts.username),) if parts.username else ()
        greeting.append(("AUTH", *user, unquote(parts.password)))
    if database:
        greeting.append(("SELECT", str(database)))
    return Address(parts.hostname, port, database, parts.scheme == "rediss", tuple(greeting))


class Refused(Exception):
    """Redis did not accept the greeting, or said something that is not its protocol."""


class Link:
    """One connection that comes back. ``send_nowait`` buffers; replies go to ``heard``; ``up`` and ``down`` tell."""

    def __init__(
        self, address: Address, heard: Callable[[Any], None], up: Callable[[], None], down: Callable[[], None]
    ) -> None:
        self._address = address
        self._heard = heard
        self._up = up
        self._down = down
        self._pending: list[bytes] = []
        self._wake = trio.Event()
        self.queued_bytes = 0
        self.is_up = False

    def send_nowait(self, *parts: bytes | str) -> bool:
        """Queue one command; False: it was dropped, since the link is away or its queue is full."""
        if not self.is_up or self.queued_bytes > ANNOUNCE_BYTES_MAX:
            return False
        data = _pack(*parts)
        self._pending.append(data)
        self.queued_bytes += len(data)
        self._wake.set()
        return True

    async def run(self) -> None:
        """Connect again and again until cancelled."""
        attempt = 0
        while True:
            try:
                with trio.fail_after(CONNECT_S):
                    stream, reader = await self._connect()
            except (OSError, trio.TooSlowError, trio.BrokenResourceError, Refused) as error:
                if attempt == 0:
                    log.warning("redis-away", address=repr(self._address), why=str(error) or type(error).__name__)
                await trio.sleep(PAUSE_S[min(attempt, len(PAUSE_S) - 1)])
                attempt += 1
                continue
            attempt = 0
            await self._serve(stream, reader)

    async def _connect(self) -> tuple[Stream, hiredis.Reader]:
        address = self._address
        stream: Stream
        if address.tls:
            context = ssl.create_default_context()
            stream = await trio.open_ssl_over_tcp_stream(address.host, address.port, ssl_context=context)
        else:
            stream = await trio.open_tcp_stream(address.host, address.port)
        reader = hiredis.Reader(notEnoughData=_NOTHING)
        try:
            for command in address.greeting:
                await stream.send_all(_pack(*command))
                reply = await _one_reply(stream, reader)
                if isinstance(reply, hiredis.ReplyError):
                    raise Refused(f"Redis refused {command[0]}: {reply}")
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream, reader

    async def _serve(self, stream: Stream, reader: hiredis.Reader) -> None:
        self._pending.clear()
        self.queued_bytes = 0
        self.is_up = True
        try:
            self._up()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ended, nursery.cancel_scope, self._write, stream)
                nursery.start_soon(self._ended, nursery.cancel_scope, self._read, stream, reader)
        finally:
            self.is_up = False
            self._down()
            await trio.aclose_forcefully(stream)

    async def _ended(self, scope: trio.CancelScope, run: Callable[..., Any], *args: Any) -> None:
        """Run one half of the link; where it ends, both do."""
        try:
            await run(*args)
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, hiredis.ProtocolError) as error:
            log.warning("redis-lost", address=repr(self._address), why=str(error) or type(error).__name__)
        scope.cancel()

    async def _write(self, stream: Stream) -> None:
        while True:
            if not self._pending:
                self._wake = trio.Event()
                with trio.move_on_after(PING_S):
                    await self._wake.wait()
                if not self._pending:
                    self._pending.append(_pack("PING"))
            data = b"".join(self._pending)
            self._pending.clear()
            with trio.fail_after(2 * PING_S):
                await stream.send_all(data)
            self.queued_bytes = sum(map(len, self._pending))

    async def _read(self, stream: Stream, reader: hiredis.Reader) -> None:
        while True:
            with trio.fail_after(2 * PING_S):
                data = await stream.receive_some(_RECEIVE_BYTES)
            if not data:
                return
            reader.feed(bytes(data))
            while (reply := reader.gets()) is not _NOTHING:
                self._heard(reply)


def _pack(*parts: bytes | str) -> bytes:
    command: Any = parts  # its type information knows tuples of one element only
    packed: bytes = hiredis.pack_command(command)
    return packed


async def _one_reply(stream: Stream, reader: hiredis.Reader) -> Any:
    while (reply := reader.gets()) is _NOTHING:
        data = await stream.receive_some(_RECEIVE_BYTES)
        if not data:
            raise Refused("Redis closed the connection")
        reader.feed(bytes(data))
    return reply


class RedisBroker:
    """One node's end; made by ``open_redis``."""

    def __init__(self, address: Address, hear: Hear, missed: Missed, namespace: bytes) -> None:
        self._hear = hear
        self._missed = missed
        self._prefix = b"chappe:" + namespace + b":"
        self._node = os.urandom(_NODE_BYTES)
        self._channels: set[bytes] = set()
        self._asked = self._confirmed = 0  # changes of subscriptions, over the life of the link
        self._all_confirmed = 0  # `_confirmed` at which a link that came back has subscribed to everything again
        self._change = trio.Event()
        self._announced = self._dropped = self._heard = 0
        self._was_up = False
        self.publisher = Link(address, self._publish_answered, _nothing, _nothing)
        self.subscriber = Link(address, self._receive, self._subscribe_all, self._lost)

    # -- Broker --------------------------------------------------------------------------------------------------------
    @property
    def is_alone(self) -> bool:
        """Never known: other nodes may listen."""
        return False

    def announce_nowait(self, channel: bytes, data: bytes) -> None:
        """PUBLISH, marked with this node's name so that it does not hear itself."""
        if self.publisher.send_nowait("PUBLISH", self._prefix + channel, self._node + data):
            self._announced += 1
        else:
            self._dropped += 1

    def listen_nowait(self, channel: bytes) -> None:
        """SUBSCRIBE now if the link is up, else when it comes back."""
        if channel not in self._channels:
            self._channels.add(channel)
            self._ask("SUBSCRIBE", [channel])

    def ignore_nowait(self, channel: bytes) -> None:
        """UNSUBSCRIBE."""
        if channel in self._channels:
            self._channels.discard(channel)
            self._ask("UNSUBSCRIBE", [channel])

    async def listening(self) -> None:
        """Wait for Redis' confirmations. Raises ``BrokerAway`` if the link is away or is lost meanwhile."""
        await trio.lowlevel.checkpoint()
        wanted = self._asked
        while self.subscriber.is_up:
            if self._confirmed >= wanted:
                return
            await self._change.wait()
        raise BrokerAway("the link to Redis is away; entries of other relays come late until it is back")

    def statistics(self) -> BrokerStatistics:
        """State of both links."""
        is_up = self.publisher.is_up and self.subscriber.is_up
        queued = self.publisher.queued_bytes + self.subscriber.queued_bytes
        return BrokerStatistics(is_up, self._announced, self._dropped, self._heard, queued)

    # -- the links -----------------------------------------------------------------------------------------------------
    def _ask(self, command: str, channels: list[bytes]) -> None:
        if self.subscriber.send_nowait(command, *(self._prefix + channel for channel in channels)):
            self._asked += len(channels)

    def _subscribe_all(self) -> None:
        self._asked = self._confirmed = 0
        channels = sorted(self._channels)
        for start in range(0, len(channels), _SUBSCRIBE_CHANNELS):
            self._ask("SUBSCRIBE", channels[start : start + _SUBSCRIBE_CHANNELS])
        self._all_confirmed = self._asked
        if not channels:
            self._back()

    def _back(self) -> None:
        """Everything is subscribed; where the link was away before, something may have been lost."""
        if self._was_up:
            self._missed()
        self._was_up = True

    def _lost(self) -> None:
        self._tell()

    def _tell(self) -> None:
        self._change.set()
        self._change = trio.Event()

    def _publish_answered(self, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError):
            self._dropped += 1
            log.warning("redis-refused", why=str(reply))

    def _receive(self, reply: Any) -> None:
        kind = reply[0] if isinstance(reply, list) and reply else None
        if kind == b"message":
            channel, data = reply[1], reply[2]
            if data[:_NODE_BYTES] != self._node:
                self._heard += 1
                self._hear(channel[len(self._prefix) :], data[_NODE_BYTES:])
        elif kind in (b"subscribe", b"unsubscribe"):
            self._confirmed += 1
            if self._confirmed == self._all_confirmed:
                self._back()
            self._tell()
        elif isinstance(reply, hiredis.ReplyError):
            log.warning("redis-refused", why=str(reply))


def _nothing() -> None:
    """A link whose state nobody follows."""


@asynccontextmanager
async def open_redis(url: str, hear: Hear, missed: Missed, *, namespace: bytes = b"") -> AsyncIterator[Broker]:
    """A node's end over Redis; ``namespace`` keeps clusters apart that share one. Raises ``ConfigError`` for the URL.

    Redis may be away now: the relay starts without, says so, and links up when it can.
    """
    address = parse_url(url)
    await trio.to_thread.run_sync(_look, url, address, abandon_on_cancel=True)
    broker = RedisBroker(address, hear, missed, namespace)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker.publisher.run)
        nursery.start_soon(broker.subscriber.run)
        try:
            yield broker
        finally:
            nursery.cancel_scope.cancel()


def _look(url: str, address: Address) -> None:
    """Ask the server once who it is, for the log."""
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=CONNECT_S, socket_timeout=CONNECT_S) as client:
            info: Any = client.info("server")
        log.info("redis", address=repr(address), version=str(info.get("redis_version")))
    except redis.RedisError as error:
        log.warning("redis-away", address=repr(address), why=str(error))
