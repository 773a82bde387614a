"""Who may come in, and who is turned away."""

from __future__ import annotations

import errno
import logging
import socket
from typing import Any

import pytest

from relay.config import Settings
from relay.counters import Counters
from relay.dataplane.accepting import Acceptor
from relay.sockets import open_sockets
from tests.support.fronts import Bench, bench, everything


class NoDescriptors:
    """A listening socket whose process may open no more files, once."""

    def __init__(self, real: object, number: int) -> None:
        self._real = real
        self._number = number
        self.failures = 1

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def accept(self) -> object:
        """Fail first."""
        if self.failures:
            self.failures -= 1
            raise OSError(self._number, "")
        return self._real.accept()  # type: ignore[attr-defined]


async def _with_failing_accept(b: Bench, number: int) -> None:
    plane = b.plane
    ((descriptor, listener),) = plane._listeners.items()
    plane._listeners[descriptor] = NoDescriptors(listener, number)  # type: ignore[assignment]


async def test_running_out_of_descriptors(caplog: pytest.LogCaptureFixture) -> None:
    async with bench("epoll") as b:
        await _with_failing_accept(b, errno.EMFILE)
        with caplog.at_level(logging.WARNING, "chappe.relay"):
            assert (await everything(await b.tcp())).startswith(b"HTTP/1.1 503 ")
        assert b.counters.refusals["descriptors"] == 1
        assert "no-descriptors" in caplog.text
        await _with_failing_accept(b, errno.ENFILE)
        caplog.clear()
        with caplog.at_level(logging.WARNING, "chappe.relay"):
            assert (await everything(await b.tcp())).startswith(b"HTTP/1.1 503 ")
        assert not caplog.text  # once in a while is enough
        socket = await b.websocket()
        await socket.send(b"back to normal")
        assert await socket.receive() == b"back to normal"


async def test_who_leaves_before_being_accepted() -> None:
    async with bench("epoll") as b:
        await _with_failing_accept(b, errno.ECONNABORTED)
        socket = await b.websocket()
        await socket.send(b"next")
        assert await socket.receive() == b"next"


def acceptor(admitted: list[str], *, may_connect: bool = True, may_speak: bool = True, **settings: Any) -> Acceptor:
    """One whose guests are noted, and closed."""

    def admit(sock: socket.socket, address: str) -> None:
        admitted.append(address)
        sock.close()

    return Acceptor(
        Settings(**settings), Counters(), admit, lambda address, now_ms: may_connect, lambda: 0, lambda: may_speak
    )


def knock(listener: socket.socket, guests: list[socket.socket]) -> None:
    """Somebody connects."""
    guest = socket.create_connection(listener.getsockname())
    guest.settimeout(10)
    guests.append(guest)


@pytest.mark.parametrize(
    ("options", "admitted", "said"),
    [
        ({}, ["127.0.0.1"] * 3, b""),
        ({"connections_max": 2}, ["127.0.0.1"] * 2, b"HTTP/1.1 503 "),
        ({"connections_per_address_max": 2}, ["127.0.0.1"] * 2, b"HTTP/1.1 503 "),
        ({"may_connect": False}, [], b"HTTP/1.1 503 "),
        ({"may_connect": False, "may_speak": False}, [], b""),
    ],
)
def test_bounds(options: dict[str, Any], admitted: list[str], said: bytes) -> None:
    found: list[str] = []
    guests: list[socket.socket] = []
    door = acceptor(found, **options)
    (listener,) = open_sockets("127.0.0.1", 0, "port")
    with listener:
        for _ in range(3):
            knock(listener, guests)
        door.accept(listener)
        assert found == admitted
        assert door.count == len(admitted)
        assert door.addresses == (1 if admitted else 0)
        heard = guests[-1].recv(1000)
        assert heard.startswith(said) if said else heard == b""
    for _ in admitted:
        door.left("127.0.0.1")
    assert (door.count, door.addresses) == (0, 0)
    door.close()
    for guest in guests:
        guest.close()


def test_a_socket_in_other_hands_still_counts() -> None:
    door = acceptor([])
    door.stays("192.0.2.1")
    assert (door.count, door.addresses) == (1, 1)
    door.left("192.0.2.1")
    assert (door.count, door.addresses) == (0, 0)
    door.close()
