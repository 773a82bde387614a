"""Sealed bytes under their SHA-256, held by the entries that name them.

Small ones lie in the database, larger ones are files of their own, named by their hash (``files``). A row and its file
come and go in an order that leaves at worst a file without a row, never a row without a file:

* *Put*: the file is whole and durable before its row is written. The writer's thread looks once more that it is there.
* *Free*: the row goes, and the hash into ``blob_trash``, in one transaction; afterwards the writer's thread unlinks
  what is in there and has no row. Both happen in that one thread, so a put and a free of the same bytes cannot cross.
* At start, files without a row are removed (``sweep``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import trio
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from protocol.errors import Code
from protocol.limits import SEALED_CHUNK_BYTES_MAX
from storage import bounds, sql
from storage.base import Refused, StoreAway
from storage.engine import Engine
from storage.files import BlobFiles

_LOST: Final = "lost"  # the file was unlinked between its rename and its row


def check(digest: bytes, data: bytes) -> None:
    """Raise ``ValueError`` unless ``data`` is within its bound and ``digest`` is its SHA-256."""
    if len(data) > SEALED_CHUNK_BYTES_MAX:
        raise ValueError(f"a blob of {len(data)} bytes; at most {SEALED_CHUNK_BYTES_MAX}")
    if hashlib.sha256(data).digest() != digest:
        raise ValueError("the bytes of a blob do not have the hash they came under")


def over_quota(used: int, more: int, quota_bytes: int) -> Refused | None:
    """The refusal of ``more`` bytes beside ``used`` ones; None: there is room, or no quota (0)."""
    if not quota_bytes or used + more <= quota_bytes:
        return None
    text = f"{used} of {quota_bytes} bytes for this account's files are in use; delete some, or ask the operator"
    return Refused(Code.QUOTA, text)


class SqlBlobs:
    """``base.Blobs`` over the engine and a directory."""

    def __init__(self, engine: Engine, files: BlobFiles) -> None:
        self._engine = engine
        self._files = files
        engine.tidy = self._unlink_trash

    async def put(
        self, digest: bytes, data: bytes, *, account: bytes | None = None, quota_bytes: int = 0
    ) -> Refused | None:
        """Store; again: its hour without references starts anew. Raises ``ValueError`` or ``StoreAway``."""
        await trio.to_thread.run_sync(check, digest, data)
        if quota_bytes and account is not None:
            refusal = await self._engine.read(
                lambda connection: _room(connection, digest, len(data), account, quota_bytes)
            )
            if refusal is not None:
                return refusal
        is_file = len(data) > bounds.BLOB_FILE_BYTES

        def insert(connection: Connection, now_ms: int) -> Refused | str | None:
            if is_file and not self._files.holds(digest):
                return _LOST
            kept = None if is_file else data
            refusal = _insert(connection, digest, len(data), kept, account, quota_bytes, now_ms)
            if refusal is not None and is_file:
                sql.insert_rows(connection, "blob_trash", "hash", [(digest,)], "ON CONFLICT DO NOTHING")
                self._engine.tidy_soon()
            return refusal

        while True:
            if is_file:
                await self._write(digest, data)
            outcome = await self._engine.write(insert, 0 if is_file else len(data))
            if not isinstance(outcome, str):
                return outcome

    async def _write(self, digest: bytes, data: bytes) -> None:
        try:
            await trio.to_thread.run_sync(self._files.write, digest, data)
        except OSError as error:
            raise StoreAway(f"the file of a blob cannot be written: {error.strerror or error}") from error

    async def get(self, digest: bytes) -> bytes | None:
        """The bytes; None: unknown, or freed."""
        return await self.read(digest, 0, SEALED_CHUNK_BYTES_MAX)

    async def size(self, digest: bytes) -> int | None:
        """How many bytes there are to read."""

        def query(connection: Connection) -> int | None:
            row = connection.exec_driver_sql("SELECT size, data IS NULL FROM blobs WHERE hash = ?", (digest,)).first()
            return None if row is None or (row[1] and not self._files.holds(digest)) else int(row[0])

        return await self._engine.read(query)

    async def read(self, digest: bytes, start: int, count: int) -> bytes | None:
        """A part of the bytes."""

        def query(connection: Connection) -> bytes | None:
            row = connection.exec_driver_sql(
                "SELECT data IS NULL, substr(data, ?, ?) FROM blobs WHERE hash = ?", (start + 1, count, digest)
            ).first()
            if row is None:
                return None
            part: bytes | None = self._files.read(digest, start, count) if row[0] else row[1]
            return part

        return await self._engine.read(query)

    async def renew(self, digests: Sequence[bytes]) -> list[bool]:
        """Which of them are stored; the hour without references of those starts anew."""

        def update(connection: Connection, now_ms: int) -> list[bool]:
            rows = sql.select_in(connection, "SELECT hash, n FROM blobs WHERE hash IN ({})", set(digests))
            known = {row[0]: row[1] for row in rows}
            changes = [(now_ms, n) for n in known.values()]
            sql.execute_each(connection, "UPDATE blobs SET added_ms = ? WHERE n = ?", changes)
            return [digest in known for digest in digests]

        return await self._engine.write(update)

    async def used(self, account: bytes) -> int:
        """Bytes of the living blobs that an account pays for."""
        return await self._engine.read(lambda connection: _used(connection, account))

    def _unlink_trash(self, connection: Connection) -> None:
        """In the writer's thread, between transactions. What fails stays in the trash."""
        with suppress(DBAPIError, OSError), connection.begin():
            rows = connection.exec_driver_sql(
                "SELECT t.hash, b.n FROM blob_trash t LEFT JOIN blobs b ON b.hash = t.hash WHERE t.hash > ? LIMIT ?",
                (b"", bounds.TRASH_FILES),
            ).fetchall()
            for digest, n in rows:
                if n is None:
                    self._files.unlink(digest)
            sql.execute_each(connection, "DELETE FROM blob_trash WHERE hash = ?", [(row[0],) for row in rows])


async def empty_trash(engine: Engine) -> None:
    """Unlink the files of all freed blobs, as far as the disk lets it, with other transactions in between."""
    left = await engine.read(_trash)
    while left:
        await engine.write(lambda connection, _: engine.tidy_soon())
        before, left = left, await engine.read(_trash)
        if left >= before:
            return


def _trash(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM blob_trash WHERE hash > ?", (b"",)).scalar_one())


def _used(connection: Connection, account: bytes) -> int:
    query = "SELECT u.bytes FROM blob_usage u JOIN accounts a ON a.n = u.account WHERE a.account = ?"
    return int(connection.exec_driver_sql(query, (account,)).scalar() or 0)


def _room(connection: Connection, digest: bytes, size: int, account: bytes, quota_bytes: int) -> Refused | None:
    if connection.exec_driver_sql("SELECT 1 FROM blobs WHERE hash = ?", (digest,)).first() is not None:
        return None
    return over_quota(_used(connection, account), size, quota_bytes)


def _insert(
    connection: Connection, digest: bytes, size: int, data: bytes | None, account: bytes | None, quota_bytes: int,
    now_ms: int,
) -> Refused | None:  # fmt: skip
    """Write the row, unless the account has no room; one that is there is renewed."""
    if connection.exec_driver_sql("UPDATE blobs SET added_ms = ? WHERE hash = ?", (now_ms, digest)).rowcount:
        return None
    account_n: int | None = None
    if account is not None:
        refusal = over_quota(_used(connection, account), size, quota_bytes)
        if refusal is not None:
            return refusal
        query = "SELECT n FROM accounts WHERE account = ?"
        account_n = connection.exec_driver_sql(query, (account,)).scalar()
    connection.exec_driver_sql(
        "INSERT INTO blobs (hash, added_ms, size, account, data) VALUES (?, ?, ?, ?, ?)",
        (digest, now_ms, size, account_n, data),
    )
    if account_n is not None:
        connection.exec_driver_sql(
            "INSERT INTO blob_usage (account, bytes) VALUES (?, ?)"
            " ON CONFLICT (account) DO UPDATE SET bytes = bytes + excluded.bytes",
            (account_n, size),
        )
    return None


def sweep(connection: Connection, files: BlobFiles) -> int:
    """Before anything else uses the store: remove files that no row names, and what a crash left half written.

    Returns how many were removed.
    """
    removed = 0
    for low, high, found in files.shelves():
        query = "SELECT hash FROM blobs WHERE hash >= ? AND hash < ? AND data IS NULL"
        if high is None:
            rows = connection.exec_driver_sql("SELECT hash FROM blobs WHERE hash >= ? AND data IS NULL", (low,))
        else:
            rows = connection.exec_driver_sql(query, (low, high))
        known = {bytes(row[0]) for row in rows}
        removed += files.keep_only(low, known, found)
    connection.exec_driver_sql("DELETE FROM blob_trash")
    return removed
