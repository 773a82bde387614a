"""What linking, revoking and recovery need of a client; ``clients.client`` is built on top of them."""

from __future__ import annotations

from typing import Protocol

from clients.connection import Link
from clients.engine import Engine


class Party(Protocol):
    """A connected client."""

    @property
    def engine(self) -> Engine:
        """Its state and rules."""
        ...

    async def wait_connected(self) -> Link:
        """Wait for a login."""
        ...

    async def wait_news(self) -> None:
        """Wait until something was told: an event or a notice."""
        ...
