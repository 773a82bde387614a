"""What can come of an operation. The number of a code is its rank: of all that apply, the lowest is the answer.

Three bands, decided in this order:

* 1–19, *form*: follow from the operation alone, so a retry gives the same; never recorded.
* 20–29, *identity*: the id is taken by something else; the first holder stays, so a retry gives the same.
* 30–79, *state*: follow from the books as they stood; recorded under the id, so a retry gives the same even after the
  books have changed. A new attempt is a new id.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Code(IntEnum):
    """The result of an operation; ``OK`` or why not."""

    OK = 0
    OPERATION_UNKNOWN = 1
    CHAIN_TOO_LONG = 2
    ID_INVALID = 3
    OWNER_INVALID = 4
    LEDGER_INVALID = 5
    EXPONENT_INVALID = 6
    AMOUNT_NOT_INTEGER = 7
    AMOUNT_NOT_POSITIVE = 8
    AMOUNT_TOO_LARGE = 9
    EXPIRY_INVALID = 10
    KIND_INVALID = 11
    LIMIT_INVALID = 12
    MEMO_INVALID = 13
    SAME_ACCOUNT = 14
    ID_TWICE = 19
    ID_REUSED = 20
    CHAIN_CHANGED = 21
    LINKED_FAILED = 30
    LEDGER_EXISTS = 31
    CURRENCY_UNKNOWN = 32
    LEDGER_NOT_FOUND = 33
    EXPONENT_WRONG = 34
    EXPIRY_PASSED = 35
    EXPIRY_TOO_FAR = 36
    PENDING_NOT_FOUND = 37
    PENDING_POSTED = 38
    PENDING_VOIDED = 39
    PENDING_EXPIRED = 40
    POST_EXCEEDS_PENDING = 41
    ACCOUNT_EXISTS = 42
    ACCOUNT_NOT_FOUND = 43
    DEBIT_NOT_FOUND = 44
    CREDIT_NOT_FOUND = 45
    ACCOUNT_CLOSED = 46
    DEBIT_CLOSED = 47
    CREDIT_CLOSED = 48
    RAIL_EXPECTED = 49
    RAIL_RESERVED = 50
    ACCOUNT_FROZEN = 51
    ACCOUNT_NOT_FROZEN = 52
    DEBIT_FROZEN = 53
    CREDIT_FROZEN = 54
    ACCOUNT_HAS_PENDING = 55
    ACCOUNT_NOT_EMPTY = 56
    AMOUNT_OVER_LIMIT = 57
    DEBIT_SUM_TOO_LARGE = 58
    CREDIT_SUM_TOO_LARGE = 59
    EXCEEDS_CREDITS = 60
    EXCEEDS_DEBITS = 61
    BALANCE_OVER_LIMIT = 62
    INTERNAL = 99


RECORDED_MIN: Final = Code.LINKED_FAILED
RECORDED_MAX: Final = Code.BALANCE_OVER_LIMIT

TEXTS: Final[dict[Code, str]] = {
    Code.OK: "done",
    Code.OPERATION_UNKNOWN: "not an operation of this ledger",
    Code.CHAIN_TOO_LONG: "more operations in a linked chain than LEDGER_CHAIN_MAX",
    Code.ID_INVALID: "the id (or the pending's id) is not 1 to LEDGER_ID_BYTES_MAX bytes",
    Code.OWNER_INVALID: "an owner is not 32 bytes",
    Code.LEDGER_INVALID: "not the name of a ledger: three capitals (ISO 4217), or small letters, digits and hyphens",
    Code.EXPONENT_INVALID: "the exponent is not an integer from 0 to LEDGER_EXPONENT_MAX",
    Code.AMOUNT_NOT_INTEGER: "the amount is not an integer: a bool, a float and a text are none",
    Code.AMOUNT_NOT_POSITIVE: "the amount is zero or negative",
    Code.AMOUNT_TOO_LARGE: "the amount is above INT_MAX",
    Code.EXPIRY_INVALID: "the expiry is not an integer from 1 to INT_MAX; every pending has one",
    Code.KIND_INVALID: "not a kind of account",
    Code.LIMIT_INVALID: "a limit is not an integer from 0 (none) to INT_MAX",
    Code.MEMO_INVALID: "the memo is not bytes, or has more than LEDGER_MEMO_BYTES_MAX",
    Code.SAME_ACCOUNT: "debit and credit are the same account",
    Code.ID_TWICE: "an id occurs twice in one chain",
    Code.ID_REUSED: "the id stands for another operation; `field` names the first difference",
    Code.CHAIN_CHANGED: "some of the chain was recorded before as part of another one, this member was not",
    Code.LINKED_FAILED: "another operation of the chain failed, so nothing of it was done",
    Code.LEDGER_EXISTS: "the ledger is open already",
    Code.CURRENCY_UNKNOWN: "no currency of ISO 4217 that has a minor unit",
    Code.LEDGER_NOT_FOUND: "no such ledger is open",
    Code.EXPONENT_WRONG: "the exponent is not that of the ledger, so the amount means something else",
    Code.EXPIRY_PASSED: "the expiry is not after the ledger's time",
    Code.EXPIRY_TOO_FAR: "the expiry is further ahead than LEDGER_PENDING_MS_MAX",
    Code.PENDING_NOT_FOUND: "no pending was made under that id",
    Code.PENDING_POSTED: "the pending was posted already",
    Code.PENDING_VOIDED: "the pending was voided already",
    Code.PENDING_EXPIRED: "the pending has expired",
    Code.POST_EXCEEDS_PENDING: "more than the pending holds",
    Code.ACCOUNT_EXISTS: "the owner has an account in this ledger already",
    Code.ACCOUNT_NOT_FOUND: "no such account",
    Code.DEBIT_NOT_FOUND: "the account to debit does not exist",
    Code.CREDIT_NOT_FOUND: "the account to credit does not exist",
    Code.ACCOUNT_CLOSED: "the account is closed, for good",
    Code.DEBIT_CLOSED: "the account to debit is closed",
    Code.CREDIT_CLOSED: "the account to credit is closed",
    Code.RAIL_EXPECTED: "issue debits and redeem credits a rail account, and a person's on the other side",
    Code.RAIL_RESERVED: "a rail account moves by issue and redeem only",
    Code.ACCOUNT_FROZEN: "the account is frozen already",
    Code.ACCOUNT_NOT_FROZEN: "the account is not frozen",
    Code.DEBIT_FROZEN: "the account to debit is frozen",
    Code.CREDIT_FROZEN: "the account to credit is frozen",
    Code.ACCOUNT_HAS_PENDING: "a pending of the account is open: post, void or let it expire first",
    Code.ACCOUNT_NOT_EMPTY: "the account's balance is not zero",
    Code.AMOUNT_OVER_LIMIT: "more than the account to debit may move at once",
    Code.DEBIT_SUM_TOO_LARGE: "the debits of the account would pass INT_MAX",
    Code.CREDIT_SUM_TOO_LARGE: "the credits of the account would pass INT_MAX",
    Code.EXCEEDS_CREDITS: "not enough money: debits would exceed credits",
    Code.EXCEEDS_DEBITS: "more than the rail ever issued: credits would exceed debits",
    Code.BALANCE_OVER_LIMIT: "the account to credit may not hold so much",
    Code.INTERNAL: "a fault of the ledger, not of the operation; nothing was done, and the same id may be tried again",
}


def is_recorded(code: Code) -> bool:
    """Whether this result is kept under the operation's id."""
    return code is Code.OK or RECORDED_MIN <= code <= RECORDED_MAX


def table() -> str:
    """The codes as the Markdown table of ``DESIGN.md``, in order of precedence."""
    lines = ["| rank | code | recorded | what |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {int(code)} | {code.name} | {'yes' if is_recorded(code) else 'no'} | {TEXTS[code]} |" for code in Code
    ]
    return "\n".join(lines)
