"""Decide a batch: pure, and it never raises on what an operation holds.

A batch is a sequence of chains; a chain is a tuple of operations, all or nothing, usually one. At the start of a batch
every pending whose time has come expires, by (expires_ms, sequence). Then each chain is answered in turn: form, then
identity, then state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from extensions.settlement import operations as ops
from extensions.settlement.codes import Code
from extensions.settlement.decide import CHECKS, EFFECTS
from extensions.settlement.forms import chain_form, form
from extensions.settlement.operations import Record, Result, first_difference, result_of
from extensions.settlement.state import ENDINGS, Overlay, Past, State

Results = tuple[Result, ...]  # of one chain, one an operation


@dataclass(frozen=True, slots=True)
class Applied:
    """The outcome of a batch, not durable yet: results a chain, and what to merge after the commit."""

    results: list[Results]
    overlay: Overlay

    @property
    def journal(self) -> list[Record]:
        """The records to append."""
        return self.overlay.journal


def apply(state: State, past: Past, batch: Iterable[Sequence[object]], now_ms: int) -> Applied:
    """Decide a batch on the books as they are; nothing changes until ``state.merge``.

    ``past`` must hold what is known of the ids in the batch, and of the pendings that it names.
    """
    overlay = begin(state, now_ms)
    return Applied([decide(overlay, past, chain) for chain in batch], overlay)


def begin(state: State, now_ms: int, expiries_max: int | None = None) -> Overlay:
    """A new overlay on which what is due has expired (at most ``expiries_max``, the earliest)."""
    overlay = Overlay(state, now_ms)
    for held in state.due(overlay.time_ms)[:expiries_max]:
        expire = ops.Expire(b"", held.id)
        sequence = overlay.sequence + 1
        amount = EFFECTS[ops.Expire](overlay, expire, sequence)
        overlay.append(Record(sequence, overlay.time_ms, Code.OK, amount, expire))
    return overlay


def decide(overlay: Overlay, past: Past, chain: Sequence[object]) -> Results:
    """Answer one chain; what is recorded of it is in the overlay afterwards."""
    if len(chain) != 1:
        return _decide_chain(overlay, past, tuple(chain)) if chain else ()  # type: ignore[arg-type]
    operation = chain[0]
    code = form(operation)
    if code:
        return (Result(code),)
    assert isinstance(operation, ops.Base)
    known = overlay.records.get(operation.id) or past.records.get(operation.id)
    if known is not None:
        return (_again(known, operation, b"", 0, 1),)
    kind = type(operation)
    code = CHECKS[kind](overlay, past, operation)
    sequence = overlay.sequence + 1
    amount = EFFECTS[kind](overlay, operation, sequence) if code is Code.OK else 0
    overlay.append(Record(sequence, overlay.time_ms, code, amount, operation))  # type: ignore[arg-type]
    return (Result(code, sequence, overlay.time_ms, amount),)


def replay(state: State, records: Iterable[Record]) -> None:
    """Put what the journal says into the books: effects only, nothing is decided again."""
    overlay = Overlay(state)
    for record in records:
        if record.code == Code.OK:
            EFFECTS[type(record.operation)](overlay, record.operation, record.sequence)
        overlay.sequence, overlay.time_ms = record.sequence, max(overlay.time_ms, record.at_ms)
    state.merge(overlay)


def _again(known: Record, operation: object, chain: bytes, place: int, length: int) -> Result:
    field = first_difference(known, operation, chain, place, length)  # type: ignore[arg-type]
    return Result(Code.ID_REUSED, field=field) if field else result_of(known)


def _failed(length: int, place: int, result: Result) -> Results:
    """One member failed by itself, the others with it."""
    others = Result(Code.LINKED_FAILED)
    return tuple(result if n == place else others for n in range(length))


def _decide_chain(overlay: Overlay, past: Past, chain: ops.Chain) -> Results:
    length = len(chain)
    place, code = chain_form(chain)
    if code:
        return _failed(length, place, Result(code))
    known = _known(overlay, past, chain)
    if known is not None:
        return known
    child = Overlay(overlay)
    amounts: list[int] = []
    for operation in chain:
        code = CHECKS[type(operation)](child, past, operation)
        if code:
            break
        amounts.append(EFFECTS[type(operation)](child, operation, overlay.sequence + 1 + len(amounts)))
        if isinstance(operation, ops.Post | ops.Void):
            child.endings[operation.pending] = ENDINGS[type(operation)]
    place = len(amounts)
    codes = [Code.OK] * length if place == length else [Code.LINKED_FAILED] * length
    if place < length:
        codes[place] = code
        amounts = [0] * length
        child = Overlay(overlay)
    for n, operation in enumerate(chain):
        number = overlay.sequence + 1 + n
        child.append(Record(number, overlay.time_ms, codes[n], amounts[n], operation, chain[0].id, n, length))
    overlay.absorb(child)
    return tuple(result_of(record) for record in child.journal)


def _known(overlay: Overlay, past: Past, chain: ops.Chain) -> Results | None:
    """The results of before if the whole chain was recorded as it is; a refusal if only some of it was."""
    known = [overlay.records.get(op.id) or past.records.get(op.id) for op in chain]
    if not any(known):
        return None
    length, first = len(chain), chain[0].id
    for place, (record, operation) in enumerate(zip(known, chain, strict=True)):
        if record is not None:
            result = _again(record, operation, first, place, length)
            if result.code is Code.ID_REUSED:
                return _failed(length, place, result)
    if None in known:
        return _failed(length, known.index(None), Result(Code.CHAIN_CHANGED))
    return tuple(result_of(record) for record in known if record is not None)
