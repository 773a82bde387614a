"""Reports that wait for the operator, in SQL: a bounded queue of sealed bytes."""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection

from protocol import limits as L
from storage.casework import Case, Full, Waiting
from storage.engine import Engine

_CASE = "n, account, made_ms, length(sealed), closed_ms, note"


class SqlReports:
    """``casework.Reports`` over the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def post(self, account: bytes, sealed: bytes) -> int | Full:
        """See ``casework.Reports``."""

        def job(connection: Connection, now_ms: int) -> int | Full:
            return _post(connection, account, sealed, now_ms)

        return await self._engine.write(job, len(sealed))

    async def cases(self, *, closed: bool, after: int, limit: int) -> list[Case]:
        """See ``casework.Reports``."""

        def query(connection: Connection) -> list[Case]:
            text = f"SELECT {_CASE} FROM reports WHERE (closed_ms > 0) = ? AND n > ? ORDER BY n LIMIT ?"
            return [Case(*row) for row in connection.exec_driver_sql(text, (closed, after, limit))]

        return await self._engine.read(query)

    async def get(self, number: int) -> tuple[Case, bytes] | None:
        """See ``casework.Reports``."""

        def query(connection: Connection) -> tuple[Case, bytes] | None:
            row = connection.exec_driver_sql(f"SELECT sealed, {_CASE} FROM reports WHERE n = ?", (number,)).fetchone()
            return None if row is None else (Case(*row[1:]), row[0])

        return await self._engine.read(query)

    async def close(self, number: int, note: str) -> bool:
        """See ``casework.Reports``."""

        def job(connection: Connection, now_ms: int) -> bool:
            closed = "CASE closed_ms WHEN 0 THEN ? ELSE closed_ms END"
            text = f"UPDATE reports SET closed_ms = {closed}, note = ? WHERE n = ?"
            return connection.exec_driver_sql(text, (now_ms, note, number)).rowcount > 0

        return await self._engine.write(job, len(note))

    async def waiting(self) -> Waiting:
        """See ``casework.Reports``."""

        def query(connection: Connection) -> Waiting:
            text = "SELECT count(*), coalesce(min(made_ms), 0) FROM reports WHERE closed_ms = 0"
            count, oldest_ms = connection.exec_driver_sql(text).one()
            return Waiting(count, oldest_ms)

        return await self._engine.read(query)


def _post(connection: Connection, account: bytes, sealed: bytes, now_ms: int) -> int | Full:
    digest = hashlib.sha256(sealed).digest()
    known = connection.exec_driver_sql("SELECT n FROM reports WHERE digest = ?", (digest,)).scalar()
    if known is not None:
        return int(known)
    mine = "SELECT count(*) FROM reports WHERE account = ? AND closed_ms = 0"
    if connection.exec_driver_sql(mine, (account,)).scalar_one() >= L.REPORTS_WAITING_PER_ACCOUNT:
        return Full.ACCOUNT
    if connection.exec_driver_sql("SELECT count(*) FROM reports").scalar_one() >= L.REPORTS_MAX:
        oldest = "DELETE FROM reports WHERE n = (SELECT min(n) FROM reports WHERE closed_ms > 0)"
        if connection.exec_driver_sql(oldest).rowcount < 1:
            return Full.QUEUE
    number = connection.exec_driver_sql(
        "INSERT INTO reports (account, made_ms, digest, sealed, closed_ms, note) VALUES (?, ?, ?, ?, 0, '')"
        " RETURNING n",
        (account, now_ms, digest, sealed),
    ).scalar_one()
    return int(number)
