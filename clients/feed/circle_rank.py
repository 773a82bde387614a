"""Ranked pages of a circle that admitted a ranker: the same pages, of what its members said to each other.

::

    await circle.admit()           # a member may: everybody sees the ranker come
    await circle.ranked.opt_in()   # each member for itself
    page = await circle.ranked.page()

The ranker reads in the circle, like any member; what we ask of it and tell it goes through our own conversation with
it, so the members do not see who reads what. A page says which posts; what they say comes from this device's vault.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from clients.feed.asking import RankError
from clients.feed.entries import Entry
from clients.feed.ranked import Home, Rank, Ranked
from clients.feed.shown import Log
from protocol.messages import rank as K
from protocol.messages.rank import RefusedCode
from protocol.scoring.page import Page


class Circle(Protocol):
    """What this needs of ``circle.Circle``."""

    topic: bytes

    @property
    def members(self) -> dict[bytes, int]: ...
    async def entries(self) -> list[Entry]: ...
    def logs(self, entries: Iterable[Entry]) -> dict[bytes, Log]: ...


class CircleRank(Rank):
    """Talks with the ranker of one circle; all that ``Rank`` does, for that circle alone."""

    def __init__(self, circle: Circle, rank: Rank) -> None:
        """``rank``: the one for what is public, whose conversations it shares."""
        super().__init__(rank._engine, rank._timelines, rank._pair, rank._find, rank.asking, circle.topic)
        self._of = circle

    async def opt_in(self, handle: str = "ranking") -> str:
        """Let the ranker learn what we do with this circle's pages; what it says. Raises ``RankError``."""
        account = await self._find(handle)
        self._need_admitted(account)
        topic = await self._pair(account)
        follows = tuple(sorted(self._shelf.follows & self._of.members.keys()))[:1000]  # of others it need not know
        said = await self._ask(K.Consent(follows=follows, circle=self.circle), K.Because, (account, topic))
        self._save(Home(account, topic))
        return said.text

    async def opt_out(self) -> str:
        """Nothing more is learned of us, and what was is forgotten."""
        if self.home is None or self.home.account in self._of.members:
            return await super().opt_out()
        self._save(None)
        await self._shelf.journal.flushed()
        return "the ranker was put out of this circle, and has forgotten it"

    def _need_admitted(self, account: bytes) -> None:
        if account not in self._of.members:
            raise RankError("this circle has no such ranker among its members; admit it first", RefusedCode.NO_CIRCLE)

    def _need_home(self) -> Home:
        if self.home is None:
            raise RankError("you have not opted in to this circle's ranker: its timeline is chronological")
        self._need_admitted(self.home.account)
        return self.home

    async def _shown(self, page: Page, answer: K.Page | K.Brief) -> list[Ranked]:
        self._need_mine(page)
        entries = {entry.key: entry for entry in await self._of.entries()}
        logs, hide = self._of.logs(entries.values()), self._timelines.filter()
        shown: list[Ranked] = []
        for number, placed in enumerate(page.items, page.first + 1):
            entry = entries.get(placed.post)
            item = None if entry is None else logs[entry.account].item(entry)
            if item is not None and item.entry.account == placed.author and not hide.hides(item):
                note = entries.get(placed.note)
                shown.append(Ranked(item, placed, page.ranking, number, note, circle=self.circle))
        return shown
