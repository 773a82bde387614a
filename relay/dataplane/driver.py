"""What the plane and its connections know of each other, without either knowing the other's module."""

from __future__ import annotations

import ssl
from enum import IntEnum
from typing import Final, Protocol, TypeVar

from protocol.websocket import Policy, Refused, Request
from relay.config import Settings
from relay.counters import Counters
from relay.seam import Accept

PeerT = TypeVar("PeerT", contravariant=True)
AGAIN: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Stage(IntEnum):
    """HANDSHAKE (TLS), HEAD (the HTTP request), OPEN (a websocket), CLOSING (our close frame is out, the peer's is
    awaited), ENDING (the last bytes go out, the peer's are read and forgotten, so that a reset does not overtake them),
    OVER. Each stage but OPEN has a deadline; OPEN has one while a message is under way or the socket takes nothing.
    """

    HANDSHAKE = 0
    HEAD = 1
    OPEN = 2
    CLOSING = 3
    ENDING = 4
    OVER = 5


class Driver(Protocol[PeerT]):
    """What a connection needs of the plane that drives it."""

    settings: Settings
    bound: int  # settings.outbound_bytes_max
    counters: Counters
    policy: Policy
    accept: Accept
    now_ms: int

    def wants_to_write(self, peer: PeerT) -> None:
        """Flush ``peer`` at the end of this turn."""
        ...

    def wants_to_write_in_turn(self, peer: PeerT) -> None:
        """Flush ``peer`` when those who came before it have been written."""
        ...

    def watch(self, peer: PeerT) -> None:
        """Something of ``peer`` has a deadline."""
        ...

    def wake_at(self, when_ms: int, peer: PeerT) -> None:
        """Call ``on_pause_over`` of ``peer`` then."""
        ...

    def register(self, peer: PeerT) -> None:
        """Tell epoll what ``peer`` waits for."""
        ...

    def forget(self, peer: PeerT) -> None:
        """The connection is over; its socket is still open."""
        ...

    def hand_over(self, peer: PeerT, request: Request) -> bool:
        """Give the socket to the service that wants this request; False: none does."""
        ...

    def not_found(self, request: Request) -> Refused:
        """What to say to a request that nobody answers."""
        ...
