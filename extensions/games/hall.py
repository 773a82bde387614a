"""All tables of a referee in memory, as they were last committed, and the rows that make them.

Rule 1.  Memory changes only after the transaction: a ``Round`` is decided on top of the hall, written, then adopted.
Rule 2.  What is live (offered or played) is always in memory; what is over is read again when somebody asks for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from extensions.games import bounds as B
from extensions.games import rows
from extensions.games.pairing import Seeker
from extensions.games.referee import Referee, next_ms
from extensions.games.table import Phase, Table
from protocol import limits as L

LIVE: Final = (Phase.OFFERED, Phase.PLAYING)
Query = Callable[..., list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Show:
    """What spectators of a match are shown, from a time on."""

    match: bytes
    ply: int
    at_ms: int
    seen: bytes


@dataclass(frozen=True, slots=True)
class HallStatistics:
    """Figures of now."""

    offered: int
    playing: int
    kept: int  # finished ones that are still in memory
    watchers: int


@dataclass
class Hall:
    """See the module. ``query`` reads the worker's own tables, blocking."""

    referee: Referee
    query: Query
    prepare: Callable[[str], Awaitable[None]] | None = None  # called before a match of some game is read
    tables: dict[bytes, Table] = field(default_factory=dict)
    watchers: dict[bytes, set[bytes]] = field(default_factory=dict)
    shows: dict[bytes, list[Show]] = field(default_factory=dict)
    wakes: dict[bytes, int] = field(default_factory=dict)
    clocked: set[bytes] = field(default_factory=set)  # matches in which somebody's clock runs
    seekers: dict[bytes, Seeker] = field(default_factory=dict)  # by account, in the order in which they came
    pair_ms: int = 0  # when bands are to be compared anew
    sits: defaultdict[bytes, set[bytes]] = field(default_factory=lambda: defaultdict(set))  # account → live matches
    lock: trio.Lock = field(default_factory=trio.Lock)
    news: trio.Event = field(default_factory=trio.Event)  # set and replaced when something was adopted

    # -- reading -------------------------------------------------------------------------------------------------------
    async def load(self) -> None:
        """Take up everything live. Raises ``MatchError`` where a log does not hold."""
        for (facts,) in await trio.to_thread.run_sync(self.query, rows.LIVE):
            await self._load(facts)
        for (row,) in await trio.to_thread.run_sync(self.query, rows.ALL_SEEKS):
            seeker = rows.seek_of(row)
            self.seekers[seeker.player.account] = seeker
        for match, account in await trio.to_thread.run_sync(self.query, rows.ALL_WATCHERS):
            self.watchers.setdefault(match, set()).add(account)
        for match, ply, at_ms, seen in await trio.to_thread.run_sync(self.query, rows.ALL_SHOWS):
            self.shows.setdefault(match, []).append(Show(match, ply, at_ms, seen))

    async def find(self, match: bytes) -> Table | None:
        """A table, from memory or from the database."""
        if match not in self.tables:
            for (facts,) in await trio.to_thread.run_sync(self.query, rows.ONE, (match,)):
                await self._load(facts)
        return self.tables.get(match)

    async def entries(self, match: bytes, ply: int) -> list[bytes]:
        """Packed entries of a log from a ply on, as many as one answer holds."""
        found = await trio.to_thread.run_sync(self.query, rows.ENTRIES, (match, ply, L.GAME_FETCH_ENTRIES))
        return [entry for (entry,) in found]

    async def _load(self, facts: bytes) -> None:
        row = table = rows.unpacked(facts)
        if self.prepare is not None:
            await self.prepare(row.terms.game)
        if row.genesis is not None:
            query = (row.match, 0, L.GAME_PLIES_MAX + 1)
            packed = await trio.to_thread.run_sync(self.query, rows.ENTRIES, query)
            entries = tuple(rows.entry_of(entry) for (entry,) in packed)
            table = rows.as_left(self.referee.restore(row, row.genesis, entries), row)
        self.adopt([table])

    # -- changing ------------------------------------------------------------------------------------------------------
    def adopt(self, tables: Iterable[Table]) -> None:
        """Tables as they are from now on: what was decided about them is durable."""
        for table in tables:
            self.tables.pop(table.match, None)
            self.tables[table.match] = table  # at the end: the longest untouched goes first
            wake = next_ms(table)
            if wake is None:
                self.wakes.pop(table.match, None)
            else:
                self.wakes[table.match] = wake
            runs = table.log is not None and table.log.match.clocks.running
            (self.clocked.add if runs else self.clocked.discard)(table.match)
            for player in table.players:
                if table.phase in LIVE:
                    self.sits[player.account].add(table.match)
                else:
                    self._stands_up(player.account, table.match)
        if len(self.tables) > B.TABLES_KEPT + len(self.wakes):
            self._forget()

    def _stands_up(self, account: bytes, match: bytes) -> None:
        sits = self.sits.get(account)
        if sits is not None:
            sits.discard(match)
            if not sits:
                del self.sits[account]

    def _forget(self) -> None:
        over = [match for match, table in self.tables.items() if table.phase not in LIVE]
        for match in over[: max(0, len(over) - B.TABLES_KEPT)]:
            del self.tables[match]

    # -- looking -------------------------------------------------------------------------------------------------------
    def due(self, now_ms: int) -> list[bytes]:
        """Matches that time moves on."""
        return [match for match, at in self.wakes.items() if at <= now_ms]

    def next_ms(self) -> int | None:
        """When time alone will do something."""
        seeks = [self.pair_ms] if len(self.seekers) > 1 else []
        shows = (waiting[0].at_ms for waiting in self.shows.values() if waiting)
        return min((*self.wakes.values(), *shows, *seeks), default=None)

    def playing(self) -> list[bytes]:
        """Accounts that sit at a match which is on, in a fixed order."""
        found = {
            player.account: None
            for table in self.tables.values()
            if table.phase is Phase.PLAYING
            for player in table.players
        }
        return list(found)

    def statistics(self) -> HallStatistics:
        """Figures of now."""
        phases = [table.phase for table in self.tables.values()]
        offered, playing = phases.count(Phase.OFFERED), phases.count(Phase.PLAYING)
        watchers = sum(map(len, self.watchers.values()))
        return HallStatistics(offered, playing, len(phases) - offered - playing, watchers)
