"""Rows of a worker's database, and a table of which only what is in use is in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, MutableMapping
from typing import Final, TypeVar

import msgspec

ITEMS: Final = "items"  # by slot, by number: the durable inbox
DEAD: Final = "dead"  # by slot, by number
ORDERS: Final = "orders"  # by number: what an operator decided about a dead letter
INBOXES: Final = "inboxes"  # by slot, by topic: how far an inbox was read
T = TypeVar("T")


class Item(msgspec.Struct, frozen=True):
    """A message that waits for its handler. ``number`` grows in the order of arrival within a conversation."""

    number: int
    topic: bytes
    offset: int
    id: bytes
    account: bytes
    device: bytes
    ts: int  # by the relay's clock, Unix ms
    content: bytes
    doubt: str = ""
    attempts: int = 0
    retry_at_ms: int = 0

    @property
    def name(self) -> bytes:
        """Of the row."""
        return self.number.to_bytes(8, "big")

    def __repr__(self) -> str:
        return f"Item({self.number}, {self.id.hex()})"  # what people say is in no traceback


class Dead(msgspec.Struct, frozen=True):
    """A dead letter: an item that no attempt could deal with, and why."""

    item: Item
    handler: str
    error: str
    at_ms: int


class Order(msgspec.Struct, frozen=True):
    """Run a dead letter again, or forget it."""

    number: int
    slot: int
    skip: bool


class Lazy(MutableMapping[bytes, T]):
    """Rows that are read when they are asked for. ``values`` and iteration see only those in memory.

    ``load`` reads one, or says None. What was changed and is not written yet must not be dropped: see ``trim``.
    """

    def __init__(self, load: Callable[[bytes], T | None]) -> None:
        self._load = load
        self._rows: OrderedDict[bytes, T] = OrderedDict()

    def __getitem__(self, key: bytes) -> T:
        row = self._rows.get(key)
        if row is None:
            row = self._load(key)
            if row is None:
                raise KeyError(key)
            self._rows[key] = row
        self._rows.move_to_end(key)
        return row

    def __setitem__(self, key: bytes, row: T) -> None:
        self._rows[key] = row
        self._rows.move_to_end(key)

    def __delitem__(self, key: bytes) -> None:
        self._rows.pop(key, None)

    def __iter__(self) -> Iterator[bytes]:
        return iter(list(self._rows))

    def __len__(self) -> int:
        return len(self._rows)

    def trim(self, most: int, keep: Callable[[bytes], bool]) -> None:
        """Drop those unused for longest beyond ``most``, but for what must stay."""
        for key in list(self._rows)[: max(len(self._rows) - most, 0)]:
            if not keep(key):
                del self._rows[key]

    def forget(self, topics: Collection[int], slot_of: Callable[[bytes], int]) -> None:
        """Drop the rows of some slots."""
        for key in [key for key in self._rows if slot_of(key) in topics]:
            del self._rows[key]
