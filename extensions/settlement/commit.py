"""One transaction: from what was submitted and the facts to what is written. Runs in the writer's thread, touches
nothing: what it prepares becomes true in ``Books`` after the commit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import msgspec

from extensions.settlement import bounds
from extensions.settlement import operations as ops
from extensions.settlement.apply import Results, begin, decide
from extensions.settlement.codes import Code
from extensions.settlement.operations import Record, Result, decode_record, encode_record
from extensions.settlement.state import Account, Held, Key, Overlay, Past, State, ends
from protocol.identity import SigningKey
from protocol.limits import LEDGER_ID_BYTES_MAX
from protocol.receipts import Checkpoint, Frontier, leaf_hash, receipt_salt, sign_checkpoint
from storage.bounds import TREE_LEVEL_MIN
from storage.ledger_base import AccountRow, Batch, Facts, JournalRow, Outgoing, Snapshot

T = TypeVar("T")

_log: Final = logging.getLogger("chappe.settlement")
Outbox = Callable[[list[Results]], Sequence[Outgoing]]
Notes = Callable[[list[Results]], Sequence[tuple[bytes, bytes]]]
Expired = Callable[[Record, Held], Sequence[Outgoing]]
_held_bytes: Final = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Log:
    """Whose log of receipts it is: its name, the key that signs checkpoints, the secret that salts leaves."""

    name: str
    key: SigningKey
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Submission:
    """What one caller wants in one transaction."""

    chains: tuple[tuple[object, ...], ...]
    cursor: tuple[bytes, bytes] | None = None
    outbox: Outbox | None = None
    notes: Notes | None = None  # further cursors, once the results are known


@dataclass(slots=True)
class Said:
    """What decided submissions want written beside the journal."""

    outgoing: list[Outgoing] = field(default_factory=list)
    cursors: list[tuple[bytes, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class Changed:
    """What has changed since the last snapshot."""

    accounts: set[Key] = field(default_factory=set)
    pendings: set[bytes] = field(default_factory=set)

    def add(self, overlay: Overlay) -> None:
        """Take along what a batch touched."""
        self.accounts.update(overlay.accounts)
        self.pendings.update(overlay.pendings)


@dataclass(slots=True)
class Prepared:
    """What becomes true with the commit."""

    overlay: Overlay
    frontier: Frontier
    results: list[list[Results]]  # one a submission
    batch: Batch
    isolated: int = 0  # chains or submissions that raised
    repeats: int = 0  # ids that the journal held already
    postponed: bool = False  # only expiries so far: the submissions are still to be decided


@dataclass(slots=True)
class Wanted:
    """The facts that submissions need."""

    ids: set[bytes] = field(default_factory=set)
    pendings: set[bytes] = field(default_factory=set)

    @staticmethod
    def of(submissions: Iterable[Submission]) -> Wanted:
        """Ids and pendings that are named, whatever else the operations hold."""
        wanted = Wanted()
        for submission in submissions:
            for chain in submission.chains:
                for operation in chain:
                    if isinstance(operation, ops.Base) and _is_id(operation.id):
                        wanted.ids.add(operation.id)
                        if isinstance(operation, ops.Post | ops.Void) and _is_id(operation.pending):
                            wanted.pendings.add(operation.pending)
        return wanted


def _is_id(value: object) -> bool:
    return type(value) is bytes and 0 < len(value) <= LEDGER_ID_BYTES_MAX


@dataclass(slots=True)
class Preparation:
    """One use: ``__call__`` is what the store calls inside the transaction."""

    state: State
    frontier: Frontier
    log: Log
    epoch: int
    snapshot: int  # sequence of the last one
    snapshot_every: int
    changed: Changed
    submissions: Sequence[Submission]
    expired: Expired | None = None
    prepared: Prepared | None = None

    def __call__(self, facts: Facts, now_ms: int) -> Batch:
        past = Past()
        past.add(map(decode_record, facts.known))
        past.add(map(decode_record, facts.ended))
        overlay = begin(self.state, now_ms, bounds.EXPIRIES_MAX)
        said = Said(self._expiries(overlay))
        results: list[list[Results]] = []
        isolated = 0
        postponed = len(overlay.journal) >= bounds.EXPIRIES_MAX
        if not postponed:
            try:
                results = [_decided(overlay, past, submission, said) for submission in self.submissions]
            except Exception:  # noqa: BLE001
                # Whatever it is: from the beginning, and only who causes it gets nothing.
                overlay = begin(self.state, now_ms, bounds.EXPIRIES_MAX)
                said = Said(self._expiries(overlay))
                results, isolated = self._one_by_one(overlay, past, said)
        batch, frontier = self._written(overlay, said, postponed)
        self.prepared = Prepared(overlay, frontier, results, batch, isolated, len(facts.known), postponed)
        return batch

    def _expiries(self, overlay: Overlay) -> list[Outgoing]:
        """What is said about pendings that have just expired."""
        outgoing: list[Outgoing] = []
        for record in overlay.journal if self.expired is not None else ():
            assert self.expired is not None
            assert isinstance(record.operation, ops.Expire)
            held = self.state.pendings[record.operation.pending]
            outgoing += _guarded(partial(self.expired, record, held)) or ()
        return outgoing

    def _one_by_one(self, overlay: Overlay, past: Past, said: Said) -> tuple[list[list[Results]], int]:
        """Decide again; a chain that raises is INTERNAL, a submission whose outbox raises is undone altogether."""
        every, isolated = [], 0
        for submission in self.submissions:
            child, results = Overlay(overlay), []
            for chain in submission.chains:
                grandchild = Overlay(child)
                result = _guarded(partial(decide, grandchild, past, chain))
                if result is None:
                    isolated += 1
                    results.append(_internal(chain))
                else:
                    child.absorb(grandchild)
                    results.append(result)
            spoken = _guarded(partial(_spoken, submission, results))
            if spoken is None:
                isolated += 1
                results = [_internal(chain) for chain in submission.chains]
            else:
                overlay.absorb(child)
                said.outgoing += spoken.outgoing
                said.cursors += spoken.cursors
            every.append(results)
        return every, isolated

    def _written(self, overlay: Overlay, said: Said, postponed: bool) -> tuple[Batch, Frontier]:
        frontier, secret = self.frontier.copy(), self.log.secret
        rows: list[JournalRow] = []
        nodes: list[tuple[int, int, bytes]] = []
        for record in overlay.journal:
            body = encode_record(record)
            leaf = leaf_hash(receipt_salt(secret, record.sequence - 1), body)
            nodes += frontier.append(leaf, TREE_LEVEL_MIN)
            rows.append(JournalRow(record.sequence, record.operation.id or None, ends(record), body, leaf))
        checkpoint = None
        if rows:
            state = Checkpoint(self.log.name, frontier.size, frontier.root(), overlay.time_ms, self.epoch)
            checkpoint = sign_checkpoint(state, self.log.key)
        moved = [] if postponed else [s.cursor for s in self.submissions if s.cursor is not None]
        cursors = (*moved, *said.cursors)
        snapshot = None
        if overlay.sequence - self.snapshot >= self.snapshot_every:
            snapshot = _snapshot(self.state, overlay, self.changed)
        return Batch(overlay.time_ms, rows, said.outgoing, cursors, nodes, checkpoint, snapshot), frontier


def _guarded(work: Callable[[], T]) -> T | None:
    """What ``work`` returns; None if it raises, whatever it is: one poisoned item must not stop the other 999."""
    try:
        return work()
    except Exception:  # noqa: BLE001
        _log.exception("an item of a batch raised: nothing of it was done, the others go on")
        return None


def _spoken(submission: Submission, results: list[Results]) -> Said:
    outgoing = [] if submission.outbox is None else list(submission.outbox(results))
    return Said(outgoing, [] if submission.notes is None else list(submission.notes(results)))


def _decided(overlay: Overlay, past: Past, submission: Submission, said: Said) -> list[Results]:
    results = [decide(overlay, past, chain) for chain in submission.chains]
    if submission.outbox is not None or submission.notes is not None:
        spoken = _spoken(submission, results)
        said.outgoing += spoken.outgoing
        said.cursors += spoken.cursors
    return results


def _internal(chain: Sequence[object]) -> Results:
    return (Result(Code.INTERNAL),) * len(chain)


def _snapshot(state: State, overlay: Overlay, changed: Changed) -> Snapshot:
    accounts = [
        account_row(key, account)
        for key in sorted(changed.accounts.union(overlay.accounts))
        if (account := overlay.peek(key)) is not None
    ]
    pendings = {id_: overlay.held(id_) for id_ in sorted(changed.pendings.union(overlay.pendings))}
    held = [(id_, _held_bytes(pending)) for id_, pending in pendings.items() if pending is not None]
    released = [id_ for id_, pending in pendings.items() if pending is None]
    ledgers = list((state.ledgers | overlay.ledgers).items())
    return Snapshot(overlay.sequence, ledgers, accounts, held, released)


def account_row(key: Key, a: Account) -> AccountRow:
    """An account as a snapshot keeps it."""
    return AccountRow(
        *key, a.kind, a.status, a.amount_max, a.balance_max, a.debits_pending, a.debits_posted, a.credits_pending,
        a.credits_posted,
    )  # fmt: skip
