"""The seam between the connections' logic and whatever moves their bytes: synchronous calls in both directions.

``relay.listener`` implements ``Peer`` over trio-websocket, tests with a list, and a data plane of our own may take over
without a change above the seam. Rules for every implementation:

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

from collections.abc import Callable
from typing import Protocol


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
        """Send bytes made by ``framing.binary_frame``: shared by all receivers, never copied per receiver."""
        ...

    def close_nowait(self, code: int, reason: str, goodbye: bytes = b"") -> None:
        """Send ``goodbye`` (a last message, if any) and close with a websocket close code. Idempotent."""
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
