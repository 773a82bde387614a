"""The seam between a connection and whoever reads public topics over it."""

from __future__ import annotations

from typing import Protocol

from clients.connection import Link
from protocol.frames import Msg, Subscription


class Public(Protocol):
    """What reads public topics on the same connection."""

    def subscriptions(self) -> list[Subscription]:
        """What to read after a login."""
        ...

    def entry(self, topic: bytes, msg: Msg) -> None:
        """An entry of one of them."""
        ...

    async def run(self, link: Link) -> None:
        """Look after them while a connection lasts."""
        ...


class Nothing:
    """No public topics."""

    def subscriptions(self) -> list[Subscription]:
        """See ``Public``."""
        return []

    def entry(self, topic: bytes, msg: Msg) -> None:
        """See ``Public``."""

    async def run(self, link: Link) -> None:
        """See ``Public``."""
