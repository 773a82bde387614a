"""How much is under way in the whole process, for draining."""

from __future__ import annotations

import trio


class Pending:
    """How much of something is under way in the whole process, for who waits until nothing is."""

    __slots__ = ("_none", "count")

    def __init__(self) -> None:
        self.count = 0
        self._none = trio.Event()

    def began(self) -> None:
        """One more."""
        self.count += 1

    def ended(self) -> None:
        """One less."""
        self.count -= 1
        if not self.count:
            self._none.set()

    async def none(self) -> None:
        """Wait until nothing is under way."""
        while self.count:
            self._none = trio.Event()
            await self._none.wait()
