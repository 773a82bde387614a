"""Each rule of the books, by name: the documented code, and what moved."""

from __future__ import annotations

from typing import Any

import pytest

from extensions.settlement import operations as ops
from extensions.settlement.codes import Code
from protocol.limits import INT_MAX, LEDGER_PENDING_MS_MAX
from tests.support.ledger_desk import ANN, BOB, EVE, RAIL, Desk
from tests.support.ledger_random import owner


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_transfer_moves_money(desk: Desk) -> None:
    result = desk.ask(desk.transfer(30))
    assert (result.code, result.amount) == (Code.OK, 30)
    assert desk.balances() == [970, 1030, 0]


def test_ledgers_open_once_with_the_right_exponent(desk: Desk) -> None:
    for name, exponent, code in (
        ("EUR", 2, Code.LEDGER_EXISTS), ("JPY", 2, Code.EXPONENT_WRONG), ("QQQ", 2, Code.CURRENCY_UNKNOWN),
        ("XAU", 0, Code.CURRENCY_UNKNOWN), ("JPY", 0, Code.OK), ("points", 5, Code.OK),
    ):  # fmt: skip
        assert desk.ask(ops.OpenLedger(desk.id(), name, exponent)).code is code


def test_an_unknown_currency_and_a_wrong_exponent(desk: Desk) -> None:
    assert desk.ask(desk.transfer(ledger="USD")).code is Code.LEDGER_NOT_FOUND
    assert desk.ask(desk.transfer(exponent=3)).code is Code.EXPONENT_WRONG
    assert desk.ask(ops.Open(desk.id(), ANN, "USD")).code is Code.LEDGER_NOT_FOUND
    assert desk.ask(ops.Freeze(desk.id(), ANN, "USD")).code is Code.LEDGER_NOT_FOUND


def test_accounts_open_once_and_must_be_there(desk: Desk) -> None:
    nobody = owner(99)
    assert desk.ask(ops.Open(desk.id(), ANN, "EUR")).code is Code.ACCOUNT_EXISTS
    assert desk.ask(desk.transfer(debit=nobody)).code is Code.DEBIT_NOT_FOUND
    assert desk.ask(desk.transfer(credit=nobody)).code is Code.CREDIT_NOT_FOUND
    for kind in (ops.Freeze, ops.Unfreeze, ops.Close):
        assert desk.ask(kind(desk.id(), nobody, "EUR")).code is Code.ACCOUNT_NOT_FOUND
    assert desk.ask(ops.SetLimits(desk.id(), nobody, "EUR", 0, 0)).code is Code.ACCOUNT_NOT_FOUND


def test_nobody_spends_what_they_do_not_have(desk: Desk) -> None:
    assert desk.ask(desk.transfer(1001)).code is Code.EXCEEDS_CREDITS
    assert desk.ask(desk.pending(600)).code is Code.OK
    assert desk.ask(desk.transfer(401)).code is Code.EXCEEDS_CREDITS
    assert desk.ask(desk.transfer(400)).code is Code.OK
    assert desk.account(ANN).available == 0


def test_what_is_pending_for_somebody_cannot_be_spent_yet(desk: Desk) -> None:
    desk.ask(desk.pending(100, credit=EVE))
    assert desk.ask(desk.transfer(1, debit=EVE)).code is Code.EXCEEDS_CREDITS


def test_post_in_full_in_part_and_void(desk: Desk) -> None:
    full, part, void = desk.pending(100), desk.pending(100), desk.pending(100)
    desk.batch((full,), (part,), (void,))
    assert desk.ask(ops.Post(desk.id(), full.id)).amount == 100
    assert desk.ask(ops.Post(desk.id(), part.id, 30)).amount == 30
    assert desk.ask(ops.Void(desk.id(), void.id)).amount == 100
    assert desk.balances() == [870, 1130, 0]
    assert desk.account(ANN).debits_pending == 0
    assert desk.account(BOB).credits_pending == 0


def test_post_more_than_is_pending_leaves_it_open(desk: Desk) -> None:
    pending = desk.pending(10)
    desk.ask(pending)
    assert desk.ask(ops.Post(desk.id(), pending.id, 11)).code is Code.POST_EXCEEDS_PENDING
    assert desk.ask(ops.Post(desk.id(), pending.id, 10)).code is Code.OK


def test_post_twice_and_void_after_post(desk: Desk) -> None:
    pending = desk.pending(10)
    desk.ask(pending)
    desk.ask(ops.Post(desk.id(), pending.id))
    assert desk.ask(ops.Post(desk.id(), pending.id)).code is Code.PENDING_POSTED
    assert desk.ask(ops.Void(desk.id(), pending.id)).code is Code.PENDING_POSTED


def test_post_after_void_and_what_was_never_pending(desk: Desk) -> None:
    pending, transfer, poor = desk.pending(10), desk.transfer(1), desk.pending(5000)
    desk.batch((pending,), (transfer,), (poor,))
    desk.ask(ops.Void(desk.id(), pending.id))
    assert desk.ask(ops.Post(desk.id(), pending.id)).code is Code.PENDING_VOIDED
    for name in (transfer.id, poor.id, b"nothing"):
        assert desk.ask(ops.Post(desk.id(), name)).code is Code.PENDING_NOT_FOUND


def test_an_expiry_lies_ahead_but_not_too_far(desk: Desk) -> None:
    assert desk.ask(desk.pending(1, 0)).code is Code.EXPIRY_PASSED
    assert desk.ask(desk.pending(1, LEDGER_PENDING_MS_MAX + 1)).code is Code.EXPIRY_TOO_FAR
    assert desk.ask(desk.pending(1, LEDGER_PENDING_MS_MAX)).code is Code.OK


def test_a_rail_moves_by_issue_and_redeem_only(desk: Desk) -> None:
    def move(kind: Any, debit: bytes, credit: bytes, amount: int = 1) -> Code:
        return desk.ask(kind(desk.id(), debit, credit, "EUR", 2, amount)).code

    assert move(ops.Transfer, RAIL, ANN) is Code.RAIL_RESERVED
    assert move(ops.Transfer, ANN, RAIL) is Code.RAIL_RESERVED
    assert desk.ask(desk.pending(1, credit=RAIL)).code is Code.RAIL_RESERVED
    assert move(ops.Issue, ANN, BOB) is Code.RAIL_EXPECTED
    assert move(ops.Issue, ANN, RAIL) is Code.RAIL_EXPECTED
    assert move(ops.Redeem, RAIL, ANN) is Code.RAIL_EXPECTED
    assert move(ops.Redeem, ANN, BOB) is Code.RAIL_EXPECTED
    assert move(ops.Redeem, ANN, RAIL, 400) is Code.OK
    assert desk.account(RAIL).balance == -1600


def test_a_rail_takes_back_no_more_than_it_issued(desk: Desk) -> None:
    bank = ops.rail_account("bank")
    desk.ask(ops.Open(desk.id(), bank, "EUR", ops.Kind.RAIL))
    assert desk.ask(ops.Redeem(desk.id(), ANN, bank, "EUR", 2, 1)).code is Code.EXCEEDS_DEBITS


def test_frozen_accounts_hold_still_and_release(desk: Desk) -> None:
    pending, other = desk.pending(10), desk.pending(10)
    desk.batch((pending,), (other,))
    desk.ask(ops.Freeze(desk.id(), ANN, "EUR"))
    assert desk.ask(ops.Freeze(desk.id(), ANN, "EUR")).code is Code.ACCOUNT_FROZEN
    assert desk.ask(desk.transfer()).code is Code.DEBIT_FROZEN
    assert desk.ask(desk.transfer(debit=BOB, credit=ANN)).code is Code.CREDIT_FROZEN
    assert desk.ask(ops.Post(desk.id(), pending.id)).code is Code.DEBIT_FROZEN
    assert desk.ask(ops.Void(desk.id(), other.id)).code is Code.OK
    assert desk.ask(ops.Unfreeze(desk.id(), ANN, "EUR")).code is Code.OK
    assert desk.ask(ops.Unfreeze(desk.id(), ANN, "EUR")).code is Code.ACCOUNT_NOT_FROZEN
    desk.ask(ops.Freeze(desk.id(), BOB, "EUR"))
    assert desk.ask(ops.Post(desk.id(), pending.id)).code is Code.CREDIT_FROZEN


def test_an_account_with_an_open_pending_cannot_be_closed(desk: Desk) -> None:
    pending = desk.pending(10, credit=EVE)
    desk.ask(pending)
    assert desk.ask(ops.Close(desk.id(), EVE, "EUR")).code is Code.ACCOUNT_HAS_PENDING
    assert desk.ask(ops.Close(desk.id(), ANN, "EUR")).code is Code.ACCOUNT_HAS_PENDING
    desk.ask(ops.Void(desk.id(), pending.id))
    assert desk.ask(ops.Close(desk.id(), ANN, "EUR")).code is Code.ACCOUNT_NOT_EMPTY
    assert desk.ask(ops.Close(desk.id(), EVE, "EUR")).code is Code.OK
    assert desk.ask(desk.transfer(credit=EVE)).code is Code.CREDIT_CLOSED
    assert desk.ask(desk.transfer(debit=EVE)).code is Code.DEBIT_CLOSED
    for kind in (ops.Freeze, ops.Unfreeze, ops.Close):
        assert desk.ask(kind(desk.id(), EVE, "EUR")).code is Code.ACCOUNT_CLOSED
    assert desk.ask(ops.SetLimits(desk.id(), EVE, "EUR", 0, 0)).code is Code.ACCOUNT_CLOSED
    assert desk.ask(ops.Open(desk.id(), EVE, "EUR")).code is Code.ACCOUNT_EXISTS


def test_limits_of_one_account(desk: Desk) -> None:
    desk.ask(ops.SetLimits(desk.id(), ANN, "EUR", 50, 1010))
    assert desk.ask(desk.transfer(51)).code is Code.AMOUNT_OVER_LIMIT
    assert desk.ask(desk.transfer(50)).code is Code.OK
    assert desk.ask(desk.transfer(61, debit=BOB, credit=ANN)).code is Code.BALANCE_OVER_LIMIT
    assert desk.ask(desk.transfer(60, debit=BOB, credit=ANN)).code is Code.OK


def test_sums_are_bounded_on_both_sides(desk: Desk) -> None:
    bank, most = ops.rail_account("bank"), INT_MAX - 1000
    desk.ask(ops.Open(desk.id(), bank, "EUR", ops.Kind.RAIL))
    assert desk.ask(ops.Issue(desk.id(), RAIL, ANN, "EUR", 2, most)).code is Code.DEBIT_SUM_TOO_LARGE
    assert desk.ask(ops.Issue(desk.id(), bank, ANN, "EUR", 2, most)).code is Code.OK
    assert desk.account(ANN).credits_posted == INT_MAX
    assert desk.ask(desk.transfer(1, debit=BOB, credit=ANN)).code is Code.CREDIT_SUM_TOO_LARGE


def test_of_all_that_is_wrong_the_lowest_code_is_the_answer(desk: Desk) -> None:
    desk.ask(ops.Freeze(desk.id(), ANN, "EUR"))
    assert desk.ask(desk.transfer(5000)).code is Code.DEBIT_FROZEN
    assert desk.ask(desk.transfer(5000, credit=owner(98))).code is Code.CREDIT_NOT_FOUND
    assert desk.ask(desk.transfer(5000, exponent=1, credit=owner(98))).code is Code.EXPONENT_WRONG
