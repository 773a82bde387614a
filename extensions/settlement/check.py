"""Audit a journal offline: does it contradict itself? It shares no arithmetic with the engine.

Found are: gaps, time that runs backwards, ids used twice, pendings that end twice or outlive their time, chains done in
part, negative sums, people in debt, rails that took back more than they issued, ledgers whose debits and credits
differ, balances that are not what the journal says, leaves and a root that are not those of the receipts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec import DecodeError

from extensions.settlement import operations as ops
from extensions.settlement.operations import Record, decode_record
from protocol.receipts import Frontier, leaf_hash, receipt_salt
from storage.ledger_base import JournalRow

Key = tuple[str, bytes]
Sums = tuple[int, int, int, int]  # debits pending, debits posted, credits pending, credits posted

_PROBLEMS_MAX: Final = 100  # enough to see what is wrong; one wrong line can make thousands more
_SIDES: Final = (("debit", 0), ("credit", 2))


@dataclass(frozen=True, slots=True)
class Audit:
    """What the journal says, and what is wrong with it; an empty ``problems`` is a clean journal."""

    records: int
    time_ms: int
    root: bytes  # of the log of receipts
    balances: Mapping[Key, Sums]
    problems: tuple[str, ...]


@dataclass(slots=True)
class _Auditor:
    secret: bytes
    sums: dict[Key, list[int]] = field(default_factory=dict)
    rails: set[Key] = field(default_factory=set)
    open: dict[bytes, ops.Pending] = field(default_factory=dict)
    made: set[bytes] = field(default_factory=set)
    ids: set[bytes] = field(default_factory=set)
    chains: defaultdict[bytes, list[Record]] = field(default_factory=lambda: defaultdict(list))
    frontier: Frontier = field(default_factory=Frontier)
    problems: list[str] = field(default_factory=list)
    sequence: int = 0
    time_ms: int = 0

    def say(self, text: str) -> None:
        if len(self.problems) < _PROBLEMS_MAX:
            self.problems.append(f"line {self.sequence}: {text}")

    def line(self, row: JournalRow) -> None:
        expected = self.sequence + 1
        self.sequence = row.sequence
        if row.sequence != expected:
            self.say(f"should be line {expected}: the journal has a gap")
        self.frontier.append(row.leaf)
        if row.leaf != leaf_hash(receipt_salt(self.secret, row.sequence - 1), row.body):
            self.say("the leaf is not that of its receipt")
        try:
            record = decode_record(row.body)
        except DecodeError as error:
            self.say(f"cannot be read: {error}")
            return
        self.identity(row, record)
        if record.code == 0:
            self.money(record)

    def identity(self, row: JournalRow, record: Record) -> None:
        id_ = record.operation.id
        if record.sequence != row.sequence or (id_ or None) != row.id:
            self.say("the columns say something else than the record")
        if record.at_ms < self.time_ms:
            self.say("time runs backwards")
        self.time_ms = max(self.time_ms, record.at_ms)
        if id_ and id_ in self.ids:
            self.say("its id was used before")
        self.ids.add(id_)
        if record.chain:
            self.chains[record.chain].append(record)

    def money(self, record: Record) -> None:
        operation = record.operation
        match operation:
            case ops.Open():
                key = (operation.ledger, operation.owner)
                self.sums[key] = [0, 0, 0, 0]
                if operation.kind == ops.Kind.RAIL:
                    self.rails.add(key)
            case ops.Transfer() | ops.Issue() | ops.Redeem():
                self.move(operation, 1, operation.amount)
            case ops.Pending():
                if operation.expires_ms <= record.at_ms:
                    self.say("a pending that had expired when it was made")
                self.open[operation.id] = operation
                self.made.add(operation.id)
                self.move(operation, 0, operation.amount)
            case ops.Post() | ops.Void() | ops.Expire():
                self.end(record, operation)

    def end(self, record: Record, operation: ops.Post | ops.Void | ops.Expire) -> None:
        pending = self.open.pop(operation.pending, None)
        if pending is None:
            self.say("ends a pending " + ("twice" if operation.pending in self.made else "that was never made"))
            return
        due = pending.expires_ms <= record.at_ms
        if due != isinstance(operation, ops.Expire):
            self.say("ends a pending past its expiry" if due else "expires a pending before its time")
        self.move(pending, 0, -pending.amount)
        if isinstance(operation, ops.Post):
            amount = pending.amount if operation.amount is None else operation.amount
            if amount > pending.amount:
                self.say("posts more than was pending")
            self.move(pending, 1, amount)

    def move(self, sides: ops.Transfer | ops.Issue | ops.Redeem | ops.Pending, column: int, amount: int) -> None:
        for name, offset in _SIDES:
            key = (sides.ledger, getattr(sides, name))
            if key not in self.sums:
                self.say(f"moves money of an account that was never opened ({name})")
                continue
            sums = self.sums[key]
            sums[offset + column] += amount
            if min(sums) < 0:
                self.say(f"a sum of the account to {name} is negative")
            elif key not in self.rails and sums[0] + sums[1] > sums[3]:
                self.say(f"the account to {name} spends what it does not have")
            elif key in self.rails and sums[2] + sums[3] > sums[1]:
                self.say(f"the rail to {name} takes back more than it issued")

    def close(self, now_ms: int | None, balances: Mapping[Key, Sums] | None, root: bytes | None) -> None:
        total: Counter[tuple[str, str]] = Counter()
        for (ledger, _), sums in self.sums.items():
            total[ledger, "pending"] += sums[0] - sums[2]
            total[ledger, "posted"] += sums[1] - sums[3]
        for (ledger, what), difference in total.items():
            if difference:
                self.say(f"{what} debits and credits of {ledger} differ by {difference}")
        for pending in self.open.values():
            if pending.expires_ms <= (self.time_ms if now_ms is None else now_ms):
                self.say(f"the pending {pending.id.hex()} is open past its expiry")
        for chain, records in self.chains.items():
            complete = [record.place for record in records] == list(range(records[0].length))
            if not complete or (any(record.code for record in records) and any(not record.code for record in records)):
                self.say(f"the chain {chain.hex()} was done in part")
        if balances is not None:
            own = {key: tuple(sums) for key, sums in self.sums.items()}
            for key in own.keys() | balances.keys():
                if own.get(key) != balances.get(key):
                    self.say(f"{key[0]} {key[1].hex()}: the books say {balances.get(key)}, the journal {own.get(key)}")
        if root is not None and root != self.frontier.root():
            self.say("the checkpoint's root is not that of the receipts")


def check(
    journal: Iterable[JournalRow], secret: bytes, *, now_ms: int | None = None, root: bytes | None = None,
    balances: Mapping[Key, Sums] | None = None,
) -> Audit:  # fmt: skip
    """Read a whole journal from its first line.

    ``secret``: of the log of receipts; ``now_ms``: the ledger's time (else that of the last line), after which no
    pending may be open; ``root`` and ``balances``: what a checkpoint and the books claim.
    """
    auditor = _Auditor(secret)
    for row in journal:
        auditor.line(row)
    auditor.close(now_ms, balances, root)
    sums = {key: (s[0], s[1], s[2], s[3]) for key, s in auditor.sums.items()}
    return Audit(
        auditor.sequence, auditor.time_ms, auditor.frontier.root(), sums, tuple(auditor.problems)
    )  # fmt: skip
