"""The books in memory, and the overlay on which a batch is decided before it is durable.

Rule 1. ``State`` changes in ``merge`` only, which is called after the commit. A batch that does not become durable
        leaves no trace.
Rule 2. An overlay copies what it touches. A chain is decided on an overlay of its own over that of the batch.
Rule 3. Time never runs backwards: the ledger's time is the highest that it was ever given.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from extensions.settlement import operations as ops
from extensions.settlement.codes import Code

Key = tuple[str, bytes]  # (ledger, owner)

ACTIVE: Final = 0
FROZEN: Final = 1
CLOSED: Final = 2
_HEAP_SLACK: Final = 1024  # stale expiries that are kept before the heap is built anew


class Account(msgspec.Struct, gc=False):
    """An account; the four sums are in minor units and never negative."""

    kind: int = ops.Kind.PERSON
    status: int = ACTIVE
    amount_max: int = 0
    balance_max: int = 0
    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0

    @property
    def balance(self) -> int:
        """What is posted, from the owner's side: negative for a rail that has issued."""
        return self.credits_posted - self.debits_posted

    @property
    def available(self) -> int:
        """What a person can spend."""
        return self.balance - self.debits_pending


duplicate: Final[Callable[[Account], Account]] = Account.__copy__  # type: ignore[attr-defined]  # copy() takes twice as long


class Held(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An open pending."""

    id: bytes
    ledger: str
    debit: bytes
    credit: bytes
    amount: int
    expires_ms: int
    sequence: int  # of the record that made it


@dataclass(slots=True)
class Past:
    """What is known of ids: those recorded, and how pendings ended. The facts of a batch, or of all time."""

    records: dict[bytes, ops.Record] = field(default_factory=dict)
    ended: dict[bytes, Code] = field(default_factory=dict)

    def add(self, records: Iterable[ops.Record]) -> None:
        """Remember what was decided."""
        for record in records:
            if record.operation.id:
                self.records[record.operation.id] = record
            if ends(record) is not None:
                self.ended[record.operation.pending] = ENDINGS[type(record.operation)]  # type: ignore[union-attr]


ENDINGS: Final[dict[type, Code]] = {
    ops.Post: Code.PENDING_POSTED,
    ops.Void: Code.PENDING_VOIDED,
    ops.Expire: Code.PENDING_EXPIRED,
}


def ends(record: ops.Record) -> bytes | None:
    """The id of the pending that a record ends, if it does."""
    operation = record.operation
    return operation.pending if record.code == 0 and isinstance(operation, ops.Post | ops.Void | ops.Expire) else None


class State:
    """All accounts, ledgers and open pendings."""

    __slots__ = ("_expiries", "_waiting", "accounts", "ledgers", "pendings", "sequence", "time_ms")

    def __init__(self) -> None:
        self.accounts: dict[Key, Account] = {}
        self.ledgers: dict[str, int] = {}  # name → exponent
        self.pendings: dict[bytes, Held] = {}
        self.sequence = 0  # of the last record
        self.time_ms = 0
        self._expiries: list[tuple[int, int, bytes]] = []  # heap; those ended early stay until their time
        self._waiting: dict[Key, dict[bytes, Held]] = {}  # open pendings by whom they are for, in the order of making

    def peek(self, key: Key) -> Account | None:
        """An account to read."""
        return self.accounts.get(key)

    def held(self, id_: bytes) -> Held | None:
        """An open pending."""
        return self.pendings.get(id_)

    def exponent(self, ledger: str) -> int | None:
        """The exponent of a ledger that is open."""
        return self.ledgers.get(ledger)

    def ended(self, id_: bytes) -> Code | None:
        """How a pending ended: not known here, but to ``Past``."""
        return None

    def due(self, now_ms: int) -> list[Held]:
        """The pendings whose time has come, by (expires_ms, sequence)."""
        heap, found, look = self._expiries, [], [0]
        while look:  # children of a heap's node are never earlier, so nothing below a later one is looked at
            place = look.pop()
            if place < len(heap) and heap[place][0] <= now_ms:
                found.append(heap[place])
                look += (2 * place + 1, 2 * place + 2)
        return [self.pendings[id_] for _, _, id_ in sorted(found) if id_ in self.pendings]

    def waiting_for(self, ledger: str, credit: bytes) -> list[Held]:
        """Open pendings for an account, the earliest first."""
        return list(self._waiting.get((ledger, credit), {}).values())

    def restore(self, held: Iterable[Held]) -> None:
        """Put back pendings that a snapshot kept."""
        for pending in sorted(held, key=lambda pending: pending.sequence):
            self._hold(pending)
        self._heapify()

    def _hold(self, pending: Held) -> None:
        self.pendings[pending.id] = pending
        self._waiting.setdefault((pending.ledger, pending.credit), {})[pending.id] = pending

    def _release(self, id_: bytes) -> None:
        pending = self.pendings.pop(id_, None)
        if pending is not None:
            key = (pending.ledger, pending.credit)
            del self._waiting[key][id_]
            if not self._waiting[key]:
                del self._waiting[key]

    def merge(self, overlay: Overlay) -> None:
        """Make a batch's outcome the truth; it must have been decided on this state as it is."""
        self.accounts.update(overlay.accounts)
        self.ledgers.update(overlay.ledgers)
        self.sequence, self.time_ms = overlay.sequence, overlay.time_ms
        for id_, pending in overlay.pendings.items():
            if pending is None:
                self._release(id_)
            else:
                self._hold(pending)
                heapq.heappush(self._expiries, (pending.expires_ms, pending.sequence, id_))
        while self._expiries and self._expiries[0][2] not in self.pendings:
            heapq.heappop(self._expiries)
        if len(self._expiries) > 2 * len(self.pendings) + _HEAP_SLACK:
            self._heapify()

    def _heapify(self) -> None:
        self._expiries = [(held.expires_ms, held.sequence, held.id) for held in self.pendings.values()]
        heapq.heapify(self._expiries)


class Overlay:
    """What has been decided and is not durable yet, over a state or another overlay."""

    __slots__ = ("_base", "accounts", "endings", "journal", "ledgers", "pendings", "records", "sequence", "time_ms")

    def __init__(self, base: State | Overlay, now_ms: int = 0) -> None:
        self._base = base
        self.accounts: dict[Key, Account] = {}
        self.ledgers: dict[str, int] = {}
        self.pendings: dict[bytes, Held | None] = {}  # None: ended
        self.endings: dict[bytes, Code] = {}
        self.records: dict[bytes, ops.Record] = {}
        self.journal: list[ops.Record] = []
        self.sequence: int = base.sequence
        self.time_ms: int = max(base.time_ms, now_ms)

    def peek(self, key: Key) -> Account | None:
        """An account to read."""
        return self.accounts.get(key) or self._base.peek(key)

    def account(self, key: Key) -> Account:
        """An account to change, which must be there."""
        found = self.accounts.get(key)
        if found is None:
            base = self._base.peek(key)
            assert base is not None
            found = self.accounts[key] = duplicate(base)
        return found

    def held(self, id_: bytes) -> Held | None:
        """An open pending."""
        return self.pendings[id_] if id_ in self.pendings else self._base.held(id_)

    def exponent(self, ledger: str) -> int | None:
        """The exponent of a ledger that is open."""
        own = self.ledgers.get(ledger)
        return self._base.exponent(ledger) if own is None else own

    def ended(self, id_: bytes) -> Code | None:
        """How a pending ended, if it did in here."""
        return self.endings.get(id_) or self._base.ended(id_)

    def append(self, record: ops.Record) -> None:
        """Write down what was decided; its number is the next."""
        self.sequence = record.sequence
        self.journal.append(record)
        if record.operation.id:
            self.records[record.operation.id] = record
        ending = ENDINGS.get(type(record.operation))
        if ending is not None and record.code == 0:
            self.endings[record.operation.pending] = ending  # type: ignore[union-attr]

    def absorb(self, child: Overlay) -> None:
        """Take over what was decided on an overlay over this one."""
        self.accounts.update(child.accounts)
        self.ledgers.update(child.ledgers)
        self.pendings.update(child.pendings)
        self.endings.update(child.endings)
        self.records.update(child.records)
        self.journal += child.journal
        self.sequence = child.sequence
