"""A TCP proxy that can stop talking to the client, and cut the cable."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import trio


class Cable:
    """A cable between clients and a relay."""

    def __init__(self, port: int, record: bool) -> None:
        self.port = port
        self._record: list[bytes] | None = [] if record else None
        self.muted = False  # what the relay says is thrown away
        self.is_out = False  # it was pulled: nobody gets through
        self._target: int = 0
        self._scopes: set[trio.CancelScope] = set()

    def recorded(self) -> bytes:
        """Every byte that went over the cable in either direction, if it records."""
        return b"".join(self._record or [])

    def cut(self) -> None:
        """Drop every connection; new ones are let through."""
        for scope in self._scopes:
            scope.cancel()

    async def serve(self, target: int, stream: trio.SocketStream) -> None:
        """Carry one connection."""
        if self.is_out:
            await trio.aclose_forcefully(stream)
            return
        with trio.CancelScope() as scope, suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            self._scopes.add(scope)
            far = await trio.open_tcp_stream("127.0.0.1", target)
            async with stream, far, trio.open_nursery() as nursery:
                nursery.start_soon(self._carry, stream, far, False, scope)
                nursery.start_soon(self._carry, far, stream, True, scope)
        self._scopes.discard(scope)
        await trio.aclose_forcefully(stream)

    async def _carry(
        self, source: trio.SocketStream, sink: trio.SocketStream, down: bool, scope: trio.CancelScope
    ) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in source:
                if self._record is not None:
                    self._record.append(bytes(data))
                if not (down and self.muted):
                    await sink.send_all(data)
        scope.cancel()


@asynccontextmanager
async def open_cable(target: int, *, record: bool = False) -> AsyncIterator[Cable]:
    """A proxy on a free loopback port in front of ``target``."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        cable = Cable(int(listeners[0].socket.getsockname()[1]), record)
        nursery.start_soon(partial(trio.serve_listeners, partial(cable.serve, target), listeners))
        yield cable
        nursery.cancel_scope.cancel()
