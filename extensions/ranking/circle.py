"""One circle's ranker with a log of its own, which nothing outside that circle ever enters or leaves.

Each circle has two tables of its own: what is deleted with them is whole pages of the file, which SQLite overwrites
(``secure_delete``); of rows in a table for all circles, copies could stay behind on pages that others still use.

Rule 1.  A circle's tables and its row in ``rank_circles`` come with the transaction in which the worker joins it, and
         go with the one in which it is out. A write to a circle that is gone does nothing, however late it comes.
Rule 2.  What a reader is to have forgotten goes from the log at once, in the transaction that answers so. There are no
         snapshots: the log is short, and all that a restart has.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from extensions.ranking import bounds as B
from extensions.ranking import events as E
from extensions.ranking.ranker import Ranker
from extensions.ranking.shop import Write

Query = Callable[..., Sequence[tuple[Any, ...]]]
TABLES: Final = """
CREATE TABLE IF NOT EXISTS rank_circles (
    number INTEGER PRIMARY KEY AUTOINCREMENT, topic BLOB NOT NULL UNIQUE, admitted_by BLOB NOT NULL
)
"""
_NUMBER: Final = "SELECT number FROM rank_circles WHERE topic = ?"
_TRIMMED_TO: Final = 3, 4  # of its bounds: so it is not trimmed, and read again, with each event


def _log(number: int) -> str:
    return f"rank_circle_{number}"


def _readers(number: int) -> str:
    return f"rank_circle_{number}_readers"


def number_of(query: Query, topic: bytes) -> int | None:
    """The number of a circle that there is. Blocks on the disk."""
    rows = query(_NUMBER, (topic,))
    return rows[0][0] if rows else None


def topics(query: Query) -> list[bytes]:
    """The circles that there are. Blocks on the disk."""
    return [topic for (topic,) in query("SELECT topic FROM rank_circles ORDER BY number")]


# -- coming and going --------------------------------------------------------------------------------------------------
def made(topic: bytes, by: bytes) -> Write:
    """Make a circle's tables, unless it has them or there is no room for more."""

    def write(db: sqlite3.Connection) -> None:
        ((total, of_one),) = db.execute("SELECT count(*), total(admitted_by = ?) FROM rank_circles", (by,)).fetchall()
        if total >= B.CIRCLES_MAX or of_one >= B.CIRCLES_OF_ONE or db.execute(_NUMBER, (topic,)).fetchall():
            return
        number = db.execute("INSERT INTO rank_circles (topic, admitted_by) VALUES (?, ?)", (topic, by)).lastrowid
        assert number is not None
        db.execute(f"CREATE TABLE {_log(number)} (n INTEGER PRIMARY KEY, event BLOB NOT NULL, reader BLOB)")
        db.execute(f"CREATE TABLE {_readers(number)} (account BLOB PRIMARY KEY) WITHOUT ROWID")

    return write


def dropped(topic: bytes) -> Write:
    """Drop everything of a circle."""

    def write(db: sqlite3.Connection) -> None:
        for (number,) in db.execute(_NUMBER, (topic,)).fetchall():
            _securely(db)
            db.execute(f"DROP TABLE {_log(number)}")
            db.execute(f"DROP TABLE {_readers(number)}")
            db.execute("DELETE FROM rank_circles WHERE number = ?", (number,))

    return write


def kept(topic: bytes, members: Collection[bytes]) -> Write:
    """Drop what readers told who are no members any more."""
    here = frozenset(members)

    def write(db: sqlite3.Connection) -> None:
        for (number,) in db.execute(_NUMBER, (topic,)).fetchall():
            found = f"SELECT account FROM {_readers(number)} UNION SELECT reader FROM {_log(number)}"
            for (account,) in db.execute(found).fetchall():
                if account is not None and account not in here:
                    _forget(db, number, account, is_out=True)

    return write


def _securely(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA secure_delete = ON").fetchall()


def _forget(db: sqlite3.Connection, number: int, account: bytes, *, is_out: bool) -> None:
    _securely(db)
    db.execute(f"DELETE FROM {_log(number)} WHERE reader = ?", (account,))
    if is_out:
        db.execute(f"DELETE FROM {_readers(number)} WHERE account = ?", (account,))


# -- one that there is -------------------------------------------------------------------------------------------------
class Circle:
    """A circle's ranker; for ``answers`` it is what ``shop.Shop`` is for what is public."""

    places: Mapping[bytes, tuple[bytes, int]] = {}  # members know where its posts lie
    edits: Mapping[bytes, int] = {}  # and where their newest versions do

    def __init__(
        self, number: int, query: Query, is_out: Callable[[bytes], bool] = lambda account: False,
        make: Callable[[], Ranker] = Ranker,
    ) -> None:  # fmt: skip
        """Read it from its log; blocks on the disk. ``is_out``: who was put out since a batch began."""
        self._number = number
        self._is_out = is_out
        self.ranker = make()
        self.is_worn = False  # its log was trimmed: what is to be known is what the log has
        for (row,) in query(f"SELECT event FROM {_log(number)} ORDER BY n"):
            self.ranker.apply(E.from_bytes(row))
        self.readers = {account for (account,) in query(f"SELECT account FROM {_readers(number)}")}
        ((self._rows, self._size),) = query(f"SELECT count(*), total(length(event)) FROM {_log(number)}")
        self._ticked_ms = 0
        self._news = self._judged = False  # since the last tick

    def apply(self, events: Iterable[E.AnyEvent]) -> list[Write]:
        """Learn from events; what to write with the same transaction."""
        applied = list(events)
        for event in applied:
            self.ranker.apply(event)
        return self.note(applied)

    def note(self, events: Iterable[E.AnyEvent]) -> list[Write]:
        """Log events that the ranker has applied itself; what to write."""
        noted = list(events)
        if not noted:
            return []
        rows = [(E.to_bytes(event), reader_of(event)) for event in noted]
        self._news = True
        self._judged = self._judged or any(isinstance(event, E.Note | E.NoteRating) for event in noted)
        self._rows += len(rows)
        self._size += sum(len(row) for row, _ in rows)
        full = self._rows > B.CIRCLE_EVENTS_MAX or self._size > B.CIRCLE_BYTES_MAX
        self.is_worn = self.is_worn or full

        def write(db: sqlite3.Connection) -> None:
            theirs = [(row, reader) for row, reader in rows if reader is None or not self._is_out(reader)]
            db.executemany(f"INSERT INTO {_log(self._number)} (event, reader) VALUES (?, ?)", theirs)
            if full:
                _trim(db, self._number)

        return [self._guarded(write)]

    def tick(self, now_ms: int) -> list[Write]:
        """Fit what bridges, if something was said and it is time; what to write."""
        wait_ms = B.CIRCLE_JUDGED_MS if self._judged else B.CIRCLE_TICK_MS
        if not self._news or now_ms - self._ticked_ms < wait_ms:
            return []
        writes = self.apply([E.Tick(now_ms)])
        self._ticked_ms, self._news, self._judged = now_ms, False, False
        return writes

    def forget(self, account: bytes, at_ms: int) -> list[Write]:
        """Forget what a reader did, here and in the log."""
        self.ranker.forget(account)
        return [self._guarded(lambda db: _forget(db, self._number, account, is_out=False))]

    def consented(self, account: bytes, *, undo: bool) -> list[Write]:
        """Note that a member has opted in or out."""
        (self.readers.discard if undo else self.readers.add)(account)

        def write(db: sqlite3.Connection) -> None:
            if undo or self._is_out(account):
                db.execute(f"DELETE FROM {_readers(self._number)} WHERE account = ?", (account,))
            else:
                db.execute(f"INSERT OR IGNORE INTO {_readers(self._number)} VALUES (?)", (account,))

        return [self._guarded(write)]

    def put_out(self, members: Collection[bytes], gone: Collection[bytes]) -> None:
        """Forget, in memory, readers who are no members any more; ``gone``: of whom that was just said."""
        for account in {*gone, *self.readers}.difference(members):
            self.ranker.forget(account)
            self.readers.discard(account)

    def _guarded(self, write: Write) -> Write:
        """Do nothing once the circle is gone."""

        def guarded(db: sqlite3.Connection) -> None:
            if db.execute("SELECT 1 FROM rank_circles WHERE number = ?", (self._number,)).fetchall():
                write(db)

        return guarded


def reader_of(event: E.AnyEvent) -> bytes | None:
    """Whose doing an event is, to be forgotten with them; what is said in the circle stays, as it does with members."""
    if isinstance(event, E.Signal | E.Follow | E.Served):
        return event.reader
    return event.rater if isinstance(event, E.NoteRating) else None


def _trim(db: sqlite3.Connection, number: int) -> None:
    """Keep the newest part of a log."""
    part, of = _TRIMMED_TO
    room, events = B.CIRCLE_BYTES_MAX * part // of, B.CIRCLE_EVENTS_MAX * part // of
    for n, size in db.execute(f"SELECT n, length(event) FROM {_log(number)} ORDER BY n DESC").fetchall():
        room, events = room - size, events - 1
        if room < 0 or events < 0:
            _securely(db)
            db.execute(f"DELETE FROM {_log(number)} WHERE n <= ?", (n,))
            return
