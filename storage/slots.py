"""Leases of a worker's slots: tokens, and what a worker serves."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from protocol.ids import TopicKind
from storage import sql
from storage.engine import Engine
from storage.leases import Lag, Served

#: What is delivered by slot: a worker's self topic and feed are read by name, as everybody's are.
SERVED_KINDS = (TopicKind.GROUP, TopicKind.PAIR, TopicKind.INBOX)
_KINDS = ",".join(str(int(kind)) for kind in SERVED_KINDS)
_CURSOR = "max(coalesce(k.offset, 0), m.since)"
_SERVED = (
    "FROM members m CROSS JOIN topics t ON t.n = m.topic LEFT JOIN acks k ON k.topic = t.n"
    " AND k.device = (SELECT n FROM devices WHERE device = ?)"
    f" WHERE m.account = (SELECT n FROM accounts WHERE account = ?) AND m.role > 0 AND t.kind IN ({_KINDS})"
)


class SqlSlots:
    """``base.Slots`` over the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def grant(self, account: bytes, slots: Sequence[int]) -> dict[int, int]:
        """See ``base.Slots``."""
        wanted = tuple(dict.fromkeys(slots))
        return await self._engine.write(lambda connection, _: _grant(connection, account, wanted))

    async def served(self, account: bytes, device: bytes) -> list[Served]:
        """See ``base.Slots``."""
        query = f"SELECT t.topic, t.generation, t.head, {_CURSOR} {_SERVED}"

        def run(connection: Connection) -> list[Served]:
            return [Served(*row) for row in connection.exec_driver_sql(query, (device, account))]

        return await self._engine.read(run)

    async def lag(self, account: bytes, device: bytes) -> Lag:
        """See ``base.Slots``."""
        query = f"SELECT count(*), coalesce(sum(t.head - {_CURSOR}), 0) {_SERVED} AND t.head > {_CURSOR}"

        def run(connection: Connection) -> Lag:
            return Lag(*connection.exec_driver_sql(query, (device, account)).one())

        return await self._engine.read(run)


def _grant(connection: Connection, account: bytes, slots: Sequence[int]) -> dict[int, int]:
    account_n = connection.exec_driver_sql("SELECT n FROM accounts WHERE account = ?", (account,)).scalar()
    if account_n is None:
        return {}
    rows = [(account_n, slot, 1) for slot in slots]
    sql.insert_rows(connection, "slots", "account, slot, token", rows, "ON CONFLICT DO UPDATE SET token = token + 1")
    query = "SELECT slot, token FROM slots WHERE account = ?"
    held = {row[0]: row[1] for row in connection.exec_driver_sql(query, (account_n,))}
    return {slot: held[slot] for slot in slots}
