"""The store on one SQLite file in a directory of its own."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import trio

from protocol.limits import COMMIT_SPACING_MS
from storage import bounds, migrate
from storage.accounts import SqlAccounts
from storage.admission import SqlAdmission
from storage.base import StoreStatistics, StoreUnusable
from storage.blobs import SqlBlobs, sweep
from storage.contacts import SqlContacts
from storage.engine import Clock, Engine, preparing
from storage.files import BlobFiles
from storage.keypackages import SqlKeyPackages
from storage.lockers import SqlLockers
from storage.reports import SqlReports
from storage.slots import SqlSlots
from storage.topics import SqlTopics

FILE: Final = "chappe.db"
LOCK: Final = "lock"
BLOBS: Final = "blobs"
RESTORING: Final = "restoring"  # lies in the directory while a backup is written into it


def unix_ms() -> int:
    """The system's clock."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class SqliteStore:
    """``base.Store`` over one engine."""

    topics: SqlTopics
    accounts: SqlAccounts
    key_packages: SqlKeyPackages
    blobs: SqlBlobs
    contacts: SqlContacts
    lockers: SqlLockers
    admission: SqlAdmission
    reports: SqlReports
    slots: SqlSlots
    engine: Engine

    def statistics(self) -> StoreStatistics:
        """Figures of the queue and of the last commits."""
        return self.engine.statistics()


@asynccontextmanager
async def open_store(
    path: Path, *, clock_ms: Clock = unix_ms, spacing_ms: int = COMMIT_SPACING_MS, page_count_max: int | None = None,
    queue_max: int = bounds.QUEUE_OPERATIONS_MAX,
) -> AsyncIterator[SqliteStore]:  # fmt: skip
    """Open, and if need be make, the store in the directory ``path``; all that was queued is committed on leaving.

    ``clock_ms`` is called in the writer's thread; ``spacing_ms``: least time between commits that remove nobody;
    ``page_count_max``: bound of the file in pages of 4 KiB; ``queue_max``: changes that may wait.
    Raises ``StoreUnusable`` if another process has it open, or a newer version wrote it. The block runs in a
    nursery: what it raises comes out as an exception group, and a writer that fails ends it.
    """
    with locked(path):
        await trio.to_thread.run_sync(prepare, path / FILE)
        engine = Engine(
            path / FILE, clock_ms=clock_ms, spacing_ms=spacing_ms, page_count_max=page_count_max, queue_max=queue_max
        )
        run_writer = partial(trio.to_thread.run_sync, engine.run_writer, limiter=trio.CapacityLimiter(1))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run_writer)
                try:
                    blobs = SqlBlobs(engine, BlobFiles(path / BLOBS))
                    yield SqliteStore(
                        SqlTopics(engine), SqlAccounts(engine), SqlKeyPackages(engine), blobs,
                        SqlContacts(engine), SqlLockers(engine), SqlAdmission(engine), SqlReports(engine),
                        SqlSlots(engine), engine,
                    )  # fmt: skip
                finally:
                    engine.stop_nowait()
        finally:
            engine.dispose()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the directory against other processes. The kernel lets go of it when this one ends, however it ends."""
    path.mkdir(parents=True, exist_ok=True)
    with (path / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(32).strip() or "unknown"
            raise StoreUnusable(
                f"the data in {path} is in use by another process (id {holder}). One relay at a time may write it: stop"
                " that one, or give this one a directory of its own."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def prepare(file: Path) -> None:
    """Make the schema that of this version, and remove files that no blob needs. Raises ``StoreUnusable``."""
    if (file.parent / RESTORING).exists():
        raise StoreUnusable(
            f"a backup was being restored into {file.parent} and is not whole; empty the directory and restore again"
        )
    with preparing(file) as connection:
        migrate.upgrade(connection)
        sweep(connection, BlobFiles(file.parent / BLOBS))
