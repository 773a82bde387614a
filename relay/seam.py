"""The seam between the connections' logic and whatever moves their bytes: synchronous calls in both directions.

``relay.dataplane`` implements ``Peer`` on an epoll of its own, ``relay.listener`` over trio-websocket (other platforms,
and the twin to compare with), tests with a list. Rules for every implementation:

Rule 1.  Nothing here waits. ``send_nowait`` and ``send_framed_nowait`` append to a buffer in memory; what they are
         given reaches the socket in that order, whole, or the connection ends.
Rule 2.  The buffer is bounded by its user: the relay stops fanning out to a peer above ``outbound_bytes_max``. A peer
         that is above twice that delivers no further messages until it has been written down, so that replies cannot
         pile up either; below it a slow reader is heard as always (its PONG counts).
Rule 3.  ``on_writable`` is called each time the buffer has fallen to half of that bound after having been above it.
Rule 4.  ``on_closed`` is called exactly once, whoever closed; nothing is called after it, sends are dropped silently.
Rule 5.  ``close_nowait`` sends what is buffered, the goodbye, and a close frame, then waits at most ``CLOSE_MS``.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import trio


class Peer(Protocol):
    """The other end of one websocket, as the relay's logic sees it."""

    @property
    def address(self) -> str:
        """Network address of the peer without a port: what per-address limits count."""
        ...

    @property
    def buffered_bytes(self) -> int:
        """Bytes accepted and not yet taken by the kernel."""
        ...

    def send_nowait(self, payload: bytes) -> None:
        """Send one binary message."""
        ...

    def send_framed_nowait(self, frame: bytes) -> None:
        """Send bytes made by ``protocol.websocket.frame``: shared by all receivers, never copied per receiver."""
        ...

    def send_shared_nowait(self, frames: bytes) -> None:
        """As ``send_framed_nowait``, for what goes to many: others who are ready may be served in between."""
        ...

    def close_nowait(self, code: int, reason: str, goodbye: bytes = b"") -> None:
        """Send ``goodbye`` (a last message, if any) and close with a websocket close code. Idempotent."""
        ...

    def pause_nowait(self, span_ms: int) -> None:
        """Deliver nothing from this peer for a while; what it sends waits with it."""
        ...

    def login_decided_nowait(self) -> None:
        """The peer is known now: lift the limits that hold before a login."""
        ...


class Handler(Protocol):
    """The relay's logic for one websocket."""

    def on_message(self, data: bytes) -> None:
        """One binary message."""
        ...

    def on_text(self) -> None:
        """A text message came; its content is of no interest."""
        ...

    def on_writable(self) -> None:
        """See rule 3."""
        ...

    def on_closed(self) -> None:
        """The connection is over."""
        ...


Accept = Callable[[Peer], Handler]


class HttpService(Protocol):
    """What answers the requests that are no websocket's."""

    def wants(self, head: bytes) -> bool:
        """Whether it answers the request that begins with these bytes."""
        ...

    async def serve(self, stream: trio.abc.Stream, head: bytes) -> None:
        """Answer requests until the connection ends; ``head`` was read of them already."""
        ...


@dataclass(frozen=True, slots=True)
class FrontStatistics:
    """What is open."""

    connections: int
    addresses: int
    buffered_bytes: int


class Front(Protocol):
    """What accepts connections and moves their bytes: the data plane, or its twin over trio-websocket."""

    tls: ssl.SSLContext | None  # of new connections; may be replaced at any time

    @property
    def now_ms(self) -> int:
        """Monotonic milliseconds, read once for everything that came at the same time."""
        ...

    async def listen(self, host: str, port: int, setting: str) -> str:
        """Bind; host:port of the first address. Raises ``ConfigError``, naming ``setting``, where it cannot be had."""
        ...

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Accept and serve until cancelled."""
        ...

    def stop_accepting(self) -> None:
        """Accept nobody any more; connections go on."""
        ...

    def sweep(self, now_ms: int) -> None:
        """End what takes too long; called about once a second."""
        ...

    def later(self, do: Callable[[], None]) -> None:
        """Call ``do`` soon, on this thread: after everything else that has come at the same time."""
        ...

    def statistics(self) -> FrontStatistics:
        """Numbers now."""
        ...
