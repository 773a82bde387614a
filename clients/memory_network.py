"""TCP inside one process, without sockets: the network of the test kit.

Trio asks a *socket factory* for every socket (``trio.socket.set_custom_socket_factory``). Under this one all of a
program's TCP is two buffers a connection: relay and clients run unchanged, nothing leaves the process, nothing depends
on the machine, and connections can be cut.
"""

from __future__ import annotations

import errno
import operator
import os
from collections.abc import Iterator
from contextlib import contextmanager
from socket import AF_INET, IPPROTO_TCP, SO_ACCEPTCONN, SOCK_STREAM, SOL_SOCKET, AddressFamily, SocketKind
from typing import Any, Final

import trio

BUFFER_BYTES: Final = 64 * 1024  # one direction of a connection: about what a kernel takes without a reader
_FIRST_PORT: Final = 49_152  # what is called "ephemeral" (RFC 6335)
_CLIENT_PORT: Final = 1


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class _Pipe:
    """One direction of a connection."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_ended = False  # the writer has said its last
        self.is_broken = False  # the reader is gone, or the cable is cut
        self._changed = trio.Event()

    def change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def wait(self) -> None:
        await self._changed.wait()


class MemorySocket(trio.socket.SocketType):
    """What trio takes for a TCP socket; made by ``MemoryNetwork``."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        self._incoming: _Pipe | None = None
        self._outgoing: _Pipe | None = None
        self._address: tuple[str, int] = ("0.0.0.0", 0)
        self._peer: tuple[str, int] | None = None
        self._waiting: list[MemorySocket] | None = None  # connections not accepted yet, of a listener
        self._changed = trio.Event()
        self._is_closed = False
        self._is_shut = False
        self._is_reading = False

    # -- what it is ----------------------------------------------------------------------------------------------------
    @property
    def family(self) -> AddressFamily:
        """IPv4."""
        return AF_INET

    @property
    def type(self) -> SocketKind:
        """TCP."""
        return SOCK_STREAM

    @property
    def proto(self) -> int:
        """TCP."""
        return IPPROTO_TCP

    @property
    def did_shutdown_SHUT_WR(self) -> bool:
        """Whether the last byte was sent."""
        return self._is_shut

    def fileno(self) -> int:
        """No file; -1 once it is closed, as trio wants to know."""
        return -1 if self._is_closed else 0

    def getsockname(self) -> Any:
        """Own address."""
        return self._address

    def getpeername(self) -> Any:
        """The other end's address."""
        if self._peer is None:
            raise _error(errno.ENOTCONN)
        return self._peer

    def setsockopt(self, *args: Any, **kwargs: Any) -> None:
        """There is nothing to tune."""

    def getsockopt(self, level: int, optname: int, buflen: int | None = None) -> Any:
        """Only whether it listens."""
        return int((level, optname) == (SOL_SOCKET, SO_ACCEPTCONN) and self._waiting is not None)

    # -- beginning and end ---------------------------------------------------------------------------------------------
    async def bind(self, address: Any) -> None:
        """Take a port; 0 takes a free one."""
        await trio.lowlevel.checkpoint()
        host, port = address[0], address[1]
        if port in self._network.listening:
            raise _error(errno.EADDRINUSE)
        self._address = (host, port or self._network.free_port())

    def listen(self, backlog: int = 0) -> None:
        """Accept connections from now on; the backlog is endless."""
        self._waiting = []
        self._network.listening[self._address[1]] = self

    async def accept(self) -> tuple[trio.socket.SocketType, Any]:
        """The next connection."""
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            if self._is_closed:
                raise _error(errno.EBADF)
            await self._changed.wait()
        accepted = self._waiting.pop(0)
        return accepted, accepted.getpeername()

    async def connect(self, address: Any) -> None:
        """Connect to a listener of this network."""
        await trio.lowlevel.checkpoint()
        listener = self._network.listening.get(address[1])
        if listener is None or listener._waiting is None or self._network.is_down:
            raise _error(errno.ECONNREFUSED)
        other = MemorySocket(self._network)
        to_listener, to_us = _Pipe(), _Pipe()
        self._address, self._peer = ("127.0.0.1", _CLIENT_PORT), listener._address
        other._address, other._peer = self._peer, self._address
        self._outgoing, self._incoming = to_listener, to_us
        other._outgoing, other._incoming = to_us, to_listener
        self._network.pipes += [to_listener, to_us]
        listener._waiting.append(other)
        listener._wake()

    def shutdown(self, flag: int) -> None:
        """No more bytes from this end."""
        self._is_shut = True
        if self._outgoing is not None:
            self._outgoing.is_ended = True
            self._outgoing.change()

    def close(self) -> None:
        """The end: the other side reads what was sent, then the end of the stream."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._waiting is not None:
            del self._network.listening[self._address[1]]
        self._wake()
        if self._incoming is not None:
            self.shutdown(0)
            self._incoming.is_broken = True
            self._incoming.change()
            self._network.forget(self._incoming, self._outgoing)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # -- bytes ---------------------------------------------------------------------------------------------------------
    async def send(self, data: Any, flags: int = 0, /) -> int:
        """As many bytes as there is room for, at least one."""
        await trio.lowlevel.checkpoint()
        pipe = await self._room()
        self._check(pipe, errno.EPIPE)
        taken = bytes(memoryview(data)[: BUFFER_BYTES - len(pipe.data)])
        pipe.data += taken
        pipe.change()
        return len(taken)

    async def recv(self, buflen: int, flags: int = 0, /) -> bytes:
        """Bytes of the other end; none where it has said its last. Raises ``TypeError`` as a socket does."""
        size = operator.index(buflen)
        await trio.lowlevel.checkpoint()
        pipe = self._connected(self._incoming)
        if self._is_reading:
            raise trio.BusyResourceError("another task is reading from this socket")
        self._is_reading = True
        try:
            while not pipe.data and not pipe.is_ended and not pipe.is_broken and not self._is_closed:
                await pipe.wait()
        finally:
            self._is_reading = False
        self._check(pipe, errno.ECONNRESET)
        taken = bytes(pipe.data[:size])
        del pipe.data[:size]
        pipe.change()
        return taken

    async def wait_writable(self) -> None:
        """Wait for room."""
        await trio.lowlevel.checkpoint()
        await self._room()

    async def _room(self) -> _Pipe:
        pipe = self._connected(self._outgoing)
        while len(pipe.data) >= BUFFER_BYTES and not pipe.is_broken and not self._is_closed:
            await pipe.wait()
        if self._is_closed:
            raise _error(errno.EBADF)
        return pipe

    @staticmethod
    def _connected(pipe: _Pipe | None) -> _Pipe:
        if pipe is None:
            raise _error(errno.ENOTCONN)
        return pipe

    def _check(self, pipe: _Pipe, broken: int) -> None:
        if self._is_closed:
            raise _error(errno.EBADF)
        if pipe.is_broken:
            raise _error(broken)


class MemoryNetwork(trio.abc.SocketFactory):
    """All connections of one program. ``is_down``: nobody can connect."""

    def __init__(self) -> None:
        self.listening: dict[int, MemorySocket] = {}
        self.pipes: list[_Pipe] = []
        self.is_down = False
        self._next_port = _FIRST_PORT

    def socket(self, family: Any = AF_INET, type: Any = SOCK_STREAM, proto: int = 0) -> trio.socket.SocketType:
        """A socket of this network. Raises ``OSError`` for what is not TCP over IPv4."""
        if family != AF_INET or type != SOCK_STREAM:
            raise _error(errno.EAFNOSUPPORT)
        return MemorySocket(self)

    def free_port(self) -> int:
        """A port that was never used."""
        self._next_port += 1
        return self._next_port

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self.pipes) // 2

    def cut(self) -> None:
        """Pull every cable: both ends of each connection see it reset."""
        pipes, self.pipes = self.pipes, []
        for pipe in pipes:
            pipe.is_broken = True
            pipe.change()

    def forget(self, *pipes: _Pipe | None) -> None:
        """A connection has ended."""
        self.pipes = [pipe for pipe in self.pipes if pipe not in pipes]


@contextmanager
def memory_network() -> Iterator[MemoryNetwork]:
    """Inside the block every socket of this trio run is one of a network in memory."""
    network = MemoryNetwork()
    before = trio.socket.set_custom_socket_factory(network)
    try:
        yield network
    finally:
        trio.socket.set_custom_socket_factory(before)
