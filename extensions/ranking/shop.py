"""A ranker with its log: events are numbered, applied, and written in one transaction with what they came from.

The log is the truth: whoever opens the worker's database reads the last snapshot and the log behind it, and has the
same ranker. Of what the snapshot covers the newest events stay, for a version that cannot read it. Memory runs ahead of
the disk by what is being written; nothing that was computed from it leaves before the write is durable, and a
write that fails makes the process read the log anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from extensions.ranking import events as E
from extensions.ranking.ranker import Ranker
from extensions.ranking.shadow import Configuration, Shadow

Write = Callable[[sqlite3.Connection], object]
TABLES: Final = """
CREATE TABLE IF NOT EXISTS rank_log (n INTEGER PRIMARY KEY, event BLOB NOT NULL, reader BLOB);
CREATE INDEX IF NOT EXISTS rank_log_reader ON rank_log (reader) WHERE reader IS NOT NULL;
CREATE TABLE IF NOT EXISTS rank_erase (account BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rank_snapshot (n INTEGER PRIMARY KEY CHECK (n = 1), number INTEGER NOT NULL, data BLOB);
CREATE TABLE IF NOT EXISTS rank_places (
    entry BLOB PRIMARY KEY, account BLOB NOT NULL, place INTEGER NOT NULL, edit INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rank_shards (shard INTEGER PRIMARY KEY, generation INTEGER NOT NULL, place INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS rank_readers (account BLOB PRIMARY KEY) WITHOUT ROWID
"""
_ERASE: Final = (
    "DELETE FROM rank_log WHERE n IN (SELECT l.n FROM rank_erase e JOIN rank_log l ON l.reader = e.account"
    " AND l.n <= e.number)"
)
_READ: Final = 10_000  # events of one read of the log
PLACES_MAX: Final = 200_000  # entries whose place is kept: beyond it those go that the ranker has forgotten itself
SNAPSHOT_EVERY: Final = 20_000  # events: a restart learns at most so many again, some seconds' worth
LOG_EVENTS_MAX: Final = 1_000_000  # that stay though a snapshot covers them: three minutes' learning, a few hundred MB
LOG_SLICE: Final = 4 * SNAPSHOT_EVERY  # older ones that go with one snapshot: a log that was too long shrinks in steps
_TRIM: Final = "DELETE FROM rank_log WHERE n IN (SELECT n FROM rank_log WHERE n <= ? ORDER BY n LIMIT ?)"


class Shop:
    """One process's ranker. ``query`` reads the worker's own tables."""

    def __init__(
        self, query: Callable[..., Sequence[tuple[Any, ...]]], make: Callable[[], Ranker] = Ranker,
        beside: Configuration | None = None,
    ) -> None:  # fmt: skip
        """``beside``: of a shadow that learns with it."""
        self._query = query
        self._make = make
        self._beside = beside
        self.load()

    def load(self) -> None:
        """Read everything from the tables."""
        self.stale = False  # set where memory is ahead of what can be written: `load` before anything else
        self.ranker, self.number = self._make(), 0
        begin: bytes | None = None
        for number, data in self._query("SELECT number, data FROM rank_snapshot"):
            try:
                self.ranker, self.number = Ranker.restore(data), number
            except ValueError:
                continue  # of another version: the log has everything
            begin = data
        self.shadow = None if self._beside is None else Shadow(self.ranker, self._beside, begin)
        self.saved = self.number
        self.erasing = bool(self._query("SELECT 1 FROM rank_erase LIMIT 1"))
        while True:
            rows = self._query("SELECT n, event FROM rank_log WHERE n > ? ORDER BY n LIMIT ?", (self.number, _READ))
            for number, row in rows:
                self._learn(E.from_bytes(row))
                self.number = number
            if not rows:
                break
        rows = self._query("SELECT entry, account, place, edit FROM rank_places")
        self.places = {key: (account, place) for key, account, place, _ in rows}
        self.edits = {key: edit for key, _, _, edit in rows if edit}  # where the newest versions lie
        self.shards = {shard: (g, place) for shard, g, place in self._query("SELECT * FROM rank_shards")}
        self.readers = {account for (account,) in self._query("SELECT account FROM rank_readers")}

    def apply(self, events: Iterable[E.AnyEvent]) -> list[Write]:
        """Learn from events; what to write with the same transaction."""
        applied = list(events)
        for event in applied:
            self._learn(event)
        return self._numbered(applied)

    def _learn(self, event: E.AnyEvent) -> None:
        if self.shadow is not None:  # first, so that both are asked before either knows
            self.shadow.apply(event)
        self.ranker.apply(event)

    def note(self, events: Iterable[E.AnyEvent]) -> list[Write]:
        """Number events that the ranker has applied itself; what to write."""
        applied = list(events)
        if self.shadow is not None:
            for event in applied:
                self.shadow.apply(event)
        return self._numbered(applied)

    def _numbered(self, events: Iterable[E.AnyEvent]) -> list[Write]:
        rows = []
        for event in events:
            self.number += 1
            reader = event.reader if isinstance(event, E.Signal | E.Follow | E.Served) else None
            rows.append((self.number, E.to_bytes(event), reader))
        if not rows:
            return []
        return [lambda db: db.executemany("INSERT OR REPLACE INTO rank_log VALUES (?, ?, ?)", rows)]

    def forget(self, account: bytes, at_ms: int) -> list[Write]:
        """Forget a reader at once, and note that what the log has of it is to be erased; see ``snapshot``."""
        writes = self.apply([E.Forget(account, at_ms)])
        row = (account, self.number)
        self.erasing = True
        return [*writes, lambda db: db.execute("INSERT OR REPLACE INTO rank_erase VALUES (?, ?)", row)]

    def snapshot(self) -> list[Write]:
        """A snapshot, if it is worth one: what a restart begins with. Only when everything applied was noted.

        With it goes out of the log whatever is left there of readers who wanted to be forgotten: the snapshot is of
        after that, so a restart needs none of it. What is older than LOG_EVENTS_MAX goes, too.
        """
        if self.number - self.saved < SNAPSHOT_EVERY and not self.erasing:
            return []
        self.saved, self.erasing = self.number, False
        row = (self.number, self.ranker.snapshot())
        old = (self.number - LOG_EVENTS_MAX, LOG_SLICE)
        return [
            lambda db: db.execute("INSERT OR REPLACE INTO rank_snapshot VALUES (1, ?, ?)", row),
            lambda db: db.execute(_ERASE),
            lambda db: db.execute("DELETE FROM rank_erase"),
            lambda db: db.execute(_TRIM, old),
        ]

    def placed(self, found: dict[bytes, tuple[bytes, int]], gone: Iterable[bytes]) -> list[Write]:
        """Note where entries lie (key → author, offset), and which are gone."""
        self.places |= found
        lost = list(gone)
        if len(self.places) > PLACES_MAX:
            learner = self.ranker.learner
            known = learner.catalog.slot_of.keys() | learner.note_of.keys() | found.keys()
            lost += [key for key in self.places if key not in known]
        for key in lost:
            self.places.pop(key, None)
            self.edits.pop(key, None)
        rows = [(key, account, place, self.edits.get(key, 0)) for key, (account, place) in found.items()]
        return [
            lambda db: db.executemany("INSERT OR REPLACE INTO rank_places VALUES (?, ?, ?, ?)", rows),
            lambda db: db.executemany("DELETE FROM rank_places WHERE entry = ?", [(key,) for key in lost]),
        ]

    def edited(self, found: Iterable[tuple[bytes, int]]) -> list[Write]:
        """Note where new versions of posts lie (key, offset in the author's feed); the highest counts."""
        rows = []
        for key, place in found:
            if key in self.places and place > self.edits.get(key, 0):
                self.edits[key] = place
                rows.append((place, key))
        return [lambda db: db.executemany("UPDATE rank_places SET edit = ? WHERE entry = ?", rows)] if rows else []

    def passed(self, shard: int, generation: int, place: int) -> list[Write]:
        """Note how far a shard log was read."""
        self.shards[shard] = (generation, place)
        row = (shard, generation, place)
        return [lambda db: db.execute("INSERT OR REPLACE INTO rank_shards VALUES (?, ?, ?)", row)]

    def consented(self, account: bytes, *, undo: bool) -> list[Write]:
        """Note that a reader has opted in or out."""
        (self.readers.discard if undo else self.readers.add)(account)
        sql = "DELETE FROM rank_readers WHERE account = ?" if undo else "INSERT OR IGNORE INTO rank_readers VALUES (?)"
        return [lambda db: db.execute(sql, (account,))]
