"""From what is durable back to the books in memory: the snapshot, then the journal's tail."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from extensions.settlement import bounds
from extensions.settlement.apply import replay
from extensions.settlement.commit import Changed
from extensions.settlement.operations import Expire, Pending, Record, decode_record
from extensions.settlement.state import Account, Held, State, ends
from protocol.receipts import Frontier, NodeOf, peak_places
from storage.ledger_base import Head, Ledger

_held: Final = msgspec.msgpack.Decoder(Held)


class BooksBroken(Exception):
    """What is durable contradicts itself: a damaged file, or a fault of an earlier version. Write nothing."""


async def load(ledger: Ledger, head: Head) -> tuple[State, Frontier, Changed]:
    """The books as of ``head``. Raises ``BooksBroken``, ``StoreAway``."""
    state, changed = State(), Changed()
    snapshot = await ledger.snapshot()
    state.ledgers.update(snapshot.ledgers)
    for row in snapshot.accounts:
        state.accounts[row.ledger, row.owner] = Account(
            row.kind, row.status, row.amount_max, row.balance_max, row.debits_pending, row.debits_posted,
            row.credits_pending, row.credits_posted,
        )  # fmt: skip
    state.restore(_held.decode(body) for _, body in snapshot.held)
    state.sequence = snapshot.sequence
    while state.sequence < head.sequence:
        rows = await ledger.journal(state.sequence, bounds.REPLAY_ROWS)
        first = state.sequence + 1
        if not rows or [row.sequence for row in rows] != list(range(first, first + len(rows))):
            raise BooksBroken(f"the journal has no line {first}, but its head is at {head.sequence}: restore a backup")
        records = [decode_record(row.body) for row in rows]
        _touched(state, records, changed)
        replay(state, records)
    state.time_ms = max(state.time_ms, head.time_ms)
    check_sums(state)
    frontier = await ledger.tree(lambda node: frontier_at(node, head.sequence))
    return state, frontier, changed


def _touched(state: State, records: list[Record], changed: Changed) -> None:
    """Note what the tail changed, for the next snapshot; more than that does no harm."""
    known = state.pendings | {
        r.operation.id: Held(r.operation.id, r.operation.ledger, r.operation.debit, r.operation.credit, 0, 0, 0)
        for r in records
        if r.code == 0 and isinstance(r.operation, Pending)
    }
    for record in records:
        operation, ended = record.operation, ends(record)
        if record.code:
            continue
        if ended is not None:
            held = known[ended]
            changed.pendings.add(ended)
            changed.accounts.update(((held.ledger, held.debit), (held.ledger, held.credit)))
        elif isinstance(operation, Pending):
            changed.pendings.add(operation.id)
        if not isinstance(operation, Expire):
            owners = [getattr(operation, name) for name in ("owner", "debit", "credit") if hasattr(operation, name)]
            changed.accounts.update((operation.ledger, owner) for owner in owners)  # type: ignore[union-attr]


def check_sums(state: State) -> None:
    """Every ledger's debits equal its credits, posted and pending. Raises ``BooksBroken``."""
    posted: Counter[str] = Counter()
    pending: Counter[str] = Counter()
    for (ledger, _), account in state.accounts.items():
        posted[ledger] += account.credits_posted - account.debits_posted
        pending[ledger] += account.credits_pending - account.debits_pending
    wrong = sorted({ledger for sums in (posted, pending) for ledger, total in sums.items() if total})
    if wrong:
        raise BooksBroken(f"debits and credits differ in {', '.join(wrong)}: compare with `check`, restore a backup")


def frontier_at(node: NodeOf, size: int) -> Frontier:
    """The tree of receipts as it was with so many of them."""
    return Frontier(size, [node(level, index) for level, index in peak_places(size)])
