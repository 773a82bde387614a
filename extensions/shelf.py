"""What a worker's client keeps in memory: only what is in use, only of the slots that this process holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final, TypeVar

import msgspec

from clients import records as R
from clients.events import AnyEvent, AnyNotice, Received
from clients.groups import NOW, Groups
from clients.journal import Journal
from clients.shelf import Shelf, topic_name
from extensions import bounds as B
from extensions.rows import INBOXES, Lazy
from extensions.store import WorkerBatch, WorkerVault, Write, place_of
from protocol.identity import DeviceList, open_signed
from protocol.ids import Entropy, inbox_topic, slot_inbox, slot_of
from protocol.limits import SLOTS
from protocol.mls import Group, GroupParts
from protocol.position import SeenWindow

T = TypeVar("T")
BY_TOPIC: Final = frozenset({R.CONVERSATIONS, R.GROUPS, R.RATCHETS})
_LAZY: Final = frozenset({R.CONVERSATIONS, R.OUTBOX, R.WELCOMES, R.BOXES, R.PACKAGES, R.LISTS})


class WorkerJournal(Journal):
    """The journal of a worker: rows by slot, no history of events, and writes to the worker's own tables."""

    def __init__(self, vault: WorkerVault, publish: Callable[[list[AnyEvent | AnyNotice]], None]) -> None:
        super().__init__(vault, publish)
        self.written: Callable[[], None] = lambda: None  # called after each transaction
        self.heard: Callable[[Received], None] = lambda event: None  # a message came: in this transaction
        self.witnessed: Callable[[AnyEvent], None] = lambda event: None  # anything else, likewise

    def _new_batch(self) -> WorkerBatch:
        return WorkerBatch()

    def put(self, place: str, name: bytes, value: msgspec.Struct | bytes | None) -> None:
        """See ``Journal``; rows that are named by their topic go to its slot's table."""
        super().put(place_of(place, slot_of(name)) if place in BY_TOPIC else place, name, value)

    def write(self, writes: list[Write]) -> None:
        """Change the worker's own tables with the next transaction."""
        assert isinstance(self._batch, WorkerBatch)
        self._batch.writes += writes
        self._kick.set()

    def tell(self, event: AnyEvent | AnyNotice) -> None:
        """Keep a message as a job; tell the host anything else after the commit. A worker keeps no history."""
        if isinstance(event, Received):
            self.heard(event)
            return
        if isinstance(event, AnyEvent):
            self.witnessed(event)
        self._told.append(event)
        self._kick.set()

    def is_dirty(self, key: object) -> bool:
        """Whether something under this key is noted and not written."""
        return key in self._before

    async def commit(self) -> None:
        """See ``Journal``."""
        await super().commit()
        self.written()


class WorkerGroups(Groups):
    """MLS states, the most recently used of them in memory."""

    def get(self, topic: bytes, slot: bytes = NOW) -> Group | None:
        """See ``Groups``."""
        name, home = topic + slot, slot_of(topic)
        if name in self._cache:
            group = self._cache.pop(name)
        else:
            epoch = self._vault.get(place_of(R.GROUPS, home), name)
            ratchet = self._vault.get(place_of(R.RATCHETS, home), name)
            group = None if epoch is None or ratchet is None else Group.from_parts(GroupParts(epoch, ratchet))
        self._cache[name] = group
        return group

    def trim(self, most: int, keep: Callable[[bytes], bool]) -> None:
        """Drop those unused for longest beyond ``most``, but for what must stay."""
        for name in list(self._cache)[: max(len(self._cache) - most, 0)]:
            if not keep(name):
                del self._cache[name]

    def forget_slots(self, slots: Collection[int]) -> None:
        """Drop the states of some slots from memory."""
        for name in [name for name in self._cache if slot_of(name) in slots]:
            del self._cache[name]

    @property
    def loaded(self) -> int:
        """How many are in memory."""
        return len(self._cache)


class Packages(Lazy[R.Package]):
    """Our key packages; any process may have made them."""

    def __init__(self, vault: WorkerVault) -> None:
        super().__init__(lambda ref: _read(vault, R.PACKAGES, ref, R.Package))
        self._vault = vault

    def __contains__(self, ref: object) -> bool:
        return isinstance(ref, bytes) and self.get(ref) is not None

    def values(self) -> Iterator[R.Package]:  # type: ignore[override]
        """All that there are: they are a few dozen, and seldom wanted."""
        found = {package.ref: package for package in R.rows(self._vault, R.PACKAGES, R.Package)} | self._rows
        return iter(list(found.values()))


class WorkerShelf(Shelf):
    """See the module."""

    vault: WorkerVault
    journal: WorkerJournal
    groups: WorkerGroups

    def __init__(
        self, vault: WorkerVault, publish: Callable[[list[AnyEvent | AnyNotice]], None], clock_ms: Callable[[], int],
        entropy: Entropy,
    ) -> None:  # fmt: skip
        super().__init__(vault, publish, clock_ms, entropy)
        self.journal = WorkerJournal(vault, publish)
        self.journal.written = self.trim
        self.groups = WorkerGroups(vault, self.journal)
        self.conversations = Lazy(self._conversation)  # type: ignore[assignment]
        self.lists = Lazy(self._list)  # type: ignore[assignment]
        self.packages = Packages(vault)  # type: ignore[assignment]
        self.windows: dict[bytes, SeenWindow] = {}
        self.inboxes = {slot_inbox(self.account, slot): slot for slot in range(SLOTS)}
        self.inboxes[self.inbox_topic] = slot_of(self.inbox_topic)
        self._cursors: dict[bytes, R.InboxCursor] = {}
        self._homes: dict[tuple[str, int], int] = {}  # (place, number) → slot of rows that no topic of ours owns

    def _all(self, place: str, type_: type[T]) -> list[T]:
        return [] if place in _LAZY else super()._all(place, type_)

    def _conversation(self, topic: bytes) -> R.Conversation | None:
        if slot_of(topic) not in self.vault.held:
            return None
        return _read(self.vault, place_of(R.CONVERSATIONS, slot_of(topic)), topic, R.Conversation)

    def _list(self, account: bytes) -> DeviceList | None:
        known = _read(self.vault, R.LISTS, account, R.KnownList)
        return None if known is None else open_signed(known.signed)

    # -- slots ---------------------------------------------------------------------------------------------------------
    def begin_block(self, number: int) -> None:
        """Numbers of rows from here on are this process's."""
        self._number = max(self._number, number)

    def rows(self, place: str, slot: int, type_: type[T]) -> list[T]:
        """The rows of a slot's table. Reads the database."""
        return R.rows(self.vault, place_of(place, slot), type_)

    def forget_slots(self, slots: Collection[int]) -> None:
        """Drop what is in memory of some slots: all of it is written."""
        self.conversations.forget(slots, slot_of)  # type: ignore[attr-defined]
        self.groups.forget_slots(slots)
        for topic in [topic for topic in self.windows if slot_of(topic) in slots]:
            del self.windows[topic]
        for topic in [topic for topic in self._cursors if self.inboxes[topic] in slots]:
            del self._cursors[topic]
        for table in (self.outgoing, self.welcomes, self.boxes):
            gone = [number for (_, number), slot in self._homes.items() if slot in slots and number in table]
            for number in gone:
                del table[number]
        self._homes = {key: slot for key, slot in self._homes.items() if slot not in slots}

    def trim(self) -> None:
        """Drop what was not used for longest. Only right after a transaction: nothing is under way then."""
        dirty = self.journal.is_dirty
        self.conversations.trim(B.ROWS_LOADED, lambda topic: dirty(("talk", topic)))  # type: ignore[attr-defined]
        self.lists.trim(B.ROWS_LOADED, lambda account: False)  # type: ignore[attr-defined]
        self.groups.trim(B.GROUPS_LOADED, dirty)
        for account in list(self._signed_lists)[: max(len(self._signed_lists) - B.ROWS_LOADED, 0)]:
            del self._signed_lists[account]
        for topic in list(self.windows)[: max(len(self.windows) - B.GROUPS_LOADED, 0)]:
            del self.windows[topic]

    # -- inboxes -------------------------------------------------------------------------------------------------------
    def cursor(self, topic: bytes) -> R.InboxCursor:
        """Where we are in one of our inboxes."""
        found = self._cursors.get(topic)
        if found is None:
            found = _read(self.vault, place_of(INBOXES, self.inboxes[topic]), topic, R.InboxCursor)
            found = self._cursors[topic] = found or R.InboxCursor()
        return found

    def select(self, topic: bytes) -> None:
        """What follows is about this inbox."""
        self.inbox_topic, self.inbox = topic, self.cursor(topic)

    def save_inbox(self) -> None:
        """Write the position in the inbox that was selected."""
        topic, row = self.inbox_topic, self.inbox
        place = place_of(INBOXES, self.inboxes[topic])
        self.journal.put_late(("inbox", topic), lambda: self.journal.put(place, topic, row))

    @property
    def main_inbox(self) -> bytes:
        """The inbox that is not a slot's: of device lists, and of what nobody could place."""
        return inbox_topic(self.account)

    # -- rows by number ------------------------------------------------------------------------------------------------
    def settle(self, place: str, number: int, slot: int) -> str:
        """Note where a numbered row lives; its table."""
        return place_of(place, self._homes.setdefault((place, number), slot))

    def _home(self, topic: bytes) -> int:
        """The slot of a row: that of its topic, or of anything that is ours where that is somebody else's."""
        slot = slot_of(topic)
        return slot if slot in self.vault.held else min(self.vault.held, default=slot)

    def save_outgoing(self, row: R.Outgoing) -> None:
        """See ``Shelf``."""
        self.outgoing[row.number] = row
        self.journal.put(self.settle(R.OUTBOX, row.number, self._home(row.topic)), topic_name(row.number), row)

    def drop_outgoing(self, row: R.Outgoing) -> None:
        """See ``Shelf``."""
        self.outgoing.pop(row.number, None)
        self.journal.put(self.settle(R.OUTBOX, row.number, self._home(row.topic)), topic_name(row.number), None)
        self._homes.pop((R.OUTBOX, row.number), None)

    def save_welcome(self, welcome: R.PendingWelcome) -> None:
        """See ``Shelf``."""
        self.welcomes[welcome.number] = welcome
        place = self.settle(R.WELCOMES, welcome.number, self._home(welcome.topic))
        self.journal.put(place, topic_name(welcome.number), welcome)

    def drop_welcome(self, welcome: R.PendingWelcome) -> None:
        """See ``Shelf``."""
        self.welcomes.pop(welcome.number, None)
        place = self.settle(R.WELCOMES, welcome.number, self._home(welcome.topic))
        self.journal.put(place, topic_name(welcome.number), None)
        self._homes.pop((R.WELCOMES, welcome.number), None)

    def save_box(self, box: R.PendingBox) -> None:
        """See ``Shelf``."""
        self.boxes[box.number] = box
        place = self.settle(R.BOXES, box.number, self._home(self.inbox_topic))
        self.journal.put(place, topic_name(box.number), box)

    def drop_box(self, box: R.PendingBox) -> None:
        """See ``Shelf``."""
        self.boxes.pop(box.number, None)
        place = self.settle(R.BOXES, box.number, self._home(self.inbox_topic))
        self.journal.put(place, topic_name(box.number), None)
        self._homes.pop((R.BOXES, box.number), None)


def _read(vault: WorkerVault, place: str, name: bytes, type_: type[T]) -> T | None:
    value = vault.get(place, name)
    return None if value is None else msgspec.msgpack.decode(value, type=type_)
