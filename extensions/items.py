"""The durable inbox: what waits for handlers, in the order of each conversation, and what no attempt could deal with.

Rule 1.  An item is written in the transaction that moves its conversation's position, and acknowledged to the relay
         after it. So each message is there exactly once, however often it is delivered.
Rule 2.  It goes in the transaction that writes what its handler did, or that makes a dead letter of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import msgspec
import trio

from clients.events import Received
from extensions import bounds as B
from extensions.rows import DEAD, ITEMS, Dead, Item, Order
from extensions.shelf import WorkerShelf
from extensions.store import place_of
from protocol.ids import slot_of
from protocol.messages import Body, parse


@dataclass(slots=True)
class Waiting:
    """An item in line. ``item`` None: it is read when its turn comes."""

    number: int
    topic: bytes
    ts: int
    attempts: int
    item: Item | None
    body: Body | None = None  # parsed already


@dataclass(frozen=True, slots=True)
class ItemsStatistics:
    """Depth: items that wait or run. ``oldest_ms``: when the oldest of them came, by the relay's clock; 0: none."""

    depth: int
    oldest_ms: int
    retrying: int
    dead: int


class Items:
    """What waits in the slots of this process. ``ready`` hears, after the commit, of each that may run."""

    def __init__(
        self, shelf: WorkerShelf, wanted: Callable[[Received], Body | None], ready: Callable[[Waiting], None]
    ) -> None:  # fmt: skip
        self._shelf = shelf
        self._wanted = wanted
        self._ready = ready
        self._waiting: dict[int, Waiting] = {}
        self._dead: dict[int, int] = {}  # slot → letters
        self._gone = trio.Event()
        shelf.journal.heard = self.heard

    def __len__(self) -> int:
        return len(self._waiting)

    async def room(self) -> None:
        """Wait while more waits than is kept: nothing more is read from the relay then."""
        while len(self._waiting) > B.ITEMS_MAX:
            self._gone = trio.Event()
            await self._gone.wait()

    # -- coming --------------------------------------------------------------------------------------------------------
    def heard(self, event: Received) -> None:
        """A message came; it becomes an item if somebody wants it."""
        shelf = self._shelf
        body = None if event.mine or event.account == shelf.account else self._wanted(event)
        if body is None:
            return
        item = Item(
            shelf.next_number(), event.topic, event.offset, event.id, event.account, event.device, event.ts,
            event.content, event.doubt,
        )  # fmt: skip
        self._put(item)
        waiting = self._add(item)
        waiting.body = None if waiting.item is None else body
        shelf.journal.after(lambda: self._begin(waiting))

    def load(self, slots: Collection[int]) -> None:
        """Take up what waits in slots that are ours from now on. Reads the database."""
        for slot in slots:
            self._dead[slot] = 0
        for slot in set(self._shelf.vault.places(DEAD)).intersection(slots):
            self._dead[slot] = len(self._shelf.rows(DEAD, slot, Dead))
        found: list[Item] = []
        for slot in set(self._shelf.vault.places(ITEMS)).intersection(slots):
            found += self._shelf.rows(ITEMS, slot, Item)
        for item in sorted(found, key=lambda item: item.number):
            self._ready(self._add(item))

    def forget(self, slots: Collection[int]) -> None:
        """Slots are given away: what waits in them is another process's."""
        for waiting in [w for w in self._waiting.values() if slot_of(w.topic) in slots]:
            del self._waiting[waiting.number]
        self._gone.set()
        for slot in slots:
            self._dead.pop(slot, None)

    def drop(self, topic: bytes) -> None:
        """Nothing of a conversation is to be dealt with any more: what waits goes, dead letters too."""
        for waiting in [w for w in self._waiting.values() if w.topic == topic]:
            self._drop(ITEMS, topic, waiting.number)
            del self._waiting[waiting.number]
        self._gone.set()
        slot = slot_of(topic)
        if self._dead.get(slot):
            for letter in self._shelf.rows(DEAD, slot, Dead):
                if letter.item.topic == topic:
                    self._drop(DEAD, topic, letter.item.number)
                    self._dead[slot] -= 1

    def _drop(self, place: str, topic: bytes, number: int) -> None:
        self._shelf.journal.put(place_of(place, slot_of(topic)), number.to_bytes(8, "big"), None)

    def _add(self, item: Item) -> Waiting:
        kept = item if len(self._waiting) < B.ITEMS_KEPT else None
        waiting = Waiting(item.number, item.topic, item.ts, item.attempts, kept)
        self._waiting[item.number] = waiting
        return waiting

    def _begin(self, waiting: Waiting) -> None:
        if waiting.number in self._waiting:
            self._ready(waiting)

    # -- going ---------------------------------------------------------------------------------------------------------
    def is_ours(self, waiting: Waiting) -> bool:
        """Whether it still waits here."""
        return waiting.number in self._waiting

    def read(self, waiting: Waiting) -> Item:
        """An item whose turn has come."""
        if waiting.item is not None:
            return waiting.item
        place = place_of(ITEMS, slot_of(waiting.topic))
        value = self._shelf.vault.get(place, waiting.number.to_bytes(8, "big"))
        if value is None:
            raise LookupError(f"job {waiting.number} is not in the database any more")
        return msgspec.msgpack.decode(value, type=Item)

    def body(self, waiting: Waiting, item: Item) -> object:
        """What an item says."""
        return parse(item.content).body if waiting.body is None else waiting.body

    def done(self, item: Item) -> None:
        """It was dealt with: noted in the present transaction."""
        self._waiting.pop(item.number, None)
        self._gone.set()
        self._shelf.journal.put(place_of(ITEMS, slot_of(item.topic)), item.name, None)

    def retry(self, waiting: Waiting, item: Item, attempts: int, at_ms: int) -> None:
        """It failed, and is tried again."""
        waiting.attempts = attempts
        again = msgspec.structs.replace(item, attempts=attempts, retry_at_ms=at_ms)
        waiting.item = again if waiting.item is not None else None
        self._put(again)

    def bury(self, item: Item, handler: str, attempts: int, error: str, now_ms: int) -> None:
        """It becomes a dead letter."""
        self.done(item)
        slot = slot_of(item.topic)
        self._dead[slot] = self._dead.get(slot, 0) + 1
        letter = Dead(msgspec.structs.replace(item, attempts=attempts), handler, error, now_ms)
        self._shelf.journal.put(place_of(DEAD, slot), item.name, letter)

    def obey(self, order: Order) -> bool:
        """Do what an operator decided about a dead letter. False: its slot is not ours."""
        if order.slot not in self._dead:
            return False
        name = order.number.to_bytes(8, "big")
        value = self._shelf.vault.get(place_of(DEAD, order.slot), name)
        if value is None:
            return True
        self._shelf.journal.put(place_of(DEAD, order.slot), name, None)
        self._dead[order.slot] -= 1
        if not order.skip:
            item = msgspec.msgpack.decode(value, type=Dead).item
            again = msgspec.structs.replace(item, number=self._shelf.next_number(), attempts=0, retry_at_ms=0)
            self._put(again)
            waiting = self._add(again)
            self._shelf.journal.after(lambda: self._begin(waiting))
        return True

    def _put(self, item: Item) -> None:
        self._shelf.journal.put(place_of(ITEMS, slot_of(item.topic)), item.name, item)

    def statistics(self) -> ItemsStatistics:
        """Figures of now."""
        waiting = self._waiting.values()
        oldest = min((w.ts for w in waiting), default=0)
        return ItemsStatistics(len(waiting), oldest, sum(w.attempts > 0 for w in waiting), sum(self._dead.values()))
