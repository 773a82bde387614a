"""The way out of one connection: what waits to be sent, handed to the kernel once a tick.

What the kernel does not take waits, in order; epoll says when it takes more. Above its bound nobody is asked for more
(rules 2 and 3 of ``relay.seam``).
"""

from __future__ import annotations

from socket import socket
from typing import Any

from protocol.websocket import frame
from relay import bounds as B
from relay.dataplane.driver import AGAIN, Driver, Stage


class Outbox:
    """The writing half of ``peer.Peer``, which says what happens next: the methods at the end."""

    __slots__ = (
        "_blocked_ms", "_out", "_plane", "_was_full", "address", "buffered_bytes", "fd", "is_blocked", "is_bulk",
        "is_writing", "sock", "stage",
    )  # fmt: skip

    def __init__(self, plane: Driver[Any], sock: socket, address: str, stage: Stage) -> None:
        self._plane = plane
        self.sock = sock
        self.fd = sock.fileno()
        self.address = address
        self.stage = stage
        self.buffered_bytes = 0
        self.is_blocked = False  # the kernel takes nothing now: epoll says when it does again
        self.is_bulk = False  # waits in the plane's bulk queue, not among those who are written at once
        self.is_writing = False  # epoll watches for room to write
        self._out: list[bytes] | None = None
        self._was_full = False
        self._blocked_ms = 0  # since when the kernel takes nothing

    def send_nowait(self, payload: bytes) -> None:
        """Send one binary message."""
        self.send_framed_nowait(frame(payload))

    def send_framed_nowait(self, frame: bytes) -> None:
        """Send a frame, within this tick."""
        if self.stage is not Stage.OPEN:
            return
        out = self._out
        if out is None:
            self._out = [frame]
            self._plane.wants_to_write(self)
        else:
            out.append(frame)
            if self.is_bulk:  # an answer does not wait for its turn behind a fan-out
                self._plane.wants_to_write(self)
        self.buffered_bytes += len(frame)

    def send_shared_nowait(self, frames: bytes) -> None:
        """Send what many others get too, when it is this peer's turn."""
        if self.stage is not Stage.OPEN:
            return
        out = self._out
        if out is None:
            self._out = [frames]
            self._plane.wants_to_write_in_turn(self)
        else:
            out.append(frames)
        self.buffered_bytes += len(frames)

    def _append(self, data: bytes) -> None:
        """Bytes of the connection itself, whatever its stage."""
        if self._out is None:
            self._out = [data]
        else:
            self._out.append(data)
        self.buffered_bytes += len(data)
        self._plane.wants_to_write(self)

    def flush(self) -> None:
        """Hand everything that waits to the kernel; what it does not take waits until it does."""
        out = self._out
        if out is None or self.is_blocked or self.stage is Stage.OVER:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        if len(data) > self._plane.bound:
            self._was_full = True
        try:
            taken = self.sock.send(data)
        except AGAIN:
            taken = 0
        except OSError:
            self.drop()
            return
        if taken == len(data):
            self._out = None
            self.buffered_bytes = 0
            self._blocked_ms = 0
            if self._was_full:
                self._writable()
            if self.stage >= Stage.CLOSING:
                self._flushed()
        else:
            self._not_all_taken(data, taken)

    def _not_all_taken(self, data: bytes, taken: int) -> None:
        self._out = [data[taken:]]
        self.buffered_bytes = len(data) - taken
        now_ms = self._plane.now_ms
        self._blocked_ms = now_ms if taken or not self._blocked_ms else self._blocked_ms
        self.is_blocked = self.is_writing = True
        bound = self._plane.bound
        if self._was_full and self.buffered_bytes <= bound // B.OUTBOUND_LOW_DIVISOR:
            self._writable()
        self._plane.register(self)
        self._plane.watch(self)

    def on_room(self) -> None:
        """Epoll says that the kernel takes bytes again."""
        self.is_blocked = False
        self.flush()
        self._go_on()

    # -- what follows --------------------------------------------------------------------------------------------------
    def _writable(self) -> None:
        """The buffer has fallen to half of its bound."""
        raise NotImplementedError

    def _flushed(self) -> None:
        """Everything is with the kernel, and nothing new may follow."""
        raise NotImplementedError

    def _go_on(self) -> None:
        """There is room again."""
        raise NotImplementedError

    def drop(self) -> None:
        """The socket is of no use any more."""
        raise NotImplementedError
