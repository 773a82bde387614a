"""Disputes about payments: from a signed step and the facts to operations of the ledger. Pure, but for ``told``.

A dispute is one note (``d`` and the payment's operation) and, while it is open, a pending from payee to payer, so that
what is frozen is neither spent nor given. It ends by one operation: post what goes back (the rest is released), void,
or the ledger's own expiry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from extensions.settlement import operations as ops
from extensions.settlement.books import Books
from extensions.settlement.codes import Code
from extensions.settlement.intents import Asked, Refusal
from extensions.settlement.judge import (
    Answer,
    Deed,
    Facts,
    Notes,
    Results,
    Verdict,
    claim_id,
    note_refund,
    says_only,
    status_of,
)
from protocol import limits as L
from protocol.disputes import Step, What, open_step, step_refusal
from protocol.messages import Body
from protocol.messages import dispute as D
from protocol.messages.dispute import Offer, Stage
from protocol.messages.pay import State
from protocol.payments import LEDGER_CODES, PayCode, PayError, Signed, operation_id


class Case(msgspec.Struct, frozen=True, array_like=True):
    """A dispute as its note has it. ``steps``: ids of those that were taken, so that each counts once."""

    payment: bytes
    pending: bytes
    opener: bytes
    payee: bytes
    ledger: str
    exponent: int
    amount: int  # frozen
    paid: int  # by the disputed payment
    expires_ms: int
    stage: int = Stage.OPEN
    offers: tuple[Offer, ...] = ()
    returned: int = 0
    steps: tuple[bytes, ...] = ()


def note_dispute(payment: bytes) -> bytes:
    """The note about the dispute of a payment."""
    return b"d" + payment


def case_of(notes: Mapping[bytes, bytes], payment: bytes) -> Case | None:
    """What the notes say about it."""
    found = notes.get(note_dispute(payment))
    return None if found is None else msgspec.msgpack.decode(found, type=Case)


def _kept(case: Case) -> tuple[bytes, bytes]:
    return note_dispute(case.payment), msgspec.msgpack.encode(case)


def read(asked: Asked, body: Body) -> Deed | Refusal | None:
    """The intent of a message about a dispute; None for others."""
    if not isinstance(body, D.Dispute):
        return None
    try:
        step, signed = open_step(body.signed, body.text)
    except PayError as error:
        return Refusal(asked, asked.id, error.code)
    if step.worker != asked.worker:
        return Refusal(asked, step.id, PayCode.FOREIGN_WORKER)
    if step.account != asked.account:
        return Refusal(asked, step.id, PayCode.FOREIGN_PAYER)
    if not asked.is_wallet:
        return Refusal(asked, step.id, PayCode.NOT_IN_WALLET)
    return Stepping(asked, step.id, step, signed, body.text)


def _tell(case: Case, by: bytes = b"", text: str = "", asked: Asked | None = None, step: bytes = b"") -> list[Answer]:
    """To both; what is shown is read from the notes when it is sent, so the last word is never an old one."""
    memo = msgspec.msgpack.encode((by, text))

    def to(account: bytes) -> Answer:
        re = asked.id if asked is not None and account == asked.account else b""
        return Answer(account, re, "case", step, case.payment, memo=memo)

    return [to(case.opener), to(case.payee)]


@dataclass(frozen=True, slots=True)
class Stepping(Deed):
    """One of the two does something."""

    asked: Asked
    id: bytes
    step: Step
    signed: Signed
    text: str

    @property
    def operation(self) -> bytes:
        """The id of the pending that opening makes."""
        return operation_id(self.asked.account, self.id)

    def keys(self) -> tuple[set[bytes], set[bytes]]:
        """The dispute, the payment, and how much of it was given back."""
        payment = self.step.payment
        return {note_dispute(payment), note_refund(payment)}, {payment, claim_id(payment), self.operation}

    def touches(self) -> set[bytes]:
        """The same: refunds of the payment too come one after the other."""
        return {note_dispute(self.step.payment), note_refund(self.step.payment), self.operation}

    def signers(self) -> set[bytes]:
        """Whoever signed."""
        return {self.step.account}

    def judge(self, facts: Facts) -> Verdict:
        """Decide the step."""
        case = case_of(facts.notes, self.step.payment)
        if case is not None and self.id in case.steps:
            told = _tell(case, asked=self.asked, step=self.id)
            return Verdict(says=lambda results: tuple(a for a in told if a.to == self.asked.account))
        known = facts.records.get(self.operation)
        if known is not None:
            return self._refuse(LEDGER_CODES + known.code if known.code else PayCode.ID_REUSED)
        code = step_refusal(self.step, self.signed, facts.devices.get(self.step.account), facts.now_ms)
        if code:
            return self._refuse(code)
        if self.step.what is What.OPEN:
            return self._open(case, facts)
        if case is None:
            return self._refuse(PayCode.DISPUTE_NOT_FOUND)
        if self.step.account not in (case.opener, case.payee):
            return self._refuse(PayCode.DISPUTE_NOT_YOURS)
        if case.stage != Stage.OPEN or facts.held(case.pending) is None:
            return self._refuse(PayCode.DISPUTE_OVER)
        if len(case.steps) >= L.DISPUTE_STEPS_MAX:
            return self._refuse(PayCode.DISPUTE_TOO_LONG)
        return self._go_on(case, facts)

    def _refuse(self, code: int) -> Verdict:
        return says_only(status_of(self.asked, self.id, code))

    # -- opening -------------------------------------------------------------------------------------------------------
    def _open(self, case: Case | None, facts: Facts) -> Verdict:
        step = self.step
        paid = _settled(facts, step.payment)
        if paid is None or paid[0].debit != step.account:
            return self._refuse(PayCode.ORIGINAL_NOT_FOUND)
        payment, at_ms = paid
        if facts.now_ms > at_ms + L.DISPUTE_AFTER_MS:
            return self._refuse(PayCode.DISPUTE_TOO_LATE)
        if not 0 < step.amount <= payment.amount - _given(facts, step.payment):
            return self._refuse(PayCode.DISPUTE_AMOUNT_WRONG)
        if case is not None:
            return self._refuse(PayCode.DISPUTE_EXISTS)
        until_ms = facts.now_ms + L.DISPUTE_MS
        freeze = ops.Pending(
            self.operation, payment.credit, payment.debit, payment.ledger, payment.exponent, step.amount, until_ms,
            step.payment,
        )  # fmt: skip
        made = Case(
            step.payment, self.operation, payment.debit, payment.credit, payment.ledger, payment.exponent, step.amount,
            payment.amount, until_ms, Stage.OPEN, (Offer(step.account, step.amount),), 0, (self.id,),
        )  # fmt: skip

        def says(results: Results) -> tuple[Answer, ...]:
            code = results[0][0].code
            if code is Code.INTERNAL:
                return (status_of(self.asked, self.id, PayCode.INTERNAL, State.UNKNOWN),)
            if code:
                return (status_of(self.asked, self.id, LEDGER_CODES + code),)
            return tuple(_tell(made, step.account, self.text, self.asked, self.id))

        def notes(results: Results) -> Notes:
            return (_kept(made),) if results[0][0].code is Code.OK else ()

        return Verdict(((freeze,),), says, notes)

    # -- afterwards ----------------------------------------------------------------------------------------------------
    def _go_on(self, case: Case, facts: Facts) -> Verdict:
        step = self.step
        taken = msgspec.structs.replace(case, steps=(*case.steps, self.id))
        if step.what is What.WITHDRAW:
            if step.account != case.opener:
                return self._refuse(PayCode.DISPUTE_NOT_YOURS)
            return end(taken, 0, Stage.WITHDRAWN, facts, self.asked, self.id, self.text)
        if step.what is What.ACCEPT:
            theirs = [offer.amount for offer in case.offers if offer.account != step.account]
            if theirs != [step.amount]:
                return self._refuse(PayCode.DISPUTE_AMOUNT_WRONG)
            if step.amount + _given(facts, case.payment) > case.paid:
                return self._refuse(PayCode.REFUND_TOO_LARGE)
            return end(taken, step.amount, Stage.AGREED, facts, self.asked, self.id, self.text)
        if step.what is What.OFFER:
            if step.amount > case.amount:
                return self._refuse(PayCode.DISPUTE_AMOUNT_WRONG)
            others = tuple(offer for offer in case.offers if offer.account != step.account)
            taken = msgspec.structs.replace(taken, offers=(*others, Offer(step.account, step.amount)))
        told = tuple(_tell(taken, step.account, self.text, self.asked, self.id))
        kept = (_kept(taken),)
        return Verdict(says=lambda results: told, notes=lambda results: kept)


@dataclass(frozen=True, slots=True)
class Arbitrating(Deed):
    """The operator decides. ``amount``: goes back; 0: nothing does."""

    asked: Asked
    id: bytes
    payment: bytes
    amount: int

    def keys(self) -> tuple[set[bytes], set[bytes]]:
        """The dispute, and how much of the payment was given back."""
        return {note_dispute(self.payment), note_refund(self.payment)}, set()

    def touches(self) -> set[bytes]:
        """The same."""
        return {note_dispute(self.payment), note_refund(self.payment)}

    def is_done(self, case: Case) -> bool:
        """Whether it was decided so before: an order that is carried out twice counts once."""
        return case.stage == Stage.DECIDED and case.returned == self.amount

    def refusal(self, facts_notes: Mapping[bytes, bytes], is_held: bool) -> PayCode:
        """Why not."""
        case = case_of(facts_notes, self.payment)
        if case is None:
            return PayCode.DISPUTE_NOT_FOUND
        if self.is_done(case):
            return PayCode.OK
        if case.stage != Stage.OPEN or not is_held:
            return PayCode.DISPUTE_OVER
        given = int.from_bytes(facts_notes.get(note_refund(self.payment), b""), "big")
        is_fit = 0 <= self.amount <= min(case.amount, case.paid - given)
        return PayCode.OK if is_fit else PayCode.DISPUTE_AMOUNT_WRONG

    def judge(self, facts: Facts) -> Verdict:
        """End it."""
        case = case_of(facts.notes, self.payment)
        if case is None or self.is_done(case) or self.refusal(facts.notes, facts.held(case.pending) is not None):
            return Verdict()
        return end(case, self.amount, Stage.DECIDED, facts, None, self.id + self.payment, "")


def end(
    case: Case, amount: int, stage: Stage, facts: Facts, asked: Asked | None, step: bytes, text: str
) -> Verdict:  # fmt: skip
    """Give ``amount`` back, release the rest, and tell both."""
    id_ = claim_id(case.pending)
    operation: ops.Operation = ops.Post(id_, case.pending, amount) if amount else ops.Void(id_, case.pending)
    over = msgspec.structs.replace(case, stage=stage, returned=amount)
    given = (_given(facts, case.payment) + amount).to_bytes(8, "big")
    by = b"" if asked is None else asked.account

    def says(results: Results) -> tuple[Answer, ...]:
        code = results[0][0].code
        if code and asked is not None:
            return (status_of(asked, step, LEDGER_CODES + code),)
        return tuple(_tell(over, by, text, asked, step))

    def notes(results: Results) -> Notes:
        return (_kept(over), (note_refund(case.payment), given)) if results[0][0].code is Code.OK else ()

    return Verdict(((operation,),), says, notes)


def _given(facts: Facts, payment: bytes) -> int:
    return int.from_bytes(facts.notes.get(note_refund(payment), b""), "big")


def _settled(facts: Facts, payment: bytes) -> tuple[ops.Transfer | ops.Pending, int] | None:
    """The payment and when it was settled, if it was."""
    record = facts.records.get(payment)
    operation = None if record is None or record.code else record.operation
    if record is not None and isinstance(operation, ops.Pending):
        record = facts.records.get(claim_id(payment))
        if record is None or record.code:
            return None
    if record is None or not isinstance(operation, ops.Transfer | ops.Pending):
        return None
    return operation, record.at_ms


# -- what is told ------------------------------------------------------------------------------------------------------
async def told(books: Books, answer: Answer) -> D.Case | None:
    """How a dispute stands, by the operation of its payment or of its pending. Raises ``StoreAway``."""
    payment = answer.operation
    record = (await books.records({payment})).get(payment)
    if record is not None and isinstance(record.operation, ops.Pending) and answer.id == b"":
        payment = record.operation.memo
    case = case_of(await books.cursors({note_dispute(payment)}), payment)
    if case is None:
        return None
    by, text = msgspec.msgpack.decode(answer.memo, type=tuple[bytes, str]) if answer.memo else (b"", "")
    lapsed = case.stage == Stage.OPEN and books.held(case.pending) is None
    return D.Case(
        payment=case.payment, opener=case.opener, payee=case.payee, ledger=case.ledger, exponent=case.exponent,
        amount=case.amount, stage=Stage.LAPSED if lapsed else case.stage, expires_ms=case.expires_ms,
        offers=case.offers, returned=case.returned, by=by, text=text,
    )  # fmt: skip
