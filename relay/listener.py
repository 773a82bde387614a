"""The seam of ``relay.seam`` over trio-websocket: for platforms without a data plane of our own, and as its twin.

Per connection one task of trio-websocket reads the socket and parses, one of ours drains its messages, and one *owns*
the socket's sending side: everything that is to be sent, by us or by trio-websocket (handshake, pongs, close), is
appended to one buffer that this task writes down. So no send is ever cancelled halfway, which would corrupt the stream,
and frames that wait are written together.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, wrap_server_stream

from protocol import limits as L
from protocol.errors import CLOSES, Close
from protocol.frames import SUBPROTOCOL
from protocol.websocket.upgrade import may_connect
from relay import bounds as B
from relay import log
from relay.admission.why import Why
from relay.config import Settings
from relay.counters import Counters
from relay.seam import Accept, FrontStatistics, Handler, HttpService
from relay.socket_peer import SocketPeer
from relay.sockets import NOTSENT_LOWAT, location_of, open_listeners

PATH: Final = "/ws"
_HOST: Final = re.compile(rb"(?im)^host:[ \t]*([^\r\n]*?)[ \t]*\r?$")
_QUEUE: Final = 4  # whole messages between trio-websocket and us
_RECEIVE_BYTES: Final = 16 * 1024
_TIMEOUT: Final = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")
_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Listener:
    """Accepts connections and runs each until it ends. ``accept`` makes the logic of a websocket that was opened."""

    def __init__(
        self, settings: Settings, accept: Accept, counters: Counters, tls: ssl.SSLContext | None = None,
        http: HttpService | None = None,
        may_connect: Callable[[str, int], bool] = lambda address, now_ms: True,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._accept = accept
        self._counters = counters
        self.tls = tls
        self._http = http
        self._may_connect = may_connect
        self._addresses: Counter[str] = Counter()
        self._peers: set[SocketPeer] = set()
        self._accepting = trio.CancelScope()
        self._listening: list[trio.SocketListener] = []

    def statistics(self) -> FrontStatistics:
        """Numbers now."""
        waiting = sum(peer.buffered_bytes for peer in self._peers)
        return FrontStatistics(len(self._peers), len(self._addresses), waiting)

    async def listen(self, host: str, port: int, setting: str) -> str:
        """Bind. Raises ``ConfigError``, naming ``setting``, where that cannot be had."""
        self._listening = await open_listeners(host, port, setting)
        return location_of(self._listening[0].socket)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept and serve until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.accept_from, self._listening, nursery)
            task_status.started()

    async def accept_from(self, listeners: Sequence[trio.abc.Listener[trio.abc.Stream]], nursery: trio.Nursery) -> None:
        """Run whatever these give, in tasks of ``nursery``, until ``stop_accepting``."""
        with self._accepting:
            await trio.serve_listeners(self.run, list(listeners), handler_nursery=nursery)

    def stop_accepting(self) -> None:
        """Accept nobody any more; connections go on."""
        self._accepting.cancel()

    @property
    def now_ms(self) -> int:
        """Monotonic milliseconds."""
        return int(trio.current_time() * 1000)

    def later(self, do: Callable[[], None]) -> None:
        """Call ``do`` now: nothing is collected here."""
        do()

    async def run(self, stream: trio.abc.Stream) -> None:
        """One connection, from TCP accept to the end."""
        address = _address_of(stream)
        why = self._refusal(address)
        if why is not None:
            await self._turn_away(stream, address, why)
            return
        if isinstance(stream, trio.SocketStream) and NOTSENT_LOWAT is not None:
            stream.setsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT, B.KERNEL_BYTES_MAX)
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
            if peer.oversize:
                self._counters.refusals[Why.OVERSIZE] += 1
            if peer.handler is not None:
                peer.handler.on_closed()
            await trio.aclose_forcefully(stream)

    def _refusal(self, address: str) -> Why | None:
        settings = self._settings
        if len(self._peers) >= settings.connections_max:
            return Why.CONNECTIONS
        if self._addresses.get(address, 0) >= settings.connections_per_address_max:
            return Why.CONNECTIONS
        return None if self._may_connect(address, int(trio.current_time() * 1000)) else Why.ADDRESS_CONNECTS

    def sweep(self, now_ms: int) -> None:
        """Send those away whose message began and does not go on; called about once a second."""
        for peer in list(self._peers):
            if peer.watch.is_overdue(now_ms) and not peer.closing.is_set():
                self._counters.refusals[Why.PARTIAL] += 1
                self._counters.closes[Close.PARTIAL] += 1
                log.debug("partial", address=peer.address)
                peer.close_nowait(Close.PARTIAL, CLOSES[Close.PARTIAL])

    async def _turn_away(self, stream: trio.abc.Stream, address: str, why: Why) -> None:
        self._counters.refused_handshakes += 1
        self._counters.refusals[why] += 1
        log.debug("turned-away", address=address, why=why)
        await _answer(stream, _FULL)
        await trio.aclose_forcefully(stream)

    async def _run(self, stream: trio.abc.Stream, peer: SocketPeer) -> None:
        head: bytes | None = None
        deadline = trio.current_time() + self._settings.handshake_ms / 1000
        with trio.move_on_at(deadline) as looking:
            head = await self._secure_and_look(stream, peer)
        if head is None:
            self._counters.refused_handshakes += 1
            if looking.cancelled_caught and self.tls is None:
                await _answer(stream, _TIMEOUT)
            return
        if self._http is not None and self._http.wants(head):
            await self._http.serve(peer.stream, head)
            return
        async with trio.open_nursery() as nursery:
            with trio.move_on_at(deadline):
                peer.unread(head)
                nursery.start_soon(peer.write)
                await self._handshake(nursery, peer)
            if peer.websocket is None:
                self._counters.refused_handshakes += 1
                peer.answer_nowait(_TIMEOUT)
            else:
                await self._converse(peer, peer.websocket)
            if peer.is_stalled:
                self._counters.closes[Close.SLOW] += 1  # nothing can be said to a socket that takes nothing
                log.debug("stalled", address=peer.address)
            peer.finish()
            with trio.move_on_after(B.CLOSE_MS / 1000):
                await peer.flushed.wait()
            nursery.cancel_scope.cancel()
        if isinstance(stream, trio.SocketStream) and not peer.is_clean:
            with trio.move_on_after(B.CLOSE_MS / 1000):
                await _linger(stream)

    async def _secure_and_look(self, stream: trio.abc.Stream, peer: SocketPeer) -> bytes | None:
        """The beginning of the request, its first line at least; None: there will be none."""
        if not await self._secure(stream, peer):
            return None
        head = b""
        while b"\n" not in head and len(head) < B.HANDSHAKE_BYTES_MAX:
            try:
                data = await peer.stream.receive_some(_RECEIVE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not data:
                return None
            head += data
        return head

    async def _secure(self, stream: trio.abc.Stream, peer: SocketPeer) -> bool:
        if self.tls is not None:
            secure = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
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
        # wsproto keeps the Host header to itself
        host = _HOST.search(peer.head)
        headers = [(b"host", host[1] if host else b""), *request.headers]
        refusal = refuse_request(request.path, headers, request.proposed_subprotocols, self._settings.origins)
        peer.head = b""
        if refusal is None:
            peer.websocket = await request.accept(subprotocol=SUBPROTOCOL)
        else:
            status, text = refusal
            extra = [(b"Content-Type", b"text/plain; charset=utf-8"), (b"Connection", b"close")]
            await request.reject(status, extra_headers=extra, body=f"{text}\n".encode())

    async def _converse(self, peer: SocketPeer, websocket: WebSocketConnection) -> None:
        """Hand messages up until the connection ends, or the peer did not answer our close frame in time."""
        handler = peer.handler = self._accept(peer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read, peer, websocket, handler)
            nursery.start_soon(_end_after_closing, peer)
            await peer.ended.wait()
            nursery.cancel_scope.cancel()


async def _answer(stream: trio.abc.Stream, response: bytes) -> None:
    """Say something to who is turned away, if that goes at once."""
    with trio.move_on_after(B.CLOSE_MS / 1000):
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await stream.send_all(response)


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
            if peer.paused_until_s > trio.current_time():
                await trio.sleep_until(peer.paused_until_s)
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
    if origin is not None and not may_connect(origin, values.get(b"host", b""), tuple(origins)):
        return 403, "this web origin may not connect; its operator can add it to 'origins'"
    key = values.get(b"sec-websocket-key")
    if key is not None and not _KEY.fullmatch(key):
        return 400, "Sec-WebSocket-Key must be 16 bytes in base64 (RFC 6455, section 4.1)"
    if SUBPROTOCOL not in subprotocols:
        return 400, f"the websocket subprotocol must be {SUBPROTOCOL}"
    return None


def _address_of(stream: trio.abc.Stream) -> str:
    if isinstance(stream, trio.SocketStream):
        try:
            return str(stream.socket.getpeername()[0])
        except OSError:
            return "gone"
    return "memory"
