"""Sealed bytes under their SHA-256, held by the entries that name them."""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection

from protocol.limits import BLOB_BYTES_MAX
from storage.engine import Engine


def check(digest: bytes, data: bytes) -> None:
    """Raise ``ValueError`` unless ``data`` is within its bound and ``digest`` is its SHA-256."""
    if len(data) > BLOB_BYTES_MAX:
        raise ValueError(f"a blob of {len(data)} bytes; at most {BLOB_BYTES_MAX}")
    if hashlib.sha256(data).digest() != digest:
        raise ValueError("the bytes of a blob do not have the hash they came under")


class SqlBlobs:
    """``base.Blobs`` over the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def put(self, digest: bytes, data: bytes) -> None:
        """Store; again: its hour without references starts anew. Raises ``ValueError`` if the hash is another."""
        check(digest, data)

        def insert(connection: Connection, now_ms: int) -> None:
            connection.exec_driver_sql(
                "INSERT INTO blobs (hash, added_ms, data) VALUES (?, ?, ?)"
                " ON CONFLICT (hash) DO UPDATE SET added_ms = excluded.added_ms",
                (digest, now_ms, data),
            )

        await self._engine.write(insert, len(data))

    async def get(self, digest: bytes) -> bytes | None:
        """The bytes; None: unknown, or freed."""

        def query(connection: Connection) -> bytes | None:
            value: bytes | None = connection.exec_driver_sql(
                "SELECT data FROM blobs WHERE hash = ?", (digest,)
            ).scalar()
            return value

        return await self._engine.read(query)
