"""Set-based SQL: many keys or rows in few statements, whose texts are few enough to stay compiled."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from storage import bounds
from storage.base import Entry

Row = Sequence[Any]


def run(connection: Connection, sql: str, values: Row) -> list[Any]:
    """The rows of one statement, as plain tuples, on the driver's own connection and so in the same transaction.

    The wrappers of results cost more than such a statement does: a quarter of the time of a single append. Raises
    ``DBAPIError``, as everything else here.
    """
    driver, errors = connection.connection.driver_connection, connection.dialect.loaded_dbapi.Error
    assert driver is not None
    try:
        rows: list[Any] = driver.execute(sql, values).fetchall()
    except errors as error:
        raise DBAPIError.instance(sql, None, error, errors, dialect=connection.dialect) from error
    return rows


def pieces(items: Sequence[Any], sizes: Sequence[int]) -> Iterator[Sequence[Any]]:
    """``items`` cut into slices of exactly these sizes, large ones first; the last size is 1."""
    start = 0
    for size in sizes:
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size


def marks(columns: int, rows: int) -> str:
    """``(?,?),(?,?)``."""
    return ",".join(["(" + ",".join("?" * columns) + ")"] * rows)


def select_in(connection: Connection, sql: str, keys: Collection[Any], *before: Any) -> list[Any]:
    """All rows of ``sql``, whose ``{}`` stands for the keys of an ``IN``. Parameters ``before`` come first.

    The last piece is filled up with copies of its last key, which an ``IN`` does not mind.
    """
    found: list[Any] = []
    for piece in _bounded(keys):
        filled = piece + piece[-1:] * (_size_for(piece) - len(piece))
        text = sql.format(",".join("?" * len(filled)))
        found += run(connection, text, (*before, *filled))
    return found


def select_joined(connection: Connection, sql: str, keys: Collection[tuple[Any, ...]]) -> list[Any]:
    """All rows of ``sql``, whose ``{}`` stands for a table ``k`` of the keys: ``column1``, ``column2`` …

    A join, since SQLite reads the whole table for an ``IN`` of row values; write it ``{} CROSS JOIN …``, which is how
    SQLite is told to begin with the keys. The last piece is filled up with NULLs, which equal nothing.
    """
    found: list[Any] = []
    for piece in _bounded(keys):
        width, size = len(piece[0]), _size_for(piece)
        values = (*chain.from_iterable(piece), *[None] * (width * (size - len(piece))))
        text = sql.format(f"(VALUES {marks(width, size)}) AS k")
        found += run(connection, text, values)
    return found


def execute_in(connection: Connection, sql: str, keys: Collection[Any]) -> None:
    """Run ``sql`` for all keys, as ``select_in`` does."""
    for piece in _bounded(keys):
        filled = piece + piece[-1:] * (_size_for(piece) - len(piece))
        run(connection, sql.format(",".join("?" * len(filled))), tuple(filled))


def execute_each(connection: Connection, sql: str, rows: Collection[tuple[Any, ...]]) -> None:
    """Run ``sql`` once a row; for what is rare."""
    if rows:
        connection.exec_driver_sql(sql, list(rows))


def _bounded(keys: Collection[Any]) -> Iterator[list[Any]]:
    rest = list(keys)
    while rest:
        piece, rest = rest[: bounds.LOOKUP_KEYS[0]], rest[bounds.LOOKUP_KEYS[0] :]
        yield piece


def _size_for(piece: list[Any]) -> int:
    return min(size for size in bounds.LOOKUP_KEYS if size >= len(piece))


def insert_rows(connection: Connection, table: str, columns: str, rows: Sequence[Row], conflict: str = "") -> None:
    """Insert ``rows``; ``conflict`` is an ``ON CONFLICT`` clause."""
    width = columns.count(",") + 1
    for piece in pieces(rows, bounds.STATEMENT_ROWS):
        sql = f"INSERT INTO {table} ({columns}) VALUES {marks(width, len(piece))} {conflict}"
        run(connection, sql, tuple(chain.from_iterable(piece)))


def next_number(connection: Connection, table: str) -> int:
    """The next free short key. There is one writer, so nobody else takes it."""
    return int(connection.exec_driver_sql(f"SELECT coalesce(max(n), 0) + 1 FROM {table}").scalar_one())


def note_acks(connection: Connection, acks: Sequence[tuple[tuple[bytes, bytes], int]]) -> None:
    """Raise the positions of devices; unknown topics and devices are passed over. Items: ((topic, device), offset)."""
    if not acks:
        return
    topics = dict(tuple(row) for row in select_in(connection, TOPIC_NUMBERS, {topic for (topic, _), _ in acks}))
    devices = dict(tuple(row) for row in select_in(connection, DEVICE_NUMBERS, {device for (_, device), _ in acks}))
    rows = [
        (topics[topic], devices[device], offset)
        for (topic, device), offset in acks
        if topic in topics and device in devices
    ]
    conflict = "ON CONFLICT DO UPDATE SET offset = max(offset, excluded.offset)"
    insert_rows(connection, "acks", "topic, device, offset", rows, conflict)


def entry_of(topic: bytes, row: Any) -> Entry:
    """An entry from a row of ``ENTRY_COLUMNS``."""
    generation, offset, id_, account, device, ts, flags, fence, expires_ms, header, body, value = row
    ttl = expires_ms - ts if expires_ms else 0
    return Entry(topic, generation, offset, id_, account, device, ts, flags, fence, ttl, header, body, value)


def entry_row(topic_n: int, device_n: int, digest: bytes, entry: Entry) -> Row:
    """A row of ``ENTRY_COLUMNS_STORED``."""
    e = entry
    expires_ms = e.ts + e.ttl if e.ttl else 0
    return (
        topic_n, e.offset, e.generation, device_n, e.id, e.ts, e.flags, e.fence, expires_ms, digest, e.hash, e.header,
        e.body,
    )  # fmt: skip


def bury(connection: Connection, places: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Make tombstones of entries (topic number, offset), and free the blobs that only they held: (blobs, bytes)."""
    here = "WHERE topic = ? AND offset = ?"
    execute_each(connection, f"UPDATE entries SET header = NULL, body = NULL {here}", places)
    query = "SELECT r.blob FROM {} CROSS JOIN blob_refs r ON r.topic = k.column1 AND r.offset = k.column2"
    held = {row[0] for row in select_joined(connection, query, places)}
    if not held:
        return 0, 0
    execute_each(connection, f"DELETE FROM blob_refs {here}", places)
    return free_blobs(connection, held)


def free_blobs(connection: Connection, candidates: Collection[int]) -> tuple[int, int]:
    """Delete those of the numbered blobs that nothing refers to: (blobs, bytes)."""
    unheld = "NOT EXISTS (SELECT 1 FROM blob_refs r WHERE r.blob = blobs.n)"
    query = f"SELECT n, hash, size, account, data IS NULL FROM blobs WHERE n IN ({{}}) AND {unheld}"
    free = {row[0]: row for row in select_in(connection, query, candidates)}
    execute_in(connection, "DELETE FROM blobs WHERE n IN ({})", list(free))
    files = [(digest,) for _, digest, _, _, is_file in free.values() if is_file]
    insert_rows(connection, "blob_trash", "hash", files, "ON CONFLICT DO NOTHING")
    paid = [(size, account) for _, _, size, account, _ in free.values() if account is not None]
    execute_each(connection, "UPDATE blob_usage SET bytes = bytes - ? WHERE account = ?", paid)
    return len(free), sum(size for _, _, size, _, _ in free.values())


TOPIC_NUMBERS = "SELECT topic, n FROM topics WHERE topic IN ({})"
DEVICE_NUMBERS = "SELECT device, n FROM devices WHERE device IN ({})"
ENTRY_COLUMNS = (
    "e.generation, e.offset, e.id, a.account, d.device, e.ts, e.flags, e.fence, e.expires_ms, e.header, e.body, e.hash"
)
ENTRY_COLUMNS_STORED = (
    "topic, offset, generation, device, id, ts, flags, fence, expires_ms, digest, hash, header, body"
)  # fmt: skip
TOPIC_COLUMNS = (
    "n, topic, kind, owner, generation, head, head_hash, grp, fence, floor, ts, committed_ms, strict, reserved_by,"
    " reserved_until_ms, recovering"
)
TOPIC_CONFLICT = (
    "ON CONFLICT (n) DO UPDATE SET head = excluded.head, head_hash = excluded.head_hash, grp = excluded.grp,"
    " fence = excluded.fence, ts = excluded.ts, committed_ms = excluded.committed_ms, strict = excluded.strict,"
    " reserved_by = excluded.reserved_by, reserved_until_ms = excluded.reserved_until_ms,"
    " recovering = excluded.recovering"
)
