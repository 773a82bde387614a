"""What the books say to an operation whose form is right: a check, then the effect.

Checks stand in the order of their codes, and change nothing. Effects are also what a restart replays from the journal:
they never refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from extensions.settlement import operations as ops
from extensions.settlement.codes import Code
from extensions.settlement.currencies import exponent_of, is_currency
from extensions.settlement.operations import Kind
from extensions.settlement.state import ACTIVE, CLOSED, FROZEN, Account, Held, Overlay, Past
from protocol.limits import INT_MAX, LEDGER_PENDING_MS_MAX

_RAIL: Final = int(Kind.RAIL)
_PERSON: Final = int(Kind.PERSON)


# -- checks -----------------------------------------------------------------------------------------------------------
def _check_open_ledger(books: Overlay, past: Past, op: ops.OpenLedger) -> Code:
    if books.exponent(op.ledger) is not None:
        return Code.LEDGER_EXISTS
    if is_currency(op.ledger):
        exponent = exponent_of(op.ledger)
        if exponent is None:
            return Code.CURRENCY_UNKNOWN
        if exponent != op.exponent:
            return Code.EXPONENT_WRONG
    return Code.OK


def _check_open(books: Overlay, past: Past, op: ops.Open) -> Code:
    if books.exponent(op.ledger) is None:
        return Code.LEDGER_NOT_FOUND
    return Code.OK if books.peek((op.ledger, op.owner)) is None else Code.ACCOUNT_EXISTS


def _check_account(books: Overlay, op: ops.SetLimits | ops.Freeze | ops.Unfreeze | ops.Close) -> Code | Account:
    if books.exponent(op.ledger) is None:
        return Code.LEDGER_NOT_FOUND
    account = books.peek((op.ledger, op.owner))
    if account is None:
        return Code.ACCOUNT_NOT_FOUND
    return Code.ACCOUNT_CLOSED if account.status == CLOSED else account


def _check_limits(books: Overlay, past: Past, op: ops.SetLimits) -> Code:
    account = _check_account(books, op)
    return account if isinstance(account, Code) else Code.OK


def _check_freeze(books: Overlay, past: Past, op: ops.Freeze) -> Code:
    account = _check_account(books, op)
    if isinstance(account, Code):
        return account
    return Code.ACCOUNT_FROZEN if account.status == FROZEN else Code.OK


def _check_unfreeze(books: Overlay, past: Past, op: ops.Unfreeze) -> Code:
    account = _check_account(books, op)
    if isinstance(account, Code):
        return account
    return Code.OK if account.status == FROZEN else Code.ACCOUNT_NOT_FROZEN


def _check_close(books: Overlay, past: Past, op: ops.Close) -> Code:
    account = _check_account(books, op)
    if isinstance(account, Code):
        return account
    if account.debits_pending or account.credits_pending:
        return Code.ACCOUNT_HAS_PENDING
    return Code.ACCOUNT_NOT_EMPTY if account.balance else Code.OK


def _check_moving(books: Overlay, past: Past, op: ops.Transfer | ops.Issue | ops.Redeem | ops.Pending) -> Code:
    """Of all that move money between two accounts."""
    ledger = op.ledger
    exponent = books.exponent(ledger)
    if exponent != op.exponent:
        return Code.LEDGER_NOT_FOUND if exponent is None else Code.EXPONENT_WRONG
    if type(op) is ops.Pending and not books.time_ms < op.expires_ms <= books.time_ms + LEDGER_PENDING_MS_MAX:
        return Code.EXPIRY_PASSED if op.expires_ms <= books.time_ms else Code.EXPIRY_TOO_FAR
    debit = books.peek((ledger, op.debit))
    credit = books.peek((ledger, op.credit))
    if debit is None:
        return Code.DEBIT_NOT_FOUND
    if credit is None:
        return Code.CREDIT_NOT_FOUND
    code = _kinds(type(op), debit.kind, credit.kind)
    if debit.status or credit.status or code:
        code = _closed(debit, credit) or code or _frozen(debit, credit)
        if code:
            return code
    return _bounds(debit, credit, op.amount)


def _kinds(kind: type, debit: int, credit: int) -> Code:
    if kind is ops.Issue:
        return Code.OK if debit == _RAIL and credit == _PERSON else Code.RAIL_EXPECTED
    if kind is ops.Redeem:
        return Code.OK if debit == _PERSON and credit == _RAIL else Code.RAIL_EXPECTED
    return Code.RAIL_RESERVED if debit == _RAIL or credit == _RAIL else Code.OK


def _closed(debit: Account, credit: Account) -> Code:
    if debit.status == CLOSED:
        return Code.DEBIT_CLOSED
    return Code.CREDIT_CLOSED if credit.status == CLOSED else Code.OK


def _frozen(debit: Account, credit: Account) -> Code:
    if debit.status == FROZEN:
        return Code.DEBIT_FROZEN
    return Code.CREDIT_FROZEN if credit.status == FROZEN else Code.OK


def _bounds(debit: Account, credit: Account, amount: int) -> Code:
    if debit.amount_max and amount > debit.amount_max:
        return Code.AMOUNT_OVER_LIMIT
    debits = debit.debits_pending + debit.debits_posted + amount
    if debits > INT_MAX:
        return Code.DEBIT_SUM_TOO_LARGE
    credits_ = credit.credits_pending + credit.credits_posted + amount
    if credits_ > INT_MAX:
        return Code.CREDIT_SUM_TOO_LARGE
    if debit.kind == _PERSON and debits > debit.credits_posted:
        return Code.EXCEEDS_CREDITS
    if credit.kind == _RAIL and credits_ > credit.debits_posted:
        return Code.EXCEEDS_DEBITS
    if credit.balance_max and credits_ - credit.debits_posted > credit.balance_max:
        return Code.BALANCE_OVER_LIMIT
    return Code.OK


def _find(books: Overlay, past: Past, id_: bytes) -> Code | Held:
    held = books.held(id_)
    if held is not None:
        return held
    return books.ended(id_) or past.ended.get(id_) or Code.PENDING_NOT_FOUND


def _check_post(books: Overlay, past: Past, op: ops.Post) -> Code:
    held = _find(books, past, op.pending)
    if isinstance(held, Code):
        return held
    if op.amount is not None and op.amount > held.amount:
        return Code.POST_EXCEEDS_PENDING
    debit, credit = books.peek((held.ledger, held.debit)), books.peek((held.ledger, held.credit))
    assert debit is not None
    assert credit is not None
    return _frozen(debit, credit)


def _check_void(books: Overlay, past: Past, op: ops.Void) -> Code:
    held = _find(books, past, op.pending)
    return held if isinstance(held, Code) else Code.OK


# -- effects: what was moved, held or released ------------------------------------------------------------------------
def _do_open_ledger(books: Overlay, op: ops.OpenLedger, sequence: int) -> int:
    books.ledgers[op.ledger] = op.exponent
    return 0


def _do_open(books: Overlay, op: ops.Open, sequence: int) -> int:
    books.accounts[op.ledger, op.owner] = Account(int(op.kind), ACTIVE, op.amount_max, op.balance_max)
    return 0


def _do_limits(books: Overlay, op: ops.SetLimits, sequence: int) -> int:
    account = books.account((op.ledger, op.owner))
    account.amount_max, account.balance_max = op.amount_max, op.balance_max
    return 0


def _do_freeze(books: Overlay, op: ops.Freeze, sequence: int) -> int:
    books.account((op.ledger, op.owner)).status = FROZEN
    return 0


def _do_unfreeze(books: Overlay, op: ops.Unfreeze, sequence: int) -> int:
    books.account((op.ledger, op.owner)).status = ACTIVE
    return 0


def _do_close(books: Overlay, op: ops.Close, sequence: int) -> int:
    books.account((op.ledger, op.owner)).status = CLOSED
    return 0


def _do_move(books: Overlay, op: ops.Transfer | ops.Issue | ops.Redeem, sequence: int) -> int:
    amount = op.amount
    books.account((op.ledger, op.debit)).debits_posted += amount
    books.account((op.ledger, op.credit)).credits_posted += amount
    return amount


def _do_pending(books: Overlay, op: ops.Pending, sequence: int) -> int:
    amount = op.amount
    books.account((op.ledger, op.debit)).debits_pending += amount
    books.account((op.ledger, op.credit)).credits_pending += amount
    books.pendings[op.id] = Held(op.id, op.ledger, op.debit, op.credit, amount, op.expires_ms, sequence)
    return amount


def _release(books: Overlay, id_: bytes) -> tuple[Held, Account, Account]:
    held = books.held(id_)
    assert held is not None
    books.pendings[id_] = None
    debit, credit = books.account((held.ledger, held.debit)), books.account((held.ledger, held.credit))
    debit.debits_pending -= held.amount
    credit.credits_pending -= held.amount
    return held, debit, credit


def _do_post(books: Overlay, op: ops.Post, sequence: int) -> int:
    held, debit, credit = _release(books, op.pending)
    amount = held.amount if op.amount is None else op.amount
    debit.debits_posted += amount
    credit.credits_posted += amount
    return amount


def _do_release(books: Overlay, op: ops.Void | ops.Expire, sequence: int) -> int:
    return _release(books, op.pending)[0].amount


CHECKS: Final[dict[type, Callable[[Overlay, Past, Any], Code]]] = {
    ops.OpenLedger: _check_open_ledger,
    ops.Open: _check_open,
    ops.SetLimits: _check_limits,
    ops.Freeze: _check_freeze,
    ops.Unfreeze: _check_unfreeze,
    ops.Close: _check_close,
    ops.Transfer: _check_moving,
    ops.Issue: _check_moving,
    ops.Redeem: _check_moving,
    ops.Pending: _check_moving,
    ops.Post: _check_post,
    ops.Void: _check_void,
}
EFFECTS: Final[dict[type, Callable[[Overlay, Any, int], int]]] = {
    ops.OpenLedger: _do_open_ledger,
    ops.Open: _do_open,
    ops.SetLimits: _do_limits,
    ops.Freeze: _do_freeze,
    ops.Unfreeze: _do_unfreeze,
    ops.Close: _do_close,
    ops.Transfer: _do_move,
    ops.Issue: _do_move,
    ops.Redeem: _do_move,
    ops.Pending: _do_pending,
    ops.Post: _do_post,
    ops.Void: _do_release,
    ops.Expire: _do_release,
}
