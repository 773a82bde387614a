"""Bad input: one documented outcome each, by name; nothing raises and no money moves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extensions.settlement import operations as ops
from extensions.settlement.codes import Code
from extensions.settlement.forms import chain_form, form
from protocol.limits import INT_MAX, LEDGER_CHAIN_MAX
from tests.support.ledger_desk import ANN, BOB, Desk

GOOD: dict[str, Any] = {"id": b"i", "debit": ANN, "credit": BOB, "ledger": "EUR", "exponent": 2, "amount": 1}
ODD: list[Any] = [None, True, 1.0, -1, 0, "", "x", b"", b"x", 2**64, [], {}, object(), float("nan"), ANN]


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (0, Code.AMOUNT_NOT_POSITIVE),
        (-1, Code.AMOUNT_NOT_POSITIVE),
        (True, Code.AMOUNT_NOT_INTEGER),
        (1.0, Code.AMOUNT_NOT_INTEGER),
        ("1", Code.AMOUNT_NOT_INTEGER),
        (None, Code.AMOUNT_NOT_INTEGER),
        (INT_MAX + 1, Code.AMOUNT_TOO_LARGE),
        (2**63, Code.AMOUNT_TOO_LARGE),
        (2**64, Code.AMOUNT_TOO_LARGE),
        (INT_MAX, Code.CREDIT_SUM_TOO_LARGE),
    ],
)
def test_a_bad_amount(amount: object, code: Code) -> None:
    desk = Desk()
    assert desk.ask(desk.transfer(amount)).code is code
    assert desk.balances() == [1000, 1000, 0]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"id": b""}, Code.ID_INVALID),
        ({"id": b"x" * 65}, Code.ID_INVALID),
        ({"id": "text"}, Code.ID_INVALID),
        ({"debit": b"short"}, Code.OWNER_INVALID),
        ({"credit": None}, Code.OWNER_INVALID),
        ({"ledger": "Eur"}, Code.LEDGER_INVALID),
        ({"ledger": 5}, Code.LEDGER_INVALID),
        ({"exponent": -1}, Code.EXPONENT_INVALID),
        ({"exponent": 9}, Code.EXPONENT_INVALID),
        ({"exponent": True}, Code.EXPONENT_INVALID),
        ({"memo": b"m" * 257}, Code.MEMO_INVALID),
        ({"memo": "m"}, Code.MEMO_INVALID),
        ({"credit": ANN}, Code.SAME_ACCOUNT),
        ({"amount": 0, "ledger": ""}, Code.LEDGER_INVALID),
    ],
)
def test_a_bad_transfer(changes: dict[str, Any], code: Code) -> None:
    assert form(ops.Transfer(**{**GOOD, **changes})) is code


@pytest.mark.parametrize("expires_ms", [0, -1, None, True, INT_MAX + 1, 1.5])
def test_a_pending_without_a_good_expiry(expires_ms: Any) -> None:
    assert form(ops.Pending(**GOOD, expires_ms=expires_ms)) is Code.EXPIRY_INVALID


def test_the_other_kinds() -> None:
    assert form(ops.OpenLedger(b"i", "", 2)) is Code.LEDGER_INVALID
    assert form(ops.OpenLedger(b"i", "EUR", 10)) is Code.EXPONENT_INVALID
    assert form(ops.OpenLedger(b"i", "EUR", 2)) is Code.OK
    assert form(ops.Open(b"i", ANN, "EUR", 2)) is Code.KIND_INVALID
    assert form(ops.Open(b"i", ANN, "EUR", True)) is Code.KIND_INVALID
    assert form(ops.Open(b"i", ANN, "EUR", ops.Kind.RAIL, -1)) is Code.LIMIT_INVALID
    assert form(ops.Open(b"i", ANN, "EUR")) is Code.OK
    assert form(ops.SetLimits(b"i", ANN, "EUR", 0, INT_MAX + 1)) is Code.LIMIT_INVALID
    assert form(ops.SetLimits(b"i", b"", "EUR", 0, 0)) is Code.OWNER_INVALID
    assert form(ops.Freeze(b"i", ANN, "")) is Code.LEDGER_INVALID
    assert form(ops.Post(b"i", b"")) is Code.ID_INVALID
    assert form(ops.Post(b"i", b"p", 0)) is Code.AMOUNT_NOT_POSITIVE
    assert form(ops.Post(b"i", b"p", None, None)) is Code.MEMO_INVALID  # type: ignore[arg-type]
    assert form(ops.Post(b"i", b"p")) is Code.OK
    assert form(ops.Void(b"i", b"")) is Code.ID_INVALID
    assert form(ops.Void(b"i", b"p")) is Code.OK


def test_nobody_can_ask_for_an_expiry_or_for_what_is_no_operation() -> None:
    assert form(ops.Expire(b"i", b"p")) is Code.OPERATION_UNKNOWN
    for thing in ODD:
        assert form(thing) is Code.OPERATION_UNKNOWN


@given(st.sampled_from([ops.Transfer, ops.Pending, ops.Open, ops.Post, ops.OpenLedger, ops.SetLimits]), st.data())
def test_nothing_raises_whatever_the_fields_hold(kind: Any, data: st.DataObject) -> None:
    fields = {name: data.draw(st.sampled_from(ODD)) for name in kind.__struct_fields__}
    assert isinstance(form(kind(**fields)), Code)


def test_chains() -> None:
    good, bad = ops.Transfer(**GOOD), ops.Transfer(**{**GOOD, "amount": 0})
    others = [ops.Void(b"v%d" % n, b"p") for n in range(LEDGER_CHAIN_MAX)]
    assert chain_form((good, others[0])) == (0, Code.OK)
    assert chain_form((good, bad)) == (1, Code.AMOUNT_NOT_POSITIVE)
    assert chain_form((good, others[0], good)) == (2, Code.ID_TWICE)
    assert chain_form((good, *others)) == (0, Code.CHAIN_TOO_LONG)


def test_names_beyond_what_is_remembered_are_still_judged() -> None:
    for n in range(400):
        assert form(ops.OpenLedger(b"i", f"points-{n}", 2)) is Code.OK
        assert form(ops.OpenLedger(b"i", f"POINTS-{n}", 2)) is Code.LEDGER_INVALID
