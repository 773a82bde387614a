"""From an intent and the facts to operations of the ledger, and what is said and noted once their results are known.

Pure. What is known under an id is answered from the record, whatever has changed since: time, device list, request. So
asking again with the same id is always safe, and the answer never changes from *done* to *refused*.

Notes are cursors of the ledger that say what its records alone do not: which request is paid or cancelled (``r``), how
much of a payment was given back (``f``), who has opened a wallet (``w``), how far a conversation is read (``t``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from extensions.settlement import bounds
from extensions.settlement import operations as ops
from extensions.settlement.codes import Code
from extensions.settlement.intents import Asked, Cancelling, Intent, Opening, Payment, Refusal, device_refusal
from extensions.settlement.operations import Chain, Record, Result
from extensions.settlement.state import Account, Held
from protocol import limits as L
from protocol.identity import DeviceList
from protocol.ids import tagged_hash
from protocol.messages.pay import State, allows
from protocol.payments import LEDGER_CODES, ORIGINAL_BYTES, PayCode

CANCELLED: Final = b"C"
PAID: Final = b"P"  # followed by the operation that paid
Notes = tuple[tuple[bytes, bytes], ...]
Results = Sequence[tuple[Result, ...]]


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What is to be said to an account in its wallet; the receipt is made when it is sent. ``re``: what it answers."""

    to: bytes
    re: bytes
    kind: str  # "status", "receipt", "balance", "shares", "case"
    id: bytes = b""
    operation: bytes = b""
    state: int = State.UNKNOWN
    code: int = 0
    ledger: str = ""
    amount: int = 0
    sequence: int = 0
    at_ms: int = 0
    memo: bytes = b""
    is_refund: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known before a round is decided. ``now_ms``: the later of the clock and the ledger's time."""

    notes: Mapping[bytes, bytes]
    records: Mapping[bytes, Record]
    devices: Mapping[bytes, DeviceList]
    now_ms: int
    account: Callable[[str, bytes], Account | None]
    held: Callable[[bytes], Held | None]
    held_for: Callable[[str, bytes], list[Held]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Operations, and what follows from their results."""

    chains: tuple[Chain, ...] = ()
    says: Callable[[Results], tuple[Answer, ...]] = lambda results: ()
    notes: Callable[[Results], Notes] = lambda results: ()


class Deed(ABC):
    """An intent that brings its own rules along: packets, disputes, stakes. ``judge`` is pure, as everything here."""

    asked: Asked
    id: bytes  # under which its sender looks for the answer
    weight = 2  # operations that it becomes at most

    @abstractmethod
    def keys(self) -> tuple[set[bytes], set[bytes]]:
        """(notes, records) that it needs."""

    @abstractmethod
    def touches(self) -> set[bytes]:
        """What it may change that another one may ask."""

    def signers(self) -> set[bytes]:
        """Accounts whose device lists it needs."""
        return set()

    @abstractmethod
    def judge(self, facts: Facts) -> Verdict:
        """Decide it."""


def signers(intent: Intent | Deed) -> set[bytes]:
    """Accounts whose device lists are needed to judge an intent."""
    if isinstance(intent, Deed):
        return intent.signers()
    return {intent.authorization.payer} if isinstance(intent, Payment) else set()


def note_request(request: bytes) -> bytes:
    """The note about a request."""
    return b"r" + request


def note_refund(original: bytes) -> bytes:
    """The note about what was given back of a payment."""
    return b"f" + original


def note_wallet(ledger: str, account: bytes) -> bytes:
    """The note that a wallet is open."""
    return b"w" + account + ledger.encode()


def note_topic(topic: bytes) -> bytes:
    """The note about how far a conversation is read."""
    return b"t" + topic


def claim_id(pending: bytes) -> bytes:
    """The id of the operation that completes what was held."""
    return tagged_hash("pay/claim", (pending,))


def open_id(ledger: str, owner: bytes) -> bytes:
    """The id of the operation that opens an account."""
    return tagged_hash("pay/open", (ledger.encode(), owner))


def keys(intent: Intent | Deed) -> tuple[set[bytes], set[bytes]]:
    """(notes, records) that an intent needs."""
    if isinstance(intent, Deed):
        return intent.keys()
    if isinstance(intent, Payment):
        a = intent.authorization
        notes = {note_wallet(a.ledger, a.payee), note_refund(a.original or intent.operation)}
        notes |= {note_request(a.request)} if a.request else set()
        records = {intent.operation, claim_id(intent.operation)}
        return notes, records | ({a.original, claim_id(a.original)} if a.original else set())
    if isinstance(intent, Opening):
        return {note_wallet(intent.ledger, intent.asked.account)}, set()
    return ({note_request(intent.request)}, set()) if isinstance(intent, Cancelling) else (set(), set())


def touches(intent: Intent | Deed) -> set[bytes]:
    """What an intent may change that another one of its batch may ask: those two are decided one after the other."""
    if isinstance(intent, Deed):
        return intent.touches()
    if isinstance(intent, Payment):
        a = intent.authorization
        found = {intent.operation}
        found |= {note_request(a.request)} if a.request else set()
        return found | ({note_refund(a.original), a.original} if a.original else set())
    if isinstance(intent, Opening):
        return {note_wallet(intent.ledger, intent.asked.account)}
    return {note_request(intent.request)} if isinstance(intent, Cancelling) else set()


def judge(intent: Intent | Deed, facts: Facts) -> Verdict:
    """Decide one intent."""
    if isinstance(intent, Deed):
        return intent.judge(facts)
    if isinstance(intent, Refusal):
        return says_only(status_of(intent.asked, intent.id, intent.code))
    if isinstance(intent, Opening):
        return _open(intent, facts)
    if isinstance(intent, Cancelling):
        return _cancel(intent, facts)
    return _pay(intent, facts)


def says_only(answer: Answer) -> Verdict:
    """Nothing is done."""
    return Verdict(says=lambda results: (answer,))


def status_of(asked: Asked, id_: bytes, code: int, state: State = State.FAILED) -> Answer:
    """A status with nothing but a code."""
    return Answer(asked.account, asked.id, "status", id_, state=state, code=code)


# -- paying ------------------------------------------------------------------------------------------------------------
def _pay(payment: Payment, facts: Facts) -> Verdict:
    asked, a = payment.asked, payment.authorization
    known = facts.records.get(payment.operation)
    if known is not None:
        same = _is_same(known, payment)
        return says_only(_from_record(payment, known, facts) if same else status_of(asked, a.id, PayCode.ID_REUSED))
    code = _refused(payment, facts)
    if code:
        state = State.PENDING if code is PayCode.NOT_YET else State.FAILED
        return says_only(status_of(asked, a.id, code, state))
    has_wallet = note_wallet(a.ledger, a.payee) in facts.notes
    if has_wallet or not a.claim_ms:
        if not has_wallet:
            return says_only(status_of(asked, a.id, PayCode.PAYEE_WITHOUT_WALLET))
        move: ops.Operation = ops.Transfer(
            payment.operation, a.payer, a.payee, a.ledger, a.exponent, a.amount, payment.memo
        )
        return _moving(payment, facts, (move,), State.SETTLED)
    opening = ops.Open(open_id(a.ledger, a.payee), a.payee, a.ledger)
    until_ms = facts.now_ms + min(max(a.claim_ms, 1), L.PAY_CLAIM_MS)
    hold = ops.Pending(payment.operation, a.payer, a.payee, a.ledger, a.exponent, a.amount, until_ms, payment.memo)
    first = () if facts.account(a.ledger, a.payee) is not None else (opening,)
    return _moving(payment, facts, (*first, hold), State.HELD)


def _moving(payment: Payment, facts: Facts, operations: Sequence[ops.Operation], state: State) -> Verdict:
    a = payment.authorization

    def says(results: Results) -> tuple[Answer, ...]:
        return (_answer(payment, results[-1][0], state),)

    def notes(results: Results) -> Notes:
        if results[-1][0].code is not Code.OK:
            return ()
        found = [(note_request(a.request), PAID + payment.operation)] if a.request else []
        if a.original:
            found.append((note_refund(a.original), _number(_refunded(facts, a.original) + a.amount)))
        return tuple(found)

    return Verdict(tuple((operation,) for operation in operations), says, notes)


def _answer(payment: Payment, result: Result, state: State) -> Answer:
    a, code = payment.authorization, result.code
    is_done = code is Code.OK
    number = PayCode.INTERNAL if code is Code.INTERNAL else LEDGER_CODES + code if not is_done else PayCode.OK
    return Answer(
        payment.asked.account, payment.asked.id, "receipt" if is_done and state is not State.EXPIRED else "status",
        a.id, payment.operation,
        int(state if is_done else State.UNKNOWN if code is Code.INTERNAL else State.FAILED), int(number), a.ledger,
        a.amount, result.sequence, result.at_ms, payment.memo, bool(a.original),
    )  # fmt: skip


def window_refusal(payment: Payment, facts: Facts) -> PayCode:
    """Whether a device of the payer signed it, and now is its time."""
    a = payment.authorization
    code = device_refusal(payment, facts.devices.get(a.payer), facts.now_ms)
    if code:
        return code
    if facts.now_ms < a.not_before_ms - L.CLOCK_SKEW_MS_MAX:
        return PayCode.NOT_YET
    return PayCode.EXPIRED if facts.now_ms >= a.expires_ms else PayCode.OK


def _refused(payment: Payment, facts: Facts) -> PayCode:
    """The first reason of ``PayCode`` not to ask the ledger."""
    a = payment.authorization
    code = window_refusal(payment, facts)
    if code:
        return code
    if a.request:
        code = _request_refusal(payment, facts)
    elif a.original:
        code = _refund_refusal(payment, facts)
    return code


def _request_refusal(payment: Payment, facts: Facts) -> PayCode:
    a, request = payment.authorization, payment.request
    if request is None or (request.payee, request.worker) != (a.payee, a.worker):
        return PayCode.REQUEST_MISMATCH
    if (request.ledger, request.exponent) != (a.ledger, a.exponent):
        return PayCode.REQUEST_MISMATCH
    if facts.now_ms >= request.expires_ms:
        return PayCode.REQUEST_EXPIRED
    if request.payer and request.payer != a.payer:
        return PayCode.REQUEST_NOT_YOURS
    note = facts.notes.get(note_request(a.request), b"")
    if note == CANCELLED:
        return PayCode.REQUEST_CANCELLED
    if note:
        return PayCode.REQUEST_PAID
    return PayCode.OK if allows(request, a.amount) else PayCode.AMOUNT_OUTSIDE_REQUEST


def _refund_refusal(payment: Payment, facts: Facts) -> PayCode:
    a = payment.authorization
    record = facts.records.get(a.original)
    operation = None if record is None or record.code else record.operation
    if isinstance(operation, ops.Pending) and not _is_done(facts.records.get(claim_id(a.original))):
        operation = None
    if not isinstance(operation, ops.Transfer | ops.Pending):
        return PayCode.ORIGINAL_NOT_FOUND
    if (operation.credit, operation.debit, operation.ledger) != (a.payer, a.payee, a.ledger):
        return PayCode.ORIGINAL_NOT_FOUND
    given = _refunded(facts, a.original)
    return PayCode.OK if given + a.amount <= operation.amount else PayCode.REFUND_TOO_LARGE


def _is_done(record: Record | None) -> bool:
    return record is not None and record.code == Code.OK


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def _refunded(facts: Facts, operation: bytes) -> int:
    return int.from_bytes(facts.notes.get(note_refund(operation), b""), "big")


# -- what is known -----------------------------------------------------------------------------------------------------
def _is_same(record: Record, payment: Payment) -> bool:
    operation, a = record.operation, payment.authorization
    return isinstance(operation, ops.Transfer | ops.Pending) and (
        operation.debit, operation.credit, operation.ledger, operation.exponent, operation.amount, operation.memo
    ) == (a.payer, a.payee, a.ledger, a.exponent, a.amount, payment.memo)  # fmt: skip


def _from_record(payment: Payment, record: Record, facts: Facts) -> Answer:
    result = ops.result_of(record)
    state = State.SETTLED
    if isinstance(record.operation, ops.Pending):
        claim = facts.records.get(claim_id(payment.operation))
        if facts.held(payment.operation) is not None:
            state = State.HELD
        elif claim is None or claim.code:
            state = State.EXPIRED
        else:
            result = ops.result_of(claim)  # it is the claim whose receipt says that it was settled
    if state is State.SETTLED and _refunded(facts, payment.operation) >= payment.authorization.amount:
        state = State.REVERSED
    return _answer(payment, result, state)


# -- wallets and requests ----------------------------------------------------------------------------------------------
def _open(opening: Opening, facts: Facts) -> Verdict:
    asked, ledger = opening.asked, opening.ledger
    waiting = [held for held in facts.held_for(ledger, asked.account) if not is_frozen(held)][: bounds.CLAIMS_MAX]
    first: tuple[Chain, ...] = ()
    if facts.account(ledger, asked.account) is None:
        first = ((ops.Open(open_id(ledger, asked.account), asked.account, ledger),),)
    posts: tuple[Chain, ...] = tuple((ops.Post(claim_id(held.id), held.id),) for held in waiting)

    def says(results: Results) -> tuple[Answer, ...]:
        if first and results[0][0].code is not Code.OK:
            return (status_of(asked, asked.id, LEDGER_CODES + results[0][0].code),)
        claimed = [
            Answer(
                account, b"", "receipt", held.id[: L.ID_BYTES], held.id, State.SETTLED, 0, ledger, result.amount,
                result.sequence, result.at_ms,
            )
            for held, (result,) in zip(waiting, results[len(first) :], strict=True)
            if result.code is Code.OK
            for account in (held.debit, held.credit)
        ]  # fmt: skip
        return (Answer(asked.account, asked.id, "balance"), *claimed)

    def notes(results: Results) -> Notes:
        is_open = not first or results[0][0].code is Code.OK
        return ((note_wallet(ledger, asked.account), b"1"),) if is_open else ()

    return Verdict((*first, *posts), says, notes)


def _cancel(cancelling: Cancelling, facts: Facts) -> Verdict:
    key = note_request(cancelling.request)
    note = facts.notes.get(key, b"")
    if note.startswith(PAID):
        return says_only(status_of(cancelling.asked, cancelling.id, PayCode.REQUEST_PAID, State.SETTLED))
    answer = status_of(cancelling.asked, cancelling.id, PayCode.REQUEST_CANCELLED)
    return Verdict(says=lambda results: (answer,), notes=lambda results: ((key, CANCELLED),))


def is_frozen(held: Held) -> bool:
    """Whether a pending belongs to a dispute: the one who would get it made it, so it is not theirs to claim."""
    return len(held.id) == ORIGINAL_BYTES and held.id[L.ID_BYTES :] == held.credit


def expired(record: Record, held: Held) -> tuple[Answer, ...]:
    """What is said when nobody claimed what was held; the last share of a packet tells what became of all of them."""
    if len(held.id) > ORIGINAL_BYTES:
        return (Answer(held.debit, b"", "shares", held.id[: L.ID_BYTES], held.id, sequence=record.sequence),)
    if is_frozen(held):
        both = (held.debit, held.credit)
        return tuple(Answer(account, b"", "case", b"", held.id, sequence=record.sequence) for account in both)
    return (
        Answer(
            held.debit, b"", "status", held.id[: L.ID_BYTES], held.id, State.EXPIRED, 0, held.ledger, held.amount,
            record.sequence, record.at_ms,
        ),
    )  # fmt: skip
