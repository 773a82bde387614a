"""The seam between relays of one cluster. It is a doorbell: what it loses is read from the store.

What every broker promises, and ``tests/contracts/test_broker.py`` checks on each:

Rule 1.  ``announce_nowait`` never waits and never raises for want of a link: what cannot be sent is
         dropped and counted.
Rule 2.  An announcement reaches every *other* node that listens to the channel at most once, in no promised order, or
         not at all. A node does not hear itself.
Rule 3.  Bytes arrive as they were announced, or not at all.
Rule 4.  ``hear`` is called on the trio thread. After the link was away, ``missed`` is called once it is back: anything
         may have been lost meanwhile.
Rule 5.  Listening takes effect at the latest when ``listening`` returns.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

Hear = Callable[[bytes, bytes], None]  # (channel, data)
Missed = Callable[[], None]


@dataclass(frozen=True, slots=True)
class BrokerStatistics:
    """State of the link and what went through it."""

    connected: bool
    announced: int
    dropped: int
    heard: int
    queued_bytes: int


class Broker(Protocol):
    """One node's end."""

    @property
    def is_alone(self) -> bool:
        """Nobody can hear: callers may spare themselves the encoding."""
        ...

    def announce_nowait(self, channel: bytes, data: bytes) -> None:
        """Tell the other nodes that listen to ``channel``."""
        ...

    def listen_nowait(self, channel: bytes) -> None:
        """Begin to listen; idempotent."""
        ...

    async def listening(self) -> None:
        """Wait until every ``listen_nowait`` so far has taken effect. Raises ``BrokerAway`` if the link is away."""
        ...

    def ignore_nowait(self, channel: bytes) -> None:
        """Stop listening; something that was on the way may still be heard."""
        ...

    def statistics(self) -> BrokerStatistics:
        """See ``BrokerStatistics``."""
        ...


class BrokerAway(Exception):
    """The link to the other nodes is away; nothing is lost but time."""


OpenBroker = Callable[[Hear, Missed], AbstractAsyncContextManager[Broker]]
