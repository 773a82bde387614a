"""Logs over the engine: appends, reads, access lists, reservations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from protocol.frames import GapReason, Role
from protocol.ids import PUBLIC_KINDS, TopicKind
from storage import bounds, retention, sql
from storage.base import Append, Entry, Freed, Hole, Outcome, Page, Refused, TopicState
from storage.batch import TOPICS, topic_facts
from storage.decisions import Restored
from storage.engine import Engine
from storage.facts import LEFT
from storage.ordering import CONVERSATION, decide_reserve


class SqlTopics:
    """``base.Topics`` over the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def append_nowait(self, intent: Append, done: Callable[[Outcome], None]) -> None:
        """See ``base.Topics``."""
        self._engine.append_nowait(intent, done)

    async def append(self, intent: Append) -> Outcome:
        """Append and wait; cancelled: the outcome is unknown."""
        return await self._engine.append(intent)

    async def state(self, topic: bytes, account: bytes) -> TopicState | None:
        """The topic as the account may see it; None: unknown, or not its own."""
        return (await self.states([topic], account))[0]

    async def states(self, topics: Sequence[bytes], account: bytes) -> list[TopicState | None]:
        """The same for many, in order, from one snapshot."""
        return await self._engine.read(lambda connection: _states(connection, topics, account))

    async def read(self, topic: bytes, after: int, entries_max: int, bytes_max: int) -> Page:
        """Items after ``after``: at most ``entries_max``, and none begun beyond ``bytes_max`` of content.

        Raises ``LookupError`` if the topic is unknown.
        """
        return await self._engine.read(lambda connection: _page(connection, topic, after, entries_max, bytes_max))

    async def members(self, topic: bytes) -> list[tuple[bytes, int, int]]:
        """(account, role, since), by account; empty if the topic is unknown."""
        query = (
            "SELECT a.account, m.role, m.since FROM members m JOIN accounts a ON a.n = m.account"
            " WHERE m.topic = (SELECT n FROM topics WHERE topic = ?) AND m.role > 0 ORDER BY a.account"
        )

        def run(connection: Connection) -> list[tuple[bytes, int, int]]:
            return [(row[0], row[1], row[2]) for row in connection.exec_driver_sql(query, (topic,))]

        return await self._engine.read(run)

    async def of_account(self, account: bytes, after: bytes, limit: int) -> list[tuple[bytes, int, int]]:
        """(topic, kind, role), by topic; see ``base.Topics``."""
        kinds = ",".join(str(int(kind)) for kind in sorted(CONVERSATION))
        query = (
            "SELECT t.topic, t.kind, m.role FROM members m CROSS JOIN topics t ON t.n = m.topic"
            " WHERE m.account = (SELECT n FROM accounts WHERE account = ?) AND m.role > 0 AND t.topic > ?"
            f" AND t.kind IN ({kinds}) ORDER BY t.topic LIMIT ?"
        )

        def run(connection: Connection) -> list[tuple[bytes, int, int]]:
            return [(row[0], row[1], row[2]) for row in connection.exec_driver_sql(query, (account, after, limit))]

        return await self._engine.read(run)

    async def acquainted(self, account: bytes, others: Sequence[bytes], members_max: int) -> set[bytes]:
        """See ``base.Topics``."""
        kinds = ",".join(str(int(kind)) for kind in sorted(CONVERSATION))
        query = (
            "SELECT DISTINCT a.account FROM accounts a CROSS JOIN members m ON m.account = a.n AND m.role > 0"
            " CROSS JOIN members mine ON mine.topic = m.topic"
            " AND mine.account = (SELECT n FROM accounts WHERE account = ?)"
            f" CROSS JOIN topics t ON t.n = m.topic AND t.kind IN ({kinds})"
            " WHERE mine.role > 0 AND (SELECT count(*) FROM members c WHERE c.topic = m.topic AND c.role > 0) <= ?"
            " AND a.account IN ({})"
        )

        def run(connection: Connection) -> set[bytes]:
            return {row[0] for row in sql.select_in(connection, query, set(others), account, members_max)}

        return await self._engine.read(run)

    async def reserve(self, topic: bytes, account: bytes, device: bytes) -> int | Refused:
        """Reserve the next commit; see ``ordering.decide_reserve``."""
        return await self._engine.write(lambda connection, now_ms: _reserve(connection, topic, account, device, now_ms))

    def acknowledge_nowait(self, topic: bytes, device: bytes, offset: int) -> None:
        """Note a position of a device."""
        self._engine.acknowledge_nowait(topic, device, offset)

    async def retain(self, before_ms: int, now_ms: int) -> Freed:
        """See ``base.Topics`` and ``retention``."""
        return await retention.retain(self._engine, before_ms, now_ms)


def _states(connection: Connection, topics: Sequence[bytes], account: bytes) -> list[TopicState | None]:
    query = (
        "SELECT t.topic, t.kind, t.generation, t.head, t.head_hash, t.grp, t.fence, t.floor, m.role, m.since"
        " FROM topics t LEFT JOIN members m ON m.topic = t.n"
        " AND m.account = (SELECT n FROM accounts WHERE account = ?) WHERE t.topic IN ({})"
    )
    found: dict[bytes, TopicState] = {}
    for topic, kind, generation, head, value, group, fence, floor, role, since in sql.select_in(
        connection, query, set(topics), account
    ):
        if kind in PUBLIC_KINDS:  # everybody reads
            role, since = role or Role.READER, since or 0
        if role is not None and role != LEFT:
            found[topic] = TopicState(
                topic, TopicKind(kind), generation, head, value, group, fence, floor, role, since
            )  # fmt: skip
    for topic, restores in _restores(connection, [s.topic for s in found.values() if s.generation > 1]).items():
        found[topic] = replace(found[topic], restores=restores)
    return [found.get(topic) for topic in topics]


def _restores(connection: Connection, topics: Sequence[bytes]) -> dict[bytes, tuple[Restored, ...]]:
    query = (
        "SELECT t.topic, r.generation, r.base, r.hash FROM topics t CROSS JOIN restores r ON r.topic = t.n"
        " WHERE t.topic IN ({})"
    )
    found: dict[bytes, list[Restored]] = {}
    for topic, generation, base, value in sql.select_in(connection, query, topics):
        found.setdefault(topic, []).append(Restored(generation, base, value))
    return {topic: tuple(sorted(rows, key=lambda row: row.generation)) for topic, rows in found.items()}


def _page(connection: Connection, topic: bytes, after: int, entries_max: int, bytes_max: int) -> Page:
    row = connection.exec_driver_sql("SELECT n, generation, head FROM topics WHERE topic = ?", (topic,)).first()
    if row is None:
        raise LookupError("no such topic")
    topic_n, generation, head = row
    items: list[Entry | Hole] = []
    size, last, more = 0, after, True
    while more and len(items) < max(entries_max, 1):
        rows = _rows(connection, topic_n, last)
        more = len(rows) == bounds.READ_ROWS
        for fields in rows:
            entry, place = None, fields[1]
            if fields[10] is not None:
                entry = sql.entry_of(topic, fields)
                size += len(entry.header) + len(entry.body)
            if items and (size > bytes_max or len(items) >= entries_max):
                return Page(generation, head, tuple(items))
            if entry is None:
                place, value = _end_of_hole(connection, topic_n, place, head)
                items.append(Hole(last + 1, place, GapReason.RETENTION, value))
                last, more = place, place < head
                break
            items.append(entry)
            last = place
    return Page(generation, head, tuple(items))


def _rows(connection: Connection, topic_n: int, after: int) -> Sequence[Any]:
    query = (
        f"SELECT {sql.ENTRY_COLUMNS} FROM entries e CROSS JOIN devices d ON d.n = e.device"
        " CROSS JOIN accounts a ON a.n = d.account WHERE e.topic = ? AND e.offset > ? ORDER BY e.offset LIMIT ?"
    )
    return connection.exec_driver_sql(query, (topic_n, after, bounds.READ_ROWS)).fetchall()


def _end_of_hole(connection: Connection, topic_n: int, offset: int, head: int) -> tuple[int, bytes]:
    """The last tombstone of the run that ``offset`` is in, and the chain hash there."""
    query = "SELECT min(offset) FROM entries WHERE topic = ? AND offset > ? AND body IS NOT NULL"
    following = connection.exec_driver_sql(query, (topic_n, offset)).scalar()
    last = head if following is None else following - 1
    value = connection.exec_driver_sql(
        "SELECT hash FROM entries WHERE topic = ? AND offset = ?", (topic_n, last)
    ).scalar_one()
    return last, value


def _reserve(connection: Connection, topic: bytes, account: bytes, device: bytes, now_ms: int) -> int | Refused:
    rows = sql.select_in(connection, TOPICS, [topic])
    facts = topic_facts(rows[0]) if rows else None
    topic_n = rows[0][0] if rows else 0
    query = (
        "SELECT d.n, a.n, d.place FROM devices d JOIN accounts a ON a.n = d.account"
        " WHERE d.device = ? AND a.account = ?"
    )
    found = connection.exec_driver_sql(query, (device, account)).first()
    device_n, account_n, place = found if found is not None else (0, 0, -1)
    role = connection.exec_driver_sql(
        "SELECT role FROM members WHERE topic = ? AND account = ?", (topic_n, account_n)
    ).scalar()
    made_ms = connection.exec_driver_sql(
        "SELECT made_ms FROM reservations WHERE topic = ? AND device = ?", (topic_n, device_n)
    ).scalar()
    until_ms = decide_reserve(facts, role or LEFT, place >= 0, made_ms, device, now_ms)
    if isinstance(until_ms, Refused) or facts is None or until_ms == facts.reserved_until_ms:
        return until_ms
    connection.exec_driver_sql(
        "UPDATE topics SET reserved_by = ?, reserved_until_ms = ? WHERE n = ?", (device, until_ms, topic_n)
    )
    sql.insert_rows(
        connection, "reservations", "topic, device, made_ms", [(topic_n, device_n, now_ms)],
        "ON CONFLICT DO UPDATE SET made_ms = excluded.made_ms",
    )  # fmt: skip
    return until_ms
