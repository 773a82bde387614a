"""What moves bytes, on real sockets, with handlers that echo and do what they are told: for both planes."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from protocol.frames import SUBPROTOCOL
from protocol.websocket import Client, Connecting, Established
from relay.config import Settings
from relay.counters import Counters
from relay.dataplane.plane import Plane
from relay.listener import PATH, Listener
from relay.seam import Front, HttpService, Peer
from tests.support.waiting import TIMEOUT_S

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 section 1.3
PLANES = ("epoll", "trio")


class Echo:
    """A handler that sends back what it gets, and does what it is told to in words."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.events: list[object] = []

    def on_message(self, data: bytes) -> None:
        """One message."""
        self.events.append(data if len(data) < 100 else len(data))
        word, _, number = data.partition(b" ")
        if data == b"close":
            self.peer.close_nowait(4002, "told to", b"goodbye")
        elif data == b"login":
            self.peer.login_decided_nowait()
        elif data == b"fail":
            raise RuntimeError("told to")
        elif word == b"flood":
            for _ in range(int(number)):
                self.peer.send_nowait(bytes(1000))
        elif word == b"shared":
            self.peer.send_shared_nowait(b"\x82\x03one")
            self.peer.send_nowait(b"two")
        else:
            self.peer.send_nowait(data)

    def on_text(self) -> None:
        """A text."""
        self.events.append("text")
        self.peer.close_nowait(1003, "binary only")

    def on_writable(self) -> None:
        """Room."""
        self.events.append("writable")

    def on_closed(self) -> None:
        """The end."""
        self.events.append("closed")


class Bench:
    """A front that serves, and what its handlers saw. ``now_ms``: the plane's clock, moved by hand."""

    def __init__(self, kind: str, settings: Settings, **options: object) -> None:
        self.kind = kind
        self.settings = settings
        self.counters = Counters()
        self.handlers: list[Echo] = []
        self.now_ms = 1_000_000
        self.front: Front
        if kind == "epoll":
            self.front = Plane(settings, self._accept, self.counters, lambda: self.now_ms, **options)  # type: ignore[arg-type]
        else:
            self.front = Listener(settings, self._accept, self.counters, **options)  # type: ignore[arg-type]
        self.port = 0
        self._streams: list[trio.SocketStream] = []

    def _accept(self, peer: Peer) -> Echo:
        self.handlers.append(Echo(peer))
        return self.handlers[-1]

    @property
    def plane(self) -> Plane:
        """The front, which is a plane."""
        assert isinstance(self.front, Plane)
        return self.front

    async def tcp(self, *, receive_bytes: int | None = None) -> trio.SocketStream:
        """A connection without a word said."""
        sock = trio.socket.socket()
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        try:
            await sock.connect(("127.0.0.1", self.port))
        except OSError:
            sock.close()
            raise
        self._streams.append(trio.SocketStream(sock))
        return self._streams[-1]

    async def leave(self) -> None:
        """Close whatever is open at the clients' ends."""
        for stream in self._streams:
            await trio.aclose_forcefully(stream)

    async def websocket(self, **options: int) -> Socket:
        """A websocket that was accepted."""
        return await Socket.open(await self.tcp(**options))

    def pass_ms(self, span_ms: int) -> None:
        """Time passes on the plane."""
        self.now_ms += span_ms
        self.front.sweep(self.now_ms)


@asynccontextmanager
async def bench(kind: str, *, tls: ssl.SSLContext | None = None, http: HttpService | None = None,
    may_connect: Callable[[str, int], bool] = lambda address, now_ms: True, **settings: object,
) -> AsyncIterator[Bench]:  # fmt: skip
    """A front on a port of its own."""
    found = Bench(kind, Settings(**settings), tls=tls, http=http, may_connect=may_connect)  # type: ignore[arg-type]
    location = await found.front.listen("127.0.0.1", 0, "port")
    found.port = int(location.rpartition(":")[2])
    async with trio.open_nursery() as nursery:
        try:
            with trio.fail_after(TIMEOUT_S):
                await nursery.start(found.front.serve)
                yield found
        finally:
            await found.leave()
        nursery.cancel_scope.cancel()


class Socket:
    """A client's websocket, by our own sans-IO client over a stream."""

    def __init__(self, stream: trio.abc.Stream, client: Client, rest: bytes) -> None:
        self.stream = stream
        self.client = client
        self._messages = client.receive(rest)
        self.is_ended = False

    @classmethod
    async def open(cls, stream: trio.abc.Stream, host: bytes = b"127.0.0.1") -> Socket:
        """Shake hands."""
        connecting = Connecting(host, PATH.encode(), bytes(range(16)), subprotocol=SUBPROTOCOL)
        await stream.send_all(connecting.request())
        while True:
            found = connecting.receive(bytes(await stream.receive_some()))
            if isinstance(found, Established):
                return cls(stream, Client(lambda count: b"\1\2\3\4"[:count]), found.rest)
            assert found is None, found

    async def send(self, data: bytes) -> None:
        """One message."""
        await self.stream.send_all(self.client.frame(data))

    async def receive(self) -> bytes | None:
        """The next message; None: the connection has ended."""
        while not self._messages and not self.is_ended:
            await self._read()
        return self._messages.pop(0) if self._messages else None

    async def _read(self) -> None:
        try:
            data = bytes(await self.stream.receive_some())
        except trio.BrokenResourceError:
            data = b""
        if data:
            self._messages += self.client.receive(data)
            reply = self.client.outgoing()
            if reply:
                await self.stream.send_all(reply)
        else:
            self.client.receive_eof()
            self.is_ended = True

    async def code(self) -> int | None:
        """The code of the close frame, as soon as it has come."""
        while self.client.received_code is None and not self.is_ended:
            await self._read()
        return self.client.received_code

    async def end(self) -> tuple[list[bytes], int | None]:
        """What still comes, and the code with which it ended."""
        found = []
        while (message := await self.receive()) is not None:
            found.append(message)
        return found, self.client.received_code


def head(path: str = PATH, **headers: str) -> bytes:
    """An HTTP request for a websocket."""
    values = {
        "Host": "relay.example", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": SUBPROTOCOL,
    } | {name.replace("_", "-"): value for name, value in headers.items()}  # fmt: skip
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in values.items() if value), "", ""]
    return "\r\n".join(lines).encode()


async def everything(stream: trio.abc.Stream) -> bytes:
    """All bytes until the end, or until the other side resets."""
    found = b""
    try:
        async for chunk in stream:
            found += bytes(chunk)
    except trio.BrokenResourceError:
        pass
    return found
