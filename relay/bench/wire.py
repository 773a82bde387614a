"""One client at the level of frames, without a vault or encryption: as little of its own cost as Python allows.

Our sans-IO websocket over a trio stream. Frames that answer a request go to whoever waits for it; everything else goes
to ``on_frame`` as bytes, undecoded, since a load reads millions of them.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import trio

from protocol import frames as F
from protocol import identity
from protocol import requests as R
from protocol.codec import decode_frames, decode_struct, encode_batch, encode_struct
from protocol.errors import RemoteProtocolError
from protocol.limits import BATCH_FRAMES_MAX, DEVICE_LIST_LIFE_MS, KEY_BYTES, NONCE_BYTES
from protocol.websocket import Client, Connecting, NotEstablished
from relay.bounds import BENCH_WAIT_S, READ_BYTES

T = TypeVar("T")
MSG: Final = 9
LIVE: Final = 10
_STREAMED: Final = frozenset({MSG, LIVE})
_HANDSHAKE_KEY_BYTES: Final = 16


class BenchFailed(Exception):
    """The relay does not let itself be measured like this; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Where:
    """A relay's address."""

    host: str
    port: int
    path: str
    tls: bool

    @classmethod
    def of(cls, url: str) -> Where:
        """From ws:// or wss://. Raises ``BenchFailed``."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = 0
        if parts.scheme not in ("ws", "wss") or not parts.hostname or port == 0:
            raise BenchFailed(f"'{url}' is no address of a relay; give one like wss://relay.example/ws")
        is_tls = parts.scheme == "wss"
        return cls(parts.hostname, port or (443 if is_tls else 80), parts.path or "/ws", is_tls)


class Account:
    """A new account with some devices: keys of this run only."""

    def __init__(self, devices: int = 1) -> None:
        self._root = identity.SigningKey(os.urandom(KEY_BYTES))
        self.keys = [identity.SigningKey(os.urandom(KEY_BYTES)) for _ in range(devices)]

    @property
    def id(self) -> bytes:
        """The account's id."""
        return self._root.public

    def signed(self) -> bytes:
        """The first device list. Nobody ever seals anything to its inbox keys, so they are random."""
        now_ms = unix_ms()
        devices = tuple(
            identity.Device(key.public, os.urandom(KEY_BYTES), now_ms, number == 0)
            for number, key in enumerate(self.keys)
        )
        listed = identity.DeviceList(self.id, 1, now_ms, now_ms + DEVICE_LIST_LIFE_MS, devices)
        return identity.sign_list(listed, self._root)

    def connect(self, info: F.Info, rid: int, device: int) -> F.Connect:
        """A CONNECT of one of its devices for the connection that ``info`` opened."""
        key = self.keys[device]
        nonce = os.urandom(NONCE_BYTES)
        message = identity.challenge(info.cluster, info.nonce, nonce, F.VERSION, self.id, key.public)
        signature = identity.sign_challenge(key, message)
        return F.Connect(rid, F.VERSION, key.public, nonce, signature, self.id, 1, (), "chappe-bench")


def unix_ms() -> int:
    """Wall-clock time in milliseconds."""
    return time.time_ns() // 1_000_000


class Wire:
    """A connection; made by ``connect``. ``on_frame``: MSG and LIVE, as they came (the second byte tells which)."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.on_frame: Callable[[bytes], None] = lambda data: None
        self._stream = stream
        self._socket = Client(os.urandom)
        self._waiting: dict[int, Callable[[F.Ok | F.Err], None]] = {}
        self._rid = 0
        self._pongs: list[F.Frame] = []
        self._lock = trio.StrictFIFOLock()
        self._ended: str | None = None
        self._gone = trio.Event()
        self._infos, self._info = trio.open_memory_channel[F.Info](1)

    # -- frames --------------------------------------------------------------------------------------------------------
    def next_rid(self) -> int:
        """A number for a request."""
        self._rid += 1
        return self._rid

    async def send(self, frames: list[F.Frame]) -> None:
        """Frames as few messages. Raises ``BenchFailed`` if the connection is over."""
        data = bytearray()
        for start in range(0, len(frames), BATCH_FRAMES_MAX):
            some = frames[start : start + BATCH_FRAMES_MAX]
            data += self._socket.frame(encode_struct(some[0]) if len(some) == 1 else encode_batch(some))
        async with self._lock:
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._end("the connection broke")
                self._check()

    def expect(self, rid: int, answer: Callable[[F.Ok | F.Err], None]) -> None:
        """Call ``answer`` when the request is answered."""
        self._waiting[rid] = answer

    async def ask(self, make: Callable[[int], F.Frame]) -> F.Ok | F.Err:
        """Send the request that ``make`` gives for a number, and wait for its answer."""
        rid = self.next_rid()
        answers: list[F.Ok | F.Err] = []
        done = trio.Event()

        def take(answer: F.Ok | F.Err) -> None:
            answers.append(answer)
            done.set()

        self.expect(rid, take)
        await self.send([make(rid)])
        await self.until(done)
        return answers[0]

    async def ok(self, make: Callable[[int], F.Frame], type_: type[T]) -> T:
        """The typed result of a request; waits and repeats it where it is refused for a while only.

        Raises ``BenchFailed`` with the relay's own words.
        """
        with trio.move_on_after(BENCH_WAIT_S):
            while True:
                answer = await self.ask(make)
                if isinstance(answer, F.Ok):
                    return decode_struct(answer.result, type_)
                if answer.retry_ms is None:
                    raise BenchFailed(f"the relay refused ({answer.code}): {answer.text}")
                await trio.sleep(answer.retry_ms / 1000)
        raise BenchFailed(f"the relay put a request off for {BENCH_WAIT_S} seconds; ask less of it")

    async def until(self, event: trio.Event) -> None:
        """Wait for an event. Raises ``BenchFailed`` if the connection ends or it takes too long."""
        with trio.move_on_after(BENCH_WAIT_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_gone, nursery.cancel_scope)
                await event.wait()
                nursery.cancel_scope.cancel()
            if not event.is_set():
                self._check()
            return
        raise BenchFailed(f"nothing came for {BENCH_WAIT_S} seconds")

    async def _until_gone(self, scope: trio.CancelScope) -> None:
        await self._gone.wait()
        scope.cancel()

    # -- life ----------------------------------------------------------------------------------------------------------
    async def login(self, who: Account, device: int = 0) -> bool:
        """CONNECT; whether the account is registered. Raises ``BenchFailed``."""
        info = await self.greeted()
        result = await self.ok(lambda rid: who.connect(info, rid, device), R.LoginResult)
        return result.registered

    async def greeted(self) -> F.Info:
        """INFO, as it came first."""
        with trio.move_on_after(BENCH_WAIT_S):
            try:
                return await self._info.receive()
            except trio.EndOfChannel:
                self._check()
        raise BenchFailed("this server sends no INFO; is it a relay of Chappe?")

    async def register(self, who: Account, invite: bytes | None) -> None:
        """Log in and publish the device list."""
        await self.login(who)
        await self.ok(lambda rid: req(rid, "devices.publish", R.PublishList(who.signed(), invite)), int)

    async def follow(self, topic: bytes, last: int | None = None) -> None:
        """Subscribe. Raises ``BenchFailed``."""
        want = F.Subscription(topic, None, last)
        (result,) = await self.ok(lambda rid: F.Sub(rid, (want,)), list[F.SubResult])
        if not result.tid:
            raise BenchFailed(f"the relay refused the subscription ({result.code})")

    async def aclose(self) -> None:
        """Drop the connection: the next one need not wait for a goodbye."""
        self._end("it was closed here")
        await trio.aclose_forcefully(self._stream)

    async def read(self, rest: bytes) -> None:
        """Read until the connection ends; ``rest`` came behind the handshake."""
        try:
            self.feed(rest)
            while data := await self._stream.receive_some(READ_BYTES):
                self.feed(bytes(data))
                if self._pongs:
                    pongs, self._pongs = self._pongs, []
                    await self.send(pongs)
            self._end("the relay closed the connection")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end("the connection broke")
        except BenchFailed:
            pass  # a PONG could not be sent: whoever uses this connection is told
        except RemoteProtocolError as error:
            self._end(f"the relay sent what is no frame: {error.text}")

    def feed(self, data: bytes) -> None:
        """Bytes of the relay, after the handshake."""
        for message in self._socket.receive(data):
            if len(message) > 1 and message[1] in _STREAMED:  # behind the array's head, which is one byte
                self.on_frame(message)
            else:
                for frame in decode_frames(message, from_client=False):
                    self._take(frame)

    def _take(self, frame: F.AnyFrame) -> None:
        if isinstance(frame, F.Ok | F.Err):
            answer = self._waiting.pop(frame.rid, None)
            if answer is not None:
                answer(frame)
        elif isinstance(frame, F.Info):
            with suppress(trio.WouldBlock, trio.ClosedResourceError):  # a later one says nothing that is used here
                self._infos.send_nowait(frame)
        elif isinstance(frame, F.Ping):
            self._pongs.append(F.Pong(frame.t))
        elif isinstance(frame, F.Bye):
            self._end(f"the relay said goodbye ({frame.code}): {frame.text}")

    def _end(self, why: str) -> None:
        if self._ended is None:
            self._ended = why
            self._infos.close()
            self._gone.set()

    def _check(self) -> None:
        if self._ended is not None:
            raise BenchFailed(self._ended)


def req(rid: int, method: str, params: R.Params) -> F.Req:
    """A REQ frame."""
    return F.Req(rid, method, msgspec.Raw(encode_struct(params)))


async def connect(nursery: trio.Nursery, where: Where, context: ssl.SSLContext | None = None) -> Wire:
    """Open a connection that ``nursery`` reads. Raises ``BenchFailed``."""
    stream = await _connected(where, context)
    wire = Wire(stream)
    try:
        rest = await _upgraded(stream, where)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    nursery.start_soon(wire.read, rest)
    return wire


async def _connected(where: Where, context: ssl.SSLContext | None) -> trio.abc.Stream:
    try:
        tcp = await trio.open_tcp_stream(where.host, where.port)
    except OSError as error:
        raise BenchFailed(f"{where.host}:{where.port} cannot be reached: {error}") from None
    if not where.tls:
        return tcp
    stream = trio.SSLStream(tcp, context or ssl.create_default_context(), server_hostname=where.host)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise BenchFailed(f"TLS with {where.host} failed: {error.__cause__}") from None
    return stream


async def _upgraded(stream: trio.abc.Stream, where: Where) -> bytes:
    host = f"{where.host}:{where.port}".encode()
    connecting = Connecting(host, where.path.encode(), os.urandom(_HANDSHAKE_KEY_BYTES), subprotocol=F.SUBPROTOCOL)
    try:
        await stream.send_all(connecting.request())
        with trio.move_on_after(BENCH_WAIT_S):
            while data := await stream.receive_some(READ_BYTES):
                done = connecting.receive(bytes(data))
                if isinstance(done, NotEstablished):
                    raise BenchFailed(f"no websocket at {where.path} ({done.status}): {done.text}")
                if done is not None:
                    return done.rest
    except trio.BrokenResourceError:
        pass  # said below
    raise BenchFailed("the relay closed the connection before the websocket was open; it may be full, or busy")
