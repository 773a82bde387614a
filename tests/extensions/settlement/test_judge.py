"""Decisions from facts: one outcome each, and what is known is never taken back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from extensions.settlement import judge as J
from extensions.settlement import operations as ops
from extensions.settlement.codes import Code
from extensions.settlement.intents import Asked, Cancelling, Opening, Payment, Refusal
from extensions.settlement.operations import Record, Result
from extensions.settlement.state import Account, Held
from protocol.codec import encode_struct
from protocol.identity import Device, DeviceList, SigningKey
from protocol.ids import pair_topic
from protocol.messages import pay as P
from protocol.messages.pay import State
from protocol.payments import Authorization, PayCode, open_authorization, sign_authorization

WORKER, PAYER, PAYEE = b"w" * 32, b"p" * 32, b"q" * 32
KEY = SigningKey(b"k" * 32)
ASKED = Asked(PAYER, pair_topic(WORKER, PAYER), b"m" * 16, 1, WORKER)
OPEN = {J.note_wallet("EUR", PAYEE): b"1"}
LISTS = {PAYER: DeviceList(PAYER, 1, 0, 10**15, (Device(KEY.public, b"x" * 32, 0, True),))}
DAY = 5 * 86_400_000
OK = (Result(Code.OK, 9, 20, 5),)


def payment(shown: P.Request | None = None, /, **changed: Any) -> Payment:
    good = Authorization(WORKER, PAYER, PAYEE, "EUR", 2, 5, b"i" * 16, DAY, DAY + 86_400_000)
    opened, signed = open_authorization(sign_authorization(msgspec.structs.replace(good, **changed), KEY))
    return Payment(ASKED, opened, signed, True, shown)


def request(**changed: Any) -> P.Request:
    values = {"payee": PAYEE, "worker": WORKER, "ledger": "EUR", "exponent": 2, "expires_ms": 2 * DAY, "amount": 5}
    return P.Request(**{**values, **changed})


def facts(**changed: Any) -> J.Facts:
    values: dict[str, Any] = {
        "notes": OPEN, "records": {}, "devices": LISTS, "now_ms": DAY + 1, "account": lambda ledger, owner: None,
        "held": lambda id_: None, "held_for": lambda ledger, owner: [],
    }  # fmt: skip
    return J.Facts(**{**values, **changed})


def code(verdict: J.Verdict) -> int:
    assert verdict.chains == ()
    assert verdict.notes([]) == ()
    return verdict.says([])[0].code


def test_a_payment_moves() -> None:
    verdict = J.judge(payment(), facts())
    ((transfer,),) = verdict.chains
    assert isinstance(transfer, ops.Transfer)
    assert verdict.says([OK])[0].state == State.SETTLED
    assert verdict.notes([OK]) == ()
    failed = verdict.says([(Result(Code.EXCEEDS_CREDITS),)])[0]
    assert (failed.state, failed.code, failed.kind) == (State.FAILED, 1060, "status")
    assert verdict.says([(Result(Code.INTERNAL),)])[0].state == State.UNKNOWN


def test_a_payee_without_a_wallet() -> None:
    assert code(J.judge(payment(), facts(notes={}))) == PayCode.PAYEE_WITHOUT_WALLET
    verdict = J.judge(payment(claim_ms=10**15), facts(notes={}))
    assert [type(chain[0]) for chain in verdict.chains] == [ops.Open, ops.Pending]
    assert verdict.says([OK, OK])[0].state == State.HELD
    verdict = J.judge(payment(claim_ms=5), facts(notes={}, account=lambda ledger, owner: Account(0)))
    assert [type(chain[0]) for chain in verdict.chains] == [ops.Pending]


@pytest.mark.parametrize(
    ("asked", "changed", "wanted"),
    [
        ({}, {"devices": {}}, PayCode.DEVICE_UNKNOWN),
        ({}, {"now_ms": 2 * DAY}, PayCode.EXPIRED),
        ({"request": b"r" * 32}, {}, PayCode.REQUEST_MISMATCH),
        ({"original": b"o" * 48}, {}, PayCode.ORIGINAL_NOT_FOUND),
    ],
)
def test_refusals(asked: dict[str, Any], changed: dict[str, Any], wanted: PayCode) -> None:
    assert code(J.judge(payment(**asked), facts(**changed))) == wanted


def test_not_yet_is_not_never() -> None:
    (answer,) = J.judge(payment(), facts(now_ms=1)).says([])
    assert (answer.state, answer.code) == (State.PENDING, PayCode.NOT_YET)


@pytest.mark.parametrize(
    ("changed", "note", "wanted"),
    [
        ({"payee": b"x" * 32}, b"", PayCode.REQUEST_MISMATCH), ({"exponent": 3}, b"", PayCode.REQUEST_MISMATCH),
        ({"expires_ms": DAY}, b"", PayCode.REQUEST_EXPIRED), ({"payer": b"x" * 32}, b"", PayCode.REQUEST_NOT_YOURS),
        ({}, J.CANCELLED, PayCode.REQUEST_CANCELLED), ({}, J.PAID + b"o", PayCode.REQUEST_PAID),
        ({"amount": 6}, b"", PayCode.AMOUNT_OUTSIDE_REQUEST),
    ],
)  # fmt: skip
def test_requests(changed: dict[str, Any], note: bytes, wanted: PayCode) -> None:
    notes = OPEN | ({J.note_request(b"r" * 32): note} if note else {})
    assert code(J.judge(payment(request(**changed), request=b"r" * 32), facts(notes=notes))) == wanted


def test_a_request_is_paid_once() -> None:
    paying = payment(request(), request=b"r" * 32)
    verdict = J.judge(paying, facts())
    assert verdict.notes([OK]) == ((J.note_request(b"r" * 32), J.PAID + paying.operation),)
    assert verdict.notes([(Result(Code.EXCEEDS_CREDITS),)]) == ()


def test_refunds_never_exceed() -> None:
    original = ops.Transfer(b"o" * 48, PAYEE, PAYER, "EUR", 2, 7)
    records = {b"o" * 48: Record(1, 1, 0, 7, original)}
    verdict = J.judge(payment(original=b"o" * 48), facts(records=records))
    assert verdict.notes([OK]) == ((J.note_refund(b"o" * 48), (5).to_bytes(8, "big")),)
    given = OPEN | {J.note_refund(b"o" * 48): (3).to_bytes(8, "big")}
    assert code(J.judge(payment(original=b"o" * 48), facts(records=records, notes=given))) == PayCode.REFUND_TOO_LARGE
    foreign = {b"o" * 48: Record(1, 1, 0, 7, msgspec.structs.replace(original, credit=b"x" * 32))}
    assert code(J.judge(payment(original=b"o" * 48), facts(records=foreign))) == PayCode.ORIGINAL_NOT_FOUND
    held = {b"o" * 48: Record(1, 1, 0, 7, ops.Pending(b"o" * 48, PAYEE, PAYER, "EUR", 2, 7, 99))}
    assert code(J.judge(payment(original=b"o" * 48), facts(records=held))) == PayCode.ORIGINAL_NOT_FOUND
    claimed = held | {J.claim_id(b"o" * 48): Record(2, 2, 0, 7, ops.Post(b"c", b"o" * 48))}
    assert J.judge(payment(original=b"o" * 48), facts(records=claimed)).chains


def test_what_is_known_is_answered_whatever_has_changed() -> None:
    paying = payment()
    known = Record(3, 4, 0, 5, ops.Transfer(paying.operation, PAYER, PAYEE, "EUR", 2, 5))
    late = facts(records={paying.operation: known}, now_ms=10**14, devices={})
    assert J.judge(paying, late).says([])[0].state == State.SETTLED
    assert code(J.judge(payment(amount=6), late)) == PayCode.ID_REUSED
    back = facts(records={paying.operation: known}, notes={J.note_refund(paying.operation): (5).to_bytes(8, "big")})
    assert J.judge(paying, back).says([])[0].state == State.REVERSED
    refused = facts(records={paying.operation: msgspec.structs.replace(known, code=60)})
    assert J.judge(paying, refused).says([])[0].code == 1060


def test_what_was_held() -> None:
    paying = payment(claim_ms=5)
    known = Record(3, 4, 0, 5, ops.Pending(paying.operation, PAYER, PAYEE, "EUR", 2, 5, 99))
    held = Held(paying.operation, "EUR", PAYER, PAYEE, 5, 99, 3)
    records = {paying.operation: known}
    assert J.judge(paying, facts(records=records, held=lambda id_: held)).says([])[0].state == State.HELD
    assert J.judge(paying, facts(records=records)).says([])[0].state == State.EXPIRED
    records |= {J.claim_id(paying.operation): Record(5, 5, 0, 5, ops.Post(b"c", paying.operation))}
    assert J.judge(paying, facts(records=records)).says([])[0].state == State.SETTLED
    (answer,) = J.expired(Record(6, 7, 0, 5, ops.Expire(b"", held.id)), held)
    assert (answer.to, answer.state, answer.id) == (PAYER, State.EXPIRED, b"i" * 16)


def test_opening_claims_what_waits() -> None:
    held = Held(b"h" * 48, "EUR", PAYEE, PAYER, 5, 99, 3)
    verdict = J.judge(Opening(ASKED, "EUR"), facts(held_for=lambda ledger, owner: [held]))
    assert [type(chain[0]) for chain in verdict.chains] == [ops.Open, ops.Post]
    answers = verdict.says([OK, OK])
    assert [(a.kind, a.to) for a in answers] == [("balance", PAYER), ("receipt", PAYEE), ("receipt", PAYER)]
    assert verdict.notes([OK, OK]) == ((J.note_wallet("EUR", PAYER), b"1"),)
    failed = [(Result(Code.LEDGER_NOT_FOUND),), OK]
    assert verdict.says(failed)[0].code == 1033
    assert verdict.notes(failed) == ()
    again = J.judge(Opening(ASKED, "EUR"), facts(account=lambda ledger, owner: Account(0)))
    assert again.chains == ()
    assert again.notes([])


def test_cancelling() -> None:
    cancelling = Cancelling(ASKED, b"i" * 16, b"r" * 32)
    verdict = J.judge(cancelling, facts())
    assert verdict.says([])[0].code == PayCode.REQUEST_CANCELLED
    assert verdict.notes([]) == ((J.note_request(b"r" * 32), J.CANCELLED),)
    paid = facts(notes={J.note_request(b"r" * 32): J.PAID + b"o"})
    assert J.judge(cancelling, paid).says([])[0].state == State.SETTLED


def test_what_each_needs_and_touches() -> None:
    paying = payment(request=b"r" * 32)
    notes, records = J.keys(paying)
    assert J.note_request(b"r" * 32) in notes
    assert paying.operation in records
    refund = payment(original=b"o" * 48)
    assert b"o" * 48 in J.keys(refund)[1]
    assert J.note_refund(b"o" * 48) in J.touches(refund)
    assert J.touches(paying) == {paying.operation, J.note_request(b"r" * 32)}
    for intent in (Opening(ASKED, "EUR"), Cancelling(ASKED, b"i", b"r" * 32)):
        assert J.touches(intent) == J.keys(intent)[0]
    refusal = Refusal(ASKED, b"i", PayCode.EXPIRED)
    assert J.keys(refusal) == (set(), set())
    assert J.touches(refusal) == set()
    assert code(J.judge(refusal, facts())) == PayCode.EXPIRED
    assert encode_struct(J.note_topic(b"t"))
