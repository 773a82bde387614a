"""Retention: old bodies go, the order that they were in stays.

* An application entry loses its body when it is older than ``before_ms`` or past its ttl. What stays is a tombstone: it
  keeps the chain hash for the gap, and what its id meant.
* A *kept* entry (commit, access change, device list, Welcome) is needed by every device that has not seen it: it stays
  until all listed devices of the members have acknowledged past it. A device unseen for ``DEVICE_UNSEEN_MS_MAX`` does
  not count: who comes back later is re-admitted.
* A tombstone goes altogether when ids of its age are refused anyway, unless it is the last of its run: a gap ends with
  the chain hash there.
* Blobs that nothing refers to, key packages and reservations past their time go too.

It works in short transactions, so that appends come in between. Pages that become free are used again by what is
written next; the file does not shrink (that needs a copy of it: ``VACUUM`` with the relay stopped).
"""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import Connection

from protocol.limits import (
    BLOB_UNLINKED_MS,
    DEVICE_UNSEEN_MS_MAX,
    KEY_PACKAGE_LIFE_S,
    RESERVE_EVERY_MS,
)
from storage import bounds, sql
from storage.base import Freed
from storage.blobs import empty_trash
from storage.engine import Engine
from storage.facts import FORGET_MS
from storage.flags import KEPT

NOTHING: Final = Freed(0, 0, 0, 0)


class _Old(NamedTuple):
    """An entry that still has its body."""

    topic: int
    offset: int
    bytes: int


class _Place(NamedTuple):
    """How far a run has come."""

    topic: int
    offset: int


async def retain(engine: Engine, before_ms: int, now_ms: int) -> Freed:
    """One run over the whole store; what it removed. Files of freed blobs are unlinked when it returns."""
    total, more = NOTHING, True
    while more:
        freed, more = await engine.write(lambda connection, _: _expire(connection, now_ms))
        total = _sum(total, freed)
    place: _Place | None = _Place(0, -1)
    while place is not None:
        freed, place = await engine.write(partial(_age, start=place, before_ms=before_ms, now_ms=now_ms))
        total = _sum(total, freed)
    more = True
    while more:
        freed, more = await engine.write(lambda connection, _: _sweep(connection, now_ms))
        total = _sum(total, freed)
    await empty_trash(engine)
    return total


def _sum(one: Freed, other: Freed) -> Freed:
    return Freed(
        one.entries + other.entries, one.bytes + other.bytes, one.blobs + other.blobs, one.blob_bytes + other.blob_bytes
    )


def _expire(connection: Connection, now_ms: int) -> tuple[Freed, bool]:
    """Entries past their ttl; True: there may be more."""
    rows = connection.exec_driver_sql(
        "SELECT topic, offset, length(header) + length(body) FROM entries"
        " WHERE expires_ms > 0 AND body IS NOT NULL AND expires_ms <= ? AND flags & ? = 0 LIMIT ?",
        (now_ms, KEPT, bounds.RETAIN_ROWS),
    ).fetchall()
    return _bury(connection, [_Old(*row) for row in rows]), len(rows) == bounds.RETAIN_ROWS


def _age(
    connection: Connection, _: int, *, start: _Place, before_ms: int, now_ms: int
) -> tuple[Freed, _Place | None]:  # fmt: skip
    """Go on from ``start`` until a transaction's share of rows was looked at; where the next one starts, if it must."""
    total, budget = NOTHING, bounds.RETAIN_ROWS
    topic_n, after = start
    while budget > 0:
        query = "SELECT n, head, floor FROM topics WHERE n >= ? ORDER BY n LIMIT 1"
        row = connection.exec_driver_sql(query, (topic_n,)).first()
        if row is None:
            return total, None
        if row[0] != topic_n:
            topic_n, after = row[0], -1
        _, head, floor = row
        old, looked, last = _old(connection, topic_n, max(after, floor), before_ms, now_ms, head)
        total = _sum(total, _bury(connection, old))
        budget -= looked + 1
        if looked == bounds.RETAIN_ROWS:
            return total, _Place(topic_n, last)
        budget -= _forget(connection, topic_n, now_ms - FORGET_MS)
        _raise_floor(connection, topic_n, head, floor)
        topic_n, after = topic_n + 1, -1
    return total, _Place(topic_n, after)


def _raise_floor(connection: Connection, topic_n: int, head: int, floor: int) -> None:
    query = "SELECT min(offset) FROM entries WHERE topic = ? AND offset > ? AND body IS NOT NULL"
    alive = connection.exec_driver_sql(query, (topic_n, floor)).scalar()
    if alive != floor + 1:
        values = (head if alive is None else alive - 1, topic_n)
        connection.exec_driver_sql("UPDATE topics SET floor = ? WHERE n = ?", values)


def _old(
    connection: Connection, topic_n: int, after: int, before_ms: int, now_ms: int, head: int
) -> tuple[list[_Old], int, int]:  # fmt: skip
    """Removable entries among the next rows after ``after``, how many were looked at, and the last of them."""
    rows = connection.exec_driver_sql(
        "SELECT offset, ts, flags, length(header) + length(body) FROM entries WHERE topic = ? AND offset > ?"
        " ORDER BY offset LIMIT ?",
        (topic_n, after, bounds.RETAIN_ROWS),
    )
    passed: int | None = None
    old, looked = [], 0
    with rows:
        for offset, ts, flags, size in rows:
            if ts >= before_ms:  # times never go back within a log
                break
            looked, after = looked + 1, offset
            if size is None:
                continue
            if flags & KEPT and passed is None:
                passed = _passed(connection, topic_n, now_ms, head)
            if not flags & KEPT or offset <= (passed or 0):
                old.append(_Old(topic_n, offset, size))
    return old, looked, after


def _passed(connection: Connection, topic_n: int, now_ms: int, head: int) -> int:
    """The offset that every listed device of the members has passed, but for those unseen for long."""
    least = connection.exec_driver_sql(
        "SELECT min(max(coalesce(k.offset, 0), m.since)) FROM members m"
        " JOIN devices d ON d.account = m.account AND d.place >= 0 AND d.seen_ms >= ?"
        " LEFT JOIN acks k ON k.topic = m.topic AND k.device = d.n WHERE m.topic = ? AND m.role > 0",
        (now_ms - DEVICE_UNSEEN_MS_MAX, topic_n),
    ).scalar()
    return head if least is None else int(least)


def _bury(connection: Connection, old: list[_Old]) -> Freed:
    if not old:
        return NOTHING
    blobs, blob_bytes = sql.bury(connection, [(entry.topic, entry.offset) for entry in old])
    return Freed(len(old), sum(entry.bytes for entry in old), blobs, blob_bytes)


def _forget(connection: Connection, topic_n: int, before_ms: int) -> int:
    """Delete tombstones older than ids may be, but for the last of each run; how many rows were looked at."""
    after, looked, more = -1, 0, True
    while more:
        rows = connection.exec_driver_sql(
            "SELECT offset, ts, body IS NULL FROM entries WHERE topic = ? AND offset > ? ORDER BY offset LIMIT ?",
            (topic_n, after, bounds.RETAIN_ROWS),
        )
        gone, seen, candidate, more = [], 0, None, False
        with rows:
            for offset, ts, dead in rows:
                if dead and candidate is not None:
                    gone.append((topic_n, candidate))
                if ts >= before_ms:
                    break
                candidate, seen = (offset if dead else None), seen + 1
            else:
                more = seen == bounds.RETAIN_ROWS
                after = offset - 1 if more else after
        sql.execute_each(connection, "DELETE FROM entries WHERE topic = ? AND offset = ?", gone)
        looked += seen
    return looked


def _sweep(connection: Connection, now_ms: int) -> tuple[Freed, bool]:
    """What belongs to no log; True: there may be more."""
    life_ms = KEY_PACKAGE_LIFE_S * 1000
    connection.exec_driver_sql("DELETE FROM key_packages WHERE added_ms < ?", (now_ms - life_ms,))
    connection.exec_driver_sql("DELETE FROM reservations WHERE made_ms < ?", (now_ms - RESERVE_EVERY_MS,))
    unheld = "NOT EXISTS (SELECT 1 FROM blob_refs r WHERE r.blob = blobs.n)"
    query = f"SELECT n FROM blobs WHERE added_ms < ? AND {unheld} LIMIT ?"
    rows = connection.exec_driver_sql(query, (now_ms - BLOB_UNLINKED_MS, bounds.RETAIN_BLOBS)).fetchall()
    return Freed(0, 0, *sql.free_blobs(connection, [row[0] for row in rows])), len(rows) == bounds.RETAIN_BLOBS
