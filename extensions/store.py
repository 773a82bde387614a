"""The one database of a worker: a vault that several processes of the worker share, slot by slot.

Rule 1.  Rows of a conversation lie in a table of their slot (``items/1f``). A transaction that touches a slot which
         this process does not hold, or whose token in the database is not its own, writes nothing: ``Fenced``.
Rule 2.  A new holder writes its token first (``claim``). From then on an older process writes nothing at all.
Rule 3.  What a worker keeps of its own lies in tables of its own in the same file, clear, and changes in the same
         transaction as its jobs (``WorkerBatch.writes``).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from clients.vault import Batch, Secret, Vault, VaultError
from extensions import bounds as B
from extensions.errors import Fenced, WorkerError
from protocol.ids import Entropy

Write = Callable[[sqlite3.Connection], object]
_BLOCK: Final = -1  # row of `slots` that counts blocks of numbers
BLOCK_BITS: Final = 32  # numbers in a block: four thousand million before a process must ask for another
_TABLES: Final = "CREATE TABLE IF NOT EXISTS slots (slot INTEGER PRIMARY KEY, token INTEGER NOT NULL)"


def place_of(place: str, slot: int) -> str:
    """The table of a slot."""
    return f"{place}/{slot:02x}"


def slot_in(place: str) -> int | None:
    """The slot that a table belongs to; None: it is the whole worker's."""
    _, slash, slot = place.rpartition("/")
    return int(slot, 16) if slash else None


@dataclass(slots=True)
class WorkerBatch(Batch):
    """Writes of one transaction, with those to the worker's own tables, which come first."""

    writes: list[Write] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.records or self.events or self.writes)


class WorkerVault(Vault):
    """A vault for several processes. Methods block on the disk, as those of ``Vault``."""

    _SHARED = True  # among processes of the worker, so that no plain vault opens the file beside them

    def __init__(self, path: Path, secret: Secret, *, tables: str = "", entropy: Entropy = os.urandom) -> None:
        """Open or create; ``tables``: SQL that makes the worker's own tables (``CREATE TABLE IF NOT EXISTS …;``).

        Raises ``VaultError``, and ``WorkerError`` where that SQL fails.
        """
        self.held: dict[int, int] = {}  # slot → token, of this process
        self._lock = threading.Lock()  # transactions of several threads take turns
        super().__init__(path, secret, entropy=entropy)
        self._db.execute(f"PRAGMA busy_timeout = {int(B.BUSY_S * 1000)}")
        self._reader.execute(f"PRAGMA busy_timeout = {int(B.BUSY_S * 1000)}")
        try:
            self._db.executescript(f"{_TABLES};{tables}")
        except sqlite3.Error as error:
            self.close()
            raise WorkerError(f"the tables of this worker cannot be made: {error}") from None

    # -- slots ---------------------------------------------------------------------------------------------------------
    def claim(self, tokens: Mapping[int, int]) -> int:
        """Hold slots from now on; the first number of a block that no other process uses. Raises ``Fenced``."""
        with self._transaction() as db:
            known: dict[int, int] = dict(db.execute("SELECT slot, token FROM slots"))
            for slot, token in tokens.items():
                if known.get(slot, 0) > token:
                    raise Fenced(
                        f"slot {slot} was granted under token {known[slot]} before, and now under {token}: another "
                        "process holds it, or the relay was restored from an older backup than this worker"
                    )
            block = known.get(_BLOCK, 0) + 1
            rows = [*tokens.items(), (_BLOCK, block)]
            db.executemany("INSERT OR REPLACE INTO slots VALUES (?, ?)", rows)
        self.held.update(tokens)
        return block << BLOCK_BITS

    def let_go(self, slots: Iterable[int]) -> None:
        """Hold them no longer."""
        for slot in slots:
            self.held.pop(slot, None)

    def commit(self, batches: Sequence[Batch]) -> None:
        """See ``Vault``. Raises ``Fenced`` too."""
        with self._lock:
            super().commit(batches)

    def _guard(self, db: sqlite3.Connection, batches: Sequence[Batch]) -> None:
        touched = {slot_in(place) for batch in batches for place, _ in batch.records} - {None}
        foreign = touched.difference(self.held)
        if foreign:
            raise Fenced(f"slots {sorted(foreign, key=str)} are not this process's")
        known = dict(db.execute("SELECT slot, token FROM slots"))
        late = [slot for slot, token in self.held.items() if known.get(slot) != token]
        if late:
            raise Fenced(f"{len(late)} slots (the first is {late[0]}) have another holder")
        for batch in batches:
            if isinstance(batch, WorkerBatch):
                for write in batch.writes:
                    write(db)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise VaultError(f"{self.path} cannot be written ({error}); free disk space, start again") from error

    # -- the worker's own tables ---------------------------------------------------------------------------------------
    def rehearse(self, writes: Sequence[Write]) -> None:
        """Run writes in a transaction and undo it: what is wrong with them is their job's failure, nobody else's."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for write in writes:
                    write(self._db)
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def query(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows of the worker's own tables, as they were committed. Raises ``VaultError``."""
        return self._rows(sql, *values)

    def scrub(self) -> bool:
        """Write what the journal beside the database holds into it, and empty that; False: somebody reads there now.

        What was deleted under ``PRAGMA secure_delete`` is then in neither file.
        """
        with self._lock:
            ((busy, _, _),) = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return not busy

    # -- looking from outside ------------------------------------------------------------------------------------------
    def places(self, place: str) -> dict[int, int]:
        """How many rows a table has in each slot."""
        query = "SELECT place, count(*) FROM records WHERE place LIKE ? GROUP BY place"
        return {int(name[-2:], 16): count for name, count in self._rows(query, f"{place}/__")}


def is_running(path: Path) -> bool:
    """Whether a process has the worker's database open."""
    lock = path.with_suffix(".lock")
    if not lock.exists():
        return False
    with lock.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@contextmanager
def making(path: Path) -> Iterator[None]:
    """Only one process makes what is not there yet: key file, database, identity."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.with_suffix(".making").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
