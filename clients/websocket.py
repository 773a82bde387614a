"""A websocket to a relay whose TCP stream is ours from beginning to end.

trio-websocket's own context managers leave the stream of a handshake that failed, or of a close handshake that was not
finished, to the garbage collector, and wait out the whole time limit where the other side has gone in the middle of the
handshake. Here the stream is opened first, and closed whatever happens.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, cast
from urllib.parse import urlsplit

import h11
import trio
from trio_websocket import ConnectionClosed, ConnectionTimeout, HandshakeError, WebSocketConnection, wrap_client_stream

from clients.http import secured
from clients.tasks import surfaced

_GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
_PORTS: Final = {"ws": 80, "wss": 443}  # RFC 6455, section 3


class _Stream(trio.abc.Stream):
    """A stream that tells when it has ended, which a handshake does not."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner
        self.on_end: Callable[[], None] | None = None
        self.error: BaseException | None = None  # why it ended, where that was not the other side's wish

    def _ended(self, error: BaseException | None = None) -> None:
        self.error = self.error or error
        if self.on_end is not None:
            self.on_end()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._inner.send_all(data)
        except _GONE as error:
            self._ended(error)
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._inner.receive_some(max_bytes)
        except _GONE as error:
            self._ended(error)
            raise
        if not data:
            self._ended()
        return data

    async def aclose(self) -> None:
        await self._inner.aclose()


@asynccontextmanager
async def open_websocket(
    url: str, *, ssl_context: ssl.SSLContext | None = None, connect_timeout_s: float = 60,
    disconnect_timeout_s: float = 60, **options: Any,
) -> AsyncIterator[WebSocketConnection]:  # fmt: skip
    """A websocket at ``url`` (ws: or wss:); ``options`` are those of ``trio_websocket.wrap_client_stream``.
    ``ssl_context``: another than the machine's.

    Who leaves says goodbye, and where that is not answered in ``disconnect_timeout_s`` the stream is cut. Raises
    ``HandshakeError`` (``ConnectionTimeout``, ``ConnectionRejected``) if it does not come about.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    shown = f"[{host}]" if ":" in host else host
    name = shown if port in _PORTS.values() else f"{shown}:{port}"
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    until = trio.current_time() + connect_timeout_s
    raw = await _connect(parts.scheme, host, port, ssl_context, until)
    stream = _Stream(raw)
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            socket = await _shake_hands(nursery, stream, name, resource, until, options)
            try:
                yield socket
            except BaseException as error:
                failure = error
                raise
            finally:
                nursery.cancel_scope.deadline = trio.current_time() + disconnect_timeout_s
                await socket.aclose()
    except BaseExceptionGroup as group:
        if isinstance(failure, Exception) and group.subgroup(KeyboardInterrupt) is None:
            raise failure from failure.__cause__  # what closing brought beside it is no news
        end = surfaced(group, (ConnectionClosed, HandshakeError))
        if isinstance(end, h11.ProtocolError):
            raise HandshakeError(f"it answers, but is no websocket: {end}") from None
        raise end from end.__cause__
    finally:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(raw)


async def _connect(
    scheme: str, host: str, port: int, context: ssl.SSLContext | None, until: float
) -> trio.abc.Stream:  # fmt: skip
    """TCP, and TLS where the address asks for it."""
    try:
        with trio.fail_at(until):
            stream = await trio.open_tcp_stream(host, port)
            return await secured(stream, host, context) if scheme == "wss" else stream
    except trio.TooSlowError:
        raise ConnectionTimeout from None
    except (OSError, trio.BrokenResourceError) as error:
        raise HandshakeError from error


async def _shake_hands(
    nursery: trio.Nursery, stream: _Stream, host: str, resource: str, until: float, options: dict[str, Any]
) -> WebSocketConnection:
    ended = False
    with trio.CancelScope(deadline=until) as scope:

        def on_end() -> None:
            nonlocal ended
            ended = True
            scope.cancel()

        stream.on_end = on_end
        # Any stream will do, whatever the annotation says.
        socket = await wrap_client_stream(nursery, cast("trio.SocketStream", stream), host, resource, **options)
        stream.on_end = None
        return socket
    if ended:
        raise HandshakeError("the connection ended in the middle of the handshake") from stream.error
    raise ConnectionTimeout
