"""What waits to be sent, over a pair of sockets whose other end reads when it is told to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from protocol.websocket import frame
from relay.dataplane.driver import Stage
from relay.dataplane.outbox import Outbox

BOUND = 1 << 15


class Noting(Outbox):
    """Notes what would happen next."""

    def __init__(self, sock: socket.socket) -> None:
        self.plane: Any = SimpleNamespace(
            now_ms=5, bound=BOUND, soon=[], in_turn=[], wants_to_write=lambda box: self.plane.soon.append(box),
            wants_to_write_in_turn=self._in_turn, register=lambda box: None, watch=lambda box: None,
        )  # fmt: skip
        super().__init__(self.plane, sock, "192.0.2.1", Stage.OPEN)
        self.events: list[str] = []

    def _in_turn(self, box: Outbox) -> None:
        box.is_bulk = True
        self.plane.in_turn.append(box)

    def _writable(self) -> None:
        self._was_full = False
        self.events.append("writable")

    def _flushed(self) -> None:
        self.events.append("flushed")

    def _go_on(self) -> None:
        self.events.append("on")

    def drop(self) -> None:
        self.stage = Stage.OVER
        self.events.append("dropped")


@pytest.fixture
def pair() -> Iterator[tuple[Noting, socket.socket]]:
    """An outbox and the other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.settimeout(10)
        yield Noting(ours), theirs


def test_a_tick_is_one_write(pair: tuple[Noting, socket.socket]) -> None:
    box, theirs = pair
    box.send_nowait(b"one")
    box.send_framed_nowait(frame(b"two"))
    box.send_shared_nowait(frame(b"three"))
    assert box.plane.soon == [box]
    assert box.buffered_bytes == 5 + 5 + 7
    box.flush()
    assert theirs.recv(100) == frame(b"one") + frame(b"two") + frame(b"three")
    assert (box.buffered_bytes, box.events) == (0, [])
    box.flush()


def test_an_answer_takes_what_is_shared_along(pair: tuple[Noting, socket.socket]) -> None:
    box, _ = pair
    box.send_shared_nowait(frame(b"all"))
    assert (box.plane.soon, box.plane.in_turn) == ([], [box])
    box.send_nowait(b"you")
    assert box.plane.soon == [box]


def test_what_the_kernel_does_not_take_waits(pair: tuple[Noting, socket.socket]) -> None:
    box, theirs = pair
    data = bytes(range(256)) * 8192  # 2 MiB
    box.send_framed_nowait(data)
    box.flush()
    assert box.is_blocked
    assert box.is_writing
    assert box._blocked_ms == 5
    assert box.buffered_bytes < len(data)
    box.flush()  # nothing, before epoll says so
    heard = b""
    while len(heard) < len(data):
        heard += theirs.recv(1 << 20)
        box.on_room()
    assert heard == data
    assert box._blocked_ms == 0
    assert box.events.count("writable") == 1


def test_a_kernel_that_takes_nothing_at_all(pair: tuple[Noting, socket.socket]) -> None:
    box, _ = pair
    box.send_framed_nowait(bytes(1 << 21))
    box.flush()
    waiting = box.buffered_bytes
    box.plane.now_ms = 9
    box.on_room()
    assert box.buffered_bytes == waiting
    assert box._blocked_ms == 5  # since when


def test_a_peer_that_is_gone(pair: tuple[Noting, socket.socket]) -> None:
    box, theirs = pair
    theirs.close()
    box.send_nowait(b"x")
    box.flush()
    assert box.events == ["dropped"]
    box.send_nowait(b"y")
    box.send_shared_nowait(b"z")
    box.flush()
    assert box.events == ["dropped"]


def test_after_the_close_frame_nothing_is_added(pair: tuple[Noting, socket.socket]) -> None:
    box, theirs = pair
    box._append(b"the end")
    box.stage = Stage.CLOSING
    box.send_nowait(b"more")
    box._append(b" of it")
    box.flush()
    assert theirs.recv(100) == b"the end of it"
    assert box.events == ["flushed"]


@pytest.mark.parametrize("name", ["_writable", "_flushed", "_go_on", "drop"])
def test_what_follows_is_for_the_reading_half_to_say(name: str) -> None:
    with pytest.raises(NotImplementedError):
        getattr(Outbox, name)(None)
