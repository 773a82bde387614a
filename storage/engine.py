"""One writer thread with group commit, and a few readers, over one SQLite file.

The writer takes all that queued while its last commit ran, decides and writes it in one transaction, and hands all
outcomes to trio in one wake-up. ``synchronous=FULL``: what was handed out survives a power cut.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar, cast

import trio
from sqlalchemy import Connection, NullPool, QueuePool, create_engine, event
from sqlalchemy import Engine as SqlEngine
from sqlalchemy.exc import DBAPIError

from protocol.errors import Code
from storage import bounds
from storage.base import Append, Outcome, Refused, StoreAway, StoreStatistics, StoreUnusable
from storage.batch import run_appends
from storage.sql import note_acks

T = TypeVar("T")
Clock = Callable[[], int]  # Unix milliseconds
_AWAY_CODES: Final = frozenset({
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class AppendOp:
    """An append that waits for the writer."""

    intent: Append
    done: Callable[[Outcome], None]
    bytes: int


@dataclass(frozen=True, slots=True)
class JobOp:
    """Any other change: ``run`` gets the connection, inside the transaction, and the time."""

    run: Callable[[Connection, int], Any]
    done: Callable[[Any], None]
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Away:
    """Outcome of an operation that the database did not take."""

    text: str
    broken: bool = False  # by this operation alone: the database is well


Op = AppendOp | JobOp


@dataclass(slots=True)
class _Counts:
    commits: int = 0
    appended: int = 0
    duplicates: int = 0
    refused: int = 0
    batch_max: int = 0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=bounds.COMMITS_REMEMBERED))


def open_database(path: Path, *, writer: bool, page_count_max: int | None = None) -> SqlEngine:
    """A SQLAlchemy engine over one file: one connection that writes, or a pool of those that read."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            path, timeout=1.0, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if writer:
            connection.execute(f"PRAGMA wal_autocheckpoint = {bounds.WAL_PAGES}")
            connection.execute(f"PRAGMA cache_size = -{bounds.CACHE_KIB}")
            if page_count_max is not None:
                connection.execute(f"PRAGMA max_page_count = {page_count_max}")
        else:
            connection.execute("PRAGMA query_only = ON")
        return connection

    if writer:
        engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    else:
        engine = create_engine(
            "sqlite://", creator=connect, poolclass=QueuePool, pool_size=bounds.READERS, max_overflow=0
        )
    begin = "BEGIN IMMEDIATE" if writer else "BEGIN"

    # The driver would begin transactions late and by its own guess; these begin exactly where the code says.
    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@contextmanager
def preparing(file: Path) -> Iterator[Connection]:
    """A transaction in which the schema of a file is made. Raises ``StoreUnusable`` for a file that is no database."""
    engine = open_database(file, writer=True)
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise StoreUnusable(f"{file} is not a database; move it away, or restore a backup") from error
        raise
    finally:
        engine.dispose()


def _away(error: DBAPIError) -> bool:
    """Whether the database as a whole cannot take anything now, rather than this one statement."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _AWAY_CODES


class Engine:
    """The writer and the readers. Made inside trio; ``run_writer`` has a thread of its own until ``stop_nowait``."""

    def __init__(
        self, path: Path, *, clock_ms: Clock, spacing_ms: int, page_count_max: int | None, queue_max: int
    ) -> None:
        self._writer_db = open_database(path, writer=True, page_count_max=page_count_max)
        self._reader_db = open_database(path, writer=False)
        self._path = path
        self._clock_ms = clock_ms
        self._spacing_ms = spacing_ms
        self._queue_max = queue_max
        self._queue: SimpleQueue[Op | None] = SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self._limiter = trio.CapacityLimiter(bounds.READERS)
        self._stopped = False
        self._queued = 0  # these two and the counts change on the trio thread only
        self._queued_bytes = 0
        self._counts = _Counts()
        self.tidy: Callable[[Connection], None] = lambda connection: None  # between transactions, when asked for
        self._untidy = False  # of the writer's thread
        self._acks: dict[tuple[bytes, bytes], int] = {}  # trio sets items, the writer pops them: each is one step
        self._flushing = False  # a commit for their sake is queued

    # -- trio's side ---------------------------------------------------------------------------------------------------
    def append_nowait(self, intent: Append, done: Callable[[Outcome], None]) -> None:
        """Queue an append. Raises ``StoreAway``."""
        size = len(intent.header) + len(intent.body) + sum(len(welcome.body) for welcome in intent.welcomes)
        self._put(AppendOp(intent, done, size))

    async def append(self, intent: Append) -> Outcome:
        """Append and wait. Raises ``StoreAway``. Cancelled: the outcome is unknown."""
        outcome: Outcome = await self._wait(lambda done: self.append_nowait(intent, done))
        return outcome

    async def write(self, run: Callable[[Connection, int], T], size: int = 0) -> T:
        """Run a job in the writer's next transaction. Raises ``StoreAway``."""
        result = await self._wait(lambda done: self._put(JobOp(run, done, size)))
        if isinstance(result, Away):
            raise StoreAway(result.text)
        return cast(T, result)

    async def read(self, run: Callable[[Connection], T]) -> T:
        """Run a query on a snapshot, in a thread. Raises ``StoreAway``."""
        if self._stopped:
            raise StoreAway("the store is closed")

        def work() -> T:
            try:
                with self._reader_db.begin() as connection:
                    return run(connection)
            except DBAPIError as error:
                if _away(error):
                    raise StoreAway(f"the database cannot be read now: {error.orig}") from error
                raise

        return await trio.to_thread.run_sync(work, limiter=self._limiter)

    def acknowledge_nowait(self, topic: bytes, device: bytes, offset: int) -> None:
        """Note a position; the next transaction takes it along."""
        acks = self._acks
        if acks.get((topic, device), 0) < offset and len(acks) < bounds.ACKS_KEPT_MAX:
            acks[topic, device] = offset
        full = len(acks) >= bounds.ACKS_PENDING_MAX and not self._flushing
        if full and not self._stopped and self._queued < self._queue_max:
            self._flushing = True
            self._put(JobOp(lambda connection, now_ms: None, self._flushed))

    def _flushed(self, _: None) -> None:
        self._flushing = False

    def statistics(self) -> StoreStatistics:
        """Figures of the queue and of the last commits."""
        counts, milliseconds = self._counts, sorted(seconds * 1000 for seconds in self._counts.seconds)
        quantiles = statistics.quantiles(milliseconds, n=100) if len(milliseconds) > 1 else milliseconds * 99
        p50, p99 = (quantiles[49], quantiles[98]) if quantiles else (0.0, 0.0)
        size = sum(file.stat().st_size for file in self._path.parent.glob(self._path.name + "*"))
        return StoreStatistics(
            self._queued, counts.commits, counts.appended, counts.duplicates, counts.refused, counts.batch_max, p50,
            p99, size,
        )  # fmt: skip

    def stop_nowait(self) -> None:
        """Take no more; the writer ends when all that is queued is committed."""
        if not self._stopped:
            self._stopped = True
            self._queue.put(None)

    def dispose(self) -> None:
        """Close the connections, after the writer has ended."""
        self._reader_db.dispose()
        self._writer_db.dispose()

    def _put(self, op: Op) -> None:
        if self._stopped:
            raise StoreAway("the store is closed")
        if self._queued >= self._queue_max or self._queued_bytes + op.bytes > bounds.QUEUE_BYTES_MAX:
            raise StoreAway(f"{self._queued} changes wait for the store already")
        self._queued += 1
        self._queued_bytes += op.bytes
        self._queue.put(op)

    async def _wait(self, start: Callable[[Callable[[Any], None]], None]) -> Any:
        event_, results = trio.Event(), []

        def done(result: Any) -> None:
            results.append(result)
            event_.set()

        start(done)
        await event_.wait()
        return results[0]

    def _deliver(self, ops: Sequence[Op], results: Sequence[Any], seconds: float) -> None:
        counts = self._counts
        counts.commits += 1
        counts.batch_max = max(counts.batch_max, len(ops))
        counts.seconds.append(seconds)
        self._queued -= len(ops)
        for op, result in zip(ops, results, strict=True):
            self._queued_bytes -= op.bytes
            if isinstance(op, AppendOp):
                counts.refused += isinstance(result, Refused)
                counts.appended += not isinstance(result, Refused) and not result.duplicate
                counts.duplicates += not isinstance(result, Refused) and result.duplicate
            op.done(result)

    # -- the writer's thread -------------------------------------------------------------------------------------------
    def tidy_soon(self) -> None:
        """For jobs: call ``tidy`` as soon as this transaction is committed, before its outcomes are handed out."""
        self._untidy = True

    def run_writer(self) -> None:
        """Commit batch after batch until ``stop_nowait``."""
        with self._writer_db.connect() as connection:
            more = True
            while more:
                ops, more = self._take()
                started = time.perf_counter()
                results = self._commit(connection, ops)
                seconds = time.perf_counter() - started
                if ops:
                    self._token.run_sync_soon(self._deliver, ops, results, seconds)

    def _take(self) -> tuple[list[Op], bool]:
        """Wait for work; all that there is of it, within the bounds of a batch. False: it was the last."""
        ops: list[Op] = []
        size = 0
        op = self._queue.get()
        while op is not None:
            ops.append(op)
            size += op.bytes
            if len(ops) >= bounds.BATCH_OPERATIONS_MAX or size >= bounds.BATCH_BYTES_MAX:
                return ops, True
            try:
                op = self._queue.get_nowait()
            except Empty:
                return ops, True
        return ops, False

    def _commit(self, connection: Connection, ops: Sequence[Op]) -> list[Any]:
        try:
            return self._attempt(connection, ops)
        except DBAPIError as error:
            if _away(error) or len(ops) <= 1:
                away = Away(f"the database did not take it: {error.orig}", broken=not _away(error))
                return [_failure(op, away) for op in ops]
        # Something in one of them is wrong; alone, each of the others is well.
        return [self._commit(connection, [op])[0] for op in ops]

    def _attempt(self, connection: Connection, ops: Sequence[Op]) -> list[Any]:
        acks = [self._acks.popitem() for _ in range(len(self._acks))]
        results: list[Any] = []
        with connection.begin():
            now_ms = self._clock_ms()
            note_acks(connection, acks)
            for appends, run in groupby(ops, key=lambda op: isinstance(op, AppendOp)):
                if appends:
                    intents = [op.intent for op in run if isinstance(op, AppendOp)]
                    results += run_appends(connection, intents, now_ms, self._spacing_ms)
                else:
                    results += [op.run(connection, now_ms) for op in run if isinstance(op, JobOp)]
        if self._untidy or any(isinstance(op, AppendOp) and op.intent.erases for op in ops):
            self._untidy = False
            self.tidy(connection)
        return results


def _failure(op: Op, away: Away) -> Away | Refused:
    if isinstance(op, JobOp):
        return away
    code = Code.INTERNAL if away.broken else Code.STORE_AWAY
    return Refused(code, f"{away.text}; retry with the same id", retry_ms=bounds.RETRY_MS)
