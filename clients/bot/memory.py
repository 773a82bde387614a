"""What a bot must still know after a crash, as rows of its vault: position, attempts, dialogs, values, timers.

Rule 1.  Rows are noted in the client's journal in the same step as the messages that a handler says, so they become
         durable in one transaction, in the order in which handlers ended.
Rule 2.  *Floor* is a number of an event below which everything is dealt with; above it each conversation has its own
         cursor. So conversations go on independently, and a start reads from the floor and skips what was dealt with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from clients.bot import bounds as B
from clients.journal import Journal
from clients.records import rows
from clients.vault import Vault

CURSORS: Final = "bot.cursors"
ATTEMPTS: Final = "bot.attempts"
DEAD: Final = "bot.dead"
DIALOGS: Final = "bot.dialogs"
VALUES: Final = "bot.values"
TIMERS: Final = "bot.timers"
POSTED: Final = "bot.posted"
META: Final = "bot.meta"
T = TypeVar("T", bound="Row")


class Row(msgspec.Struct, frozen=True):
    """Base of rows. ``key`` is their name in the vault, unique within their table."""

    @property
    def key(self) -> bytes:
        """Name of the row."""
        raise NotImplementedError


class Cursor(Row, frozen=True):
    """The last event of a conversation that was dealt with."""

    topic: bytes
    seq: int

    @property
    def key(self) -> bytes:
        """One for each conversation."""
        return self.topic


class Attempt(Row, frozen=True):
    """A task that failed and is tried again."""

    task: bytes
    count: int
    retry_at_ms: int

    @property
    def key(self) -> bytes:
        """One for each task."""
        return self.task


class Timer(Row, frozen=True):
    """Something to do later in a conversation. ``data``: MessagePack."""

    id: bytes
    at_ms: int
    topic: bytes
    name: str
    data: bytes

    @property
    def key(self) -> bytes:
        """Random."""
        return self.id


class Dead(Row, frozen=True):
    """A dead letter: what a handler could not deal with. ``seq``: of the event; 0 for a timer."""

    number: int
    seq: int
    topic: bytes
    message_id: bytes
    handler: str
    attempts: int
    error: str
    at_ms: int
    timer: Timer | None = None
    replay: bool = False  # asked for while the bot was not running

    @property
    def key(self) -> bytes:
        """By number."""
        return self.number.to_bytes(8, "big")


class Dialog(Row, frozen=True):
    """Where the talk with one account in one conversation stands. ``data``: MessagePack."""

    topic: bytes
    account: bytes
    name: str
    data: bytes

    @property
    def key(self) -> bytes:
        """By conversation and account."""
        return self.topic + self.account


class Value(Row, frozen=True):
    """One stored value; ``scope`` is a conversation, or empty for the whole bot. ``data``: MessagePack."""

    scope: bytes
    name: str
    data: bytes

    @property
    def key(self) -> bytes:
        """By scope and name."""
        return self.scope + b"\0" + self.name.encode()


class Posted(Row, frozen=True):
    """An idempotency key that was used."""

    name: bytes
    at_ms: int

    @property
    def key(self) -> bytes:
        """The key itself."""
        return self.name


class Floor(Row, frozen=True):
    """See rule 2."""

    seq: int

    @property
    def key(self) -> bytes:
        """There is one."""
        return b"floor"


TABLES: Final[dict[str, type[Row]]] = {
    CURSORS: Cursor, ATTEMPTS: Attempt, DEAD: Dead, DIALOGS: Dialog, VALUES: Value, TIMERS: Timer, POSTED: Posted,
}  # fmt: skip


def read_rows(vault: Vault, place: str, type_: type[T]) -> dict[bytes, T]:
    """The rows of a table by key. Raises ``VaultError``."""
    return {row.key: row for row in rows(vault, place, type_)}


def encode_value(value: object) -> bytes:
    """A plain value as bytes. Raises ``TypeError`` or ``ValueError`` with a sentence."""
    try:
        data = msgspec.msgpack.encode(value)
    except TypeError as error:
        raise TypeError(f"only plain values can be kept (texts, numbers, bytes, lists, dicts): {error}") from None
    if len(data) > B.VALUE_BYTES_MAX:
        raise ValueError(f"a value of {len(data)} bytes; at most {B.VALUE_BYTES_MAX} can be kept under one name")
    return data


@dataclass(frozen=True, slots=True)
class MemoryStatistics:
    """How much a bot keeps."""

    retrying: int
    dead: int
    dialogs: int
    values: int
    timers: int


class BotMemory:
    """All rows of one bot, in memory, with the journal that makes changes durable."""

    def __init__(self, vault: Vault, journal: Journal) -> None:
        """Read everything. Blocks on the disk. Raises ``VaultError``."""
        self._journal = journal
        self.cursors = read_rows(vault, CURSORS, Cursor)
        self.attempts = read_rows(vault, ATTEMPTS, Attempt)
        self.dead = read_rows(vault, DEAD, Dead)
        self.dialogs = read_rows(vault, DIALOGS, Dialog)
        self.values = read_rows(vault, VALUES, Value)
        self.timers = read_rows(vault, TIMERS, Timer)
        self.posted = read_rows(vault, POSTED, Posted)
        floor = vault.get(META, b"floor")
        self.floor = None if floor is None else msgspec.msgpack.decode(floor, type=Floor).seq
        self._rows: dict[str, dict[bytes, Any]] = {
            CURSORS: self.cursors, ATTEMPTS: self.attempts, DEAD: self.dead, DIALOGS: self.dialogs,
            VALUES: self.values, TIMERS: self.timers, POSTED: self.posted,
        }  # fmt: skip

    def prune(self, now_ms: int) -> None:
        """Delete cursors that the floor has passed, and keys that nobody will use again."""
        for cursor in [c for c in self.cursors.values() if c.seq <= (self.floor or 0)]:
            self.put(CURSORS, cursor.key, None)
        for posted in [p for p in self.posted.values() if p.at_ms < now_ms - B.POSTED_KEPT_MS]:
            self.put(POSTED, posted.key, None)

    def statistics(self) -> MemoryStatistics:
        """Figures of now."""
        return MemoryStatistics(
            len(self.attempts), len(self.dead), len(self.dialogs), len(self.values), len(self.timers)
        )  # fmt: skip

    def rows(self, place: str) -> Mapping[bytes, Row]:
        """A table; ``put`` changes it."""
        return self._rows[place]

    def put(self, place: str, key: bytes, row: Row | None) -> None:
        """Set a row, or delete it (None), with the journal's next transaction."""
        rows = self._rows[place]
        if row is not None:
            rows[key] = row
        elif rows.pop(key, None) is None:
            return
        self._journal.put(place, key, row)

    def cursor(self, topic: bytes) -> int:
        """The last event of a conversation that was dealt with."""
        cursor = self.cursors.get(topic)
        return max(self.floor or 0, 0 if cursor is None else cursor.seq)

    def advance(self, topic: bytes, seq: int) -> None:
        """An event of a conversation was dealt with."""
        self.put(CURSORS, topic, Cursor(topic, seq))
        self.put(ATTEMPTS, seq.to_bytes(8, "big"), None)

    def begin(self, seq: int) -> None:
        """The first start of a bot: everything up to an event is no business of its."""
        self.floor = seq
        self._journal.put(META, b"floor", Floor(seq))

    def save_floor(self, floor: Callable[[], int]) -> None:
        """Write the floor with the next transaction; it is asked for then."""

        def write() -> None:
            found = max(self.floor or 0, floor())
            if found != self.floor:
                self.floor = found
                self._journal.put(META, b"floor", Floor(found))

        self._journal.put_late(("bot", "floor"), write)

    def next_dead(self) -> int:
        """A number for a new dead letter."""
        return 1 + max((row.number for row in self.dead.values()), default=0)
