"""Sealed parcels: one for a device that is being linked, one that a recovery code opens. At most two an account."""

from __future__ import annotations

from sqlalchemy import Connection

from storage.engine import Engine


class SqlLockers:
    """``base.Lockers`` over the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def put(self, account: bytes, kind: int, slot: bytes, sealed: bytes, life_ms: int) -> bool:
        """See ``base.Lockers``."""

        def run(connection: Connection, now_ms: int) -> bool:
            return _put(connection, account, kind, slot, sealed, now_ms + life_ms if life_ms else 0)

        return await self._engine.write(run, len(sealed))

    async def get(self, kind: int, slot: bytes, now_ms: int) -> bytes | None:
        """See ``base.Lockers``."""

        def query(connection: Connection) -> bytes | None:
            text = "SELECT sealed FROM lockers WHERE kind = ? AND slot = ? AND (expires_ms = 0 OR expires_ms > ?)"
            value: bytes | None = connection.exec_driver_sql(text, (kind, slot, now_ms)).scalar()
            return value

        return await self._engine.read(query)


def _put(connection: Connection, account: bytes, kind: int, slot: bytes, sealed: bytes, expires_ms: int) -> bool:
    account_n = connection.exec_driver_sql("SELECT n FROM accounts WHERE account = ?", (account,)).scalar()
    owner = connection.exec_driver_sql("SELECT account FROM lockers WHERE kind = ? AND slot = ?", (kind, slot)).scalar()
    if account_n is None or owner not in (None, account_n):
        return False
    connection.exec_driver_sql(
        "INSERT INTO lockers (account, kind, slot, sealed, expires_ms) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (account, kind) DO UPDATE SET slot = excluded.slot, sealed = excluded.sealed,"
        " expires_ms = excluded.expires_ms",
        (account_n, kind, slot, sealed, expires_ms),
    )
    return True
