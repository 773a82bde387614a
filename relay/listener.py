"""The seam of ``relay.seam`` over trio-websocket: for platforms without a data plane of our own, and as its twin.

Per connection one task of trio-websocket reads the socket and parses, one of ours drains its messages, and one *owns*
the socket's sending side: everything that is to be sent, by us or by trio-websocket (handshake, pongs, close), is
appended to one buffer that this task writes down. So no send is ever cancelled halfway, which would corrupt the stream,
and frames that wait are written together.
"""

from __future__ import annotations

import contextlib
import ssl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, wrap_server_stream

from protocol import limits as L
from protocol.frames import SUBPROTOCOL
from relay import bounds as B
from relay import log
from relay.config import Settings
from relay.counters import Counters
from relay.framing import binary_frame, close_frame, may_be_sent
from relay.seam import Accept, Handler

PATH: Final = "/ws"
_QUEUE: Final = 4  # whole messages between trio-websocket and us
_LOGIN_BYTES: Final = B.HANDSHAKE_BYTES_MAX + L.LOGIN_BYTES_MAX + L.LOGIN_BUFFER_BYTES_MAX
_SESSION_BYTES: Final = L.MESSAGE_BYTES_MAX + B.FRAMING_BYTES_MAX
_TOO_BIG: Final = 1009  # RFC 6455 section 7.4.1
_CLOSE_OPCODE: Final = 0x88
_RECEIVE_BYTES: Final = 16 * 1024
_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class SocketPeer(trio.abc.Stream):
    """A ``seam.Peer``, and at the same time the stream that trio-websocket believes to own."""

    def __init__(self, stream: trio.abc.Stream, address: str, settings: Settings) -> None:
        self.stream = stream
        self._address = address
        self._bound = settings.outbound_bytes_max
        self._low = settings.outbound_bytes_max // B.OUTBOUND_LOW_DIVISOR
        self._stalled_s = settings.stalled_ms / 1000
        self._pending: list[bytes] = []
        self._buffered = 0
        self._was_full = False
        self._wake = trio.Event()
        self._room = trio.Event()
        self._is_closing = False  # a close frame was appended: nothing may follow it
        self._is_done = False  # no more bytes will be appended
        self._received = 0  # bytes since the last whole message
        self._received_max = _LOGIN_BYTES
        self.flushed = trio.Event()  # the writer has ended
        self.closing = trio.Event()  # the end has begun
        self.ended = trio.Event()  # nothing more will be read, or written
        self.handler: Handler | None = None
        self.websocket: WebSocketConnection | None = None

    # -- seam.Peer -----------------------------------------------------------------------------------------------------
    @property
    def address(self) -> str:
        """Network address without a port."""
        return self._address

    @property
    def buffered_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._buffered

    def send_nowait(self, payload: bytes) -> None:
        """Append one binary message."""
        self.send_framed_nowait(binary_frame(payload))

    def send_framed_nowait(self, frame: bytes) -> None:
        """Append a frame that others may get too."""
        if not self._is_closing:
            self._append(frame)

    def close_nowait(self, code: int, reason: str, goodbye: bytes = b"") -> None:
        """Append the goodbye and a close frame; the socket is closed when the peer has answered, or soon."""
        if not self._is_closing:
            if goodbye:
                self._append(binary_frame(goodbye))
            self._append(close_frame(code, reason))
            self._is_closing = True
            self.closing.set()

    def login_decided_nowait(self) -> None:
        """From now on whole messages are what is limited."""
        self._received_max = _SESSION_BYTES

    def _append(self, data: bytes) -> None:
        if self._is_done:
            return
        self._pending.append(data)
        self._buffered += len(data)
        if self._buffered > self._bound:
            self._was_full = True
        self._wake.set()

    # -- trio.abc.Stream, for trio-websocket ---------------------------------------------------------------------------
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Handshake, pongs and closes; a peer that pings without reading waits here instead of filling memory."""
        await trio.lowlevel.checkpoint()
        if self._is_closing:
            return  # an answer to a close frame after ours
        self._append(bytes(data))
        if self.websocket is not None and data[0] == _CLOSE_OPCODE:
            self._is_closing = True
        while self._buffered > self._bound + B.CONTROL_BYTES_MAX and not self._is_done:
            await self.room()

    async def wait_send_all_might_not_block(self) -> None:
        """Never blocks."""
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Bytes of the peer; the end where it sends more than one message may have."""
        if self._received > self._received_max:
            self.close_nowait(_TOO_BIG, "too many bytes without a whole message")
            self.ended.set()
            return b""
        data = await self.stream.receive_some(max_bytes)
        self._received += len(data)
        if not data:
            self.ended.set()
        return bytes(data)

    async def aclose(self) -> None:
        """Trio-websocket is done: say why, where it has not."""
        await trio.lowlevel.checkpoint()
        reason = None if self.websocket is None else self.websocket.closed
        if reason is not None and may_be_sent(reason.code):
            self.close_nowait(reason.code, reason.reason or "")
        self.ended.set()

    # -- the two tasks -------------------------------------------------------------------------------------------------
    def message_received(self) -> None:
        """A whole message was read: the count begins anew."""
        self._received = 0

    async def room(self) -> None:
        """Wait until the buffer is at most half full, or nothing will be sent any more."""
        while self._buffered > self._low and not self._is_done:
            self._room = trio.Event()
            await self._room.wait()

    @property
    def is_full(self) -> bool:
        """Whether the buffer is over its bound."""
        return self._buffered > self._bound

    def finish(self) -> None:
        """Nothing more will be appended; the writer ends when the buffer is empty."""
        self._is_closing = True
        self._is_done = True
        self._wake.set()
        self._room.set()

    async def write(self) -> None:
        """Write the buffer down, all that waits at once, until ``finish``. Ends early where the socket is dead."""
        try:
            while True:
                while self._pending:
                    chunk = b"".join(self._pending) if len(self._pending) > 1 else self._pending[0]
                    self._pending.clear()
                    if not await self._write(chunk):
                        return
                if self._is_done:
                    return
                self._wake = trio.Event()
                await self._wake.wait()
        finally:
            self._is_done = True
            self._room.set()
            self.flushed.set()
            self.ended.set()

    async def _write(self, chunk: bytes) -> bool:
        view = memoryview(chunk)
        for start in range(0, len(chunk), B.WRITE_SLICE_BYTES):
            part = view[start : start + B.WRITE_SLICE_BYTES]
            try:
                if not await self._write_slice(part):
                    return False
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
        return True

    async def _write_slice(self, part: memoryview) -> bool:
        """Hand one slice to the kernel; False: it took nothing at all for ``stalled_ms``."""
        if not isinstance(self.stream, trio.SocketStream):
            with trio.move_on_after(self._stalled_s):
                await self.stream.send_all(part)
                self._took(len(part))
                return True
            return False
        socket = self.stream.socket
        while part:
            taken = 0
            with trio.move_on_after(self._stalled_s):
                try:
                    taken = await socket.send(part)
                except OSError as error:
                    raise trio.BrokenResourceError from error
            if not taken:
                return False
            part = part[taken:]
            self._took(taken)
        return True

    def _took(self, count: int) -> None:
        self._buffered -= count
        if self._buffered <= self._low:
            self._room.set()
            if self._was_full:
                self._was_full = False
                if self.handler is not None:
                    self.handler.on_writable()


@dataclass(frozen=True, slots=True)
class ListenerStatistics:
    """What is open."""

    connections: int
    addresses: int
    buffered_bytes: int


class Listener:
    """Accepts connections and runs each until it ends. ``accept`` makes the logic of a websocket that was opened."""

    def __init__(
        self, settings: Settings, accept: Accept, counters: Counters, tls: ssl.SSLContext | None = None
    ) -> None:
        self._settings = settings
        self._accept = accept
        self._counters = counters
        self._tls = tls
        self._addresses: Counter[str] = Counter()
        self._peers: set[SocketPeer] = set()

    def statistics(self) -> ListenerStatistics:
        """Numbers now."""
        waiting = sum(peer.buffered_bytes for peer in self._peers)
        return ListenerStatistics(len(self._peers), len(self._addresses), waiting)

    async def run(self, stream: trio.abc.Stream) -> None:
        """One connection, from TCP accept to the end."""
        address = _address_of(stream)
        full = (
            len(self._peers) >= self._settings.connections_max
            or self._addresses[address] >= self._settings.connections_per_address_max
        )
        if full:
            await self._turn_away(stream, address)
            return
        peer = SocketPeer(stream, address, self._settings)
        self._peers.add(peer)
        self._addresses[address] += 1
        try:
            await self._run(stream, peer)
        finally:
            self._peers.discard(peer)
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]
            if peer.handler is not None:
                peer.handler.on_closed()
            await trio.aclose_forcefully(stream)

    async def _turn_away(self, stream: trio.abc.Stream, address: str) -> None:
        self._counters.refused_handshakes += 1
        log.debug("turned-away", address=address)
        with trio.move_on_after(B.CLOSE_MS / 1000):
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await stream.send_all(_FULL)
        await trio.aclose_forcefully(stream)

    async def _run(self, stream: trio.abc.Stream, peer: SocketPeer) -> None:
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(self._settings.handshake_ms / 1000):
                if await self._secure(stream, peer):
                    nursery.start_soon(peer.write)
                    await self._handshake(nursery, peer)
            if peer.websocket is None:
                self._counters.refused_handshakes += 1
            else:
                await self._converse(peer, peer.websocket)
            peer.finish()
            with trio.move_on_after(B.CLOSE_MS / 1000):
                await peer.flushed.wait()
            nursery.cancel_scope.cancel()
        if isinstance(stream, trio.SocketStream):
            with trio.move_on_after(B.CLOSE_MS / 1000):
                await _linger(stream)

    async def _secure(self, stream: trio.abc.Stream, peer: SocketPeer) -> bool:
        if self._tls is not None:
            secure = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)
            peer.stream = secure
            try:
                await secure.do_handshake()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
        return True

    async def _handshake(self, nursery: trio.Nursery, peer: SocketPeer) -> None:
        """Set ``peer.websocket``, or answer with a reason in HTTP."""
        request = await _request(nursery, peer)
        if request is None:
            return
        refusal = refuse_request(request.path, request.headers, request.proposed_subprotocols, self._settings.origins)
        if refusal is None:
            peer.websocket = await request.accept(subprotocol=SUBPROTOCOL)
        else:
            status, text = refusal
            headers = [(b"Content-Type", b"text/plain; charset=utf-8"), (b"Connection", b"close")]
            await request.reject(status, extra_headers=headers, body=f"{text}\n".encode())

    async def _converse(self, peer: SocketPeer, websocket: WebSocketConnection) -> None:
        """Hand messages up until the connection ends, or the peer did not answer our close frame in time."""
        handler = peer.handler = self._accept(peer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read, peer, websocket, handler)
            nursery.start_soon(_end_after_closing, peer)
            await peer.ended.wait()
            nursery.cancel_scope.cancel()


async def _request(nursery: trio.Nursery, peer: SocketPeer) -> WebSocketRequest | None:
    """The HTTP head, or None where the peer left: trio-websocket waits for ever then."""
    found: list[WebSocketRequest] = []

    async def wait(scope: trio.CancelScope) -> None:
        found.append(
            await wrap_server_stream(
                nursery, peer, message_queue_size=_QUEUE, max_message_size=L.MESSAGE_BYTES_MAX,
                receive_buffer_size=_RECEIVE_BYTES,
            )
        )  # fmt: skip
        scope.cancel()

    async with trio.open_nursery() as waiting:
        waiting.start_soon(wait, waiting.cancel_scope)
        await peer.ended.wait()
        waiting.cancel_scope.cancel()
    return found[0] if found else None


async def _read(peer: SocketPeer, websocket: WebSocketConnection, handler: Handler) -> None:
    try:
        while True:
            if peer.is_full:
                await peer.room()
            message = await websocket.get_message()
            peer.message_received()
            if isinstance(message, bytes):
                handler.on_message(message)
            else:
                handler.on_text()
    except ConnectionClosed:
        peer.ended.set()


async def _end_after_closing(peer: SocketPeer) -> None:
    await peer.closing.wait()
    await trio.sleep(B.CLOSE_MS / 1000)
    peer.ended.set()


async def _linger(stream: trio.SocketStream) -> None:
    """Read on for a moment: closing a socket with unread bytes resets it, and the peer may never see our last words."""
    try:
        await stream.send_eof()
        while await stream.receive_some(_RECEIVE_BYTES):
            pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


def refuse_request(
    path: str, headers: Sequence[tuple[bytes, bytes]], subprotocols: Sequence[str], origins: Sequence[str]
) -> tuple[int, str] | None:
    """Why a handshake is refused: HTTP status and a sentence; None: it is not."""
    if path.partition("?")[0] != PATH:
        return 404, f"nothing here; the websocket is at {PATH}"
    values: dict[bytes, bytes] = {}
    for name, value in headers:
        if values.setdefault(name.lower(), value) != value and name.lower() in (b"origin", b"host"):
            return 400, f"two different {name.lower().decode('ascii', 'replace')} headers"
    origin = values.get(b"origin")
    if origin is not None and not _may_connect(origin, values.get(b"host", b""), origins):
        return 403, "this web origin may not connect; its operator can add it to 'origins'"
    if SUBPROTOCOL not in subprotocols:
        return 400, f"the websocket subprotocol must be {SUBPROTOCOL}"
    return None


def _may_connect(origin: bytes, host: bytes, origins: Sequence[str]) -> bool:
    """A page of the relay's own host, or one that the operator has named."""
    try:
        text, own = origin.decode("ascii").lower(), host.decode("ascii").lower()
    except UnicodeDecodeError:
        return False
    if "*" in origins or any(text == allowed.lower().rstrip("/") for allowed in origins):
        return True
    return bool(own) and text in (f"https://{own}", f"http://{own}")


def _address_of(stream: trio.abc.Stream) -> str:
    if isinstance(stream, trio.SocketStream):
        try:
            return str(stream.socket.getpeername()[0])
        except OSError:
            return "gone"
    return "memory"
