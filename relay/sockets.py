"""Listening sockets of the standard library: what both planes accept from."""

from __future__ import annotations

import socket
from typing import Any, Final

import trio

from relay.config import ConfigError

#: Linux, macOS: how much unsent data the kernel keeps before it says that it takes no more.
NOTSENT_LOWAT: Final[int | None] = getattr(socket, "TCP_NOTSENT_LOWAT", None)
_BACKLOG: Final = 1024  # a reconnect storm of a thousand within one turn


def open_sockets(host: str, port: int, setting: str) -> list[socket.socket]:
    """One listening socket for each address of ``host``. Raises ``ConfigError`` with what to do where it cannot be.

    ``setting`` names the port's setting. Port 0: all addresses get the number that the first was given.
    """
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, name in dict.fromkeys(found):
            sockets.append(_listen(family, kind, protocol, name, port or _port_of(sockets)))
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise _cannot(host, port, setting, error) from None
    return sockets


async def open_listeners(host: str, port: int, setting: str) -> list[trio.SocketListener]:
    """The same as listeners of trio, or of the network that a test has put in its place."""
    try:
        return await trio.open_tcp_listeners(port, host=host, backlog=_BACKLOG)
    except OSError as error:
        raise _cannot(host, port, setting, error) from None


def _cannot(host: str, port: int, setting: str, error: OSError) -> ConfigError:
    text = f"cannot listen on {host}:{port}: {error.strerror or error}; is a relay running already? set another"
    return ConfigError(f"{text} '{setting}', or 0 for a free one")


def _port_of(sockets: list[socket.socket]) -> int:
    return sockets[0].getsockname()[1] if sockets else 0


def _listen(family: int, kind: int, protocol: int, name: Any, port: int) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((name[0], port, *name[2:]))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def address_of(name: Any) -> str:
    """The network address in a socket's name, without its port."""
    return str(name[0]) if isinstance(name, tuple) else ""


def location_of(sock: socket.socket | trio.socket.SocketType) -> str:
    """host:port of a listening socket."""
    host, port, *_ = sock.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
