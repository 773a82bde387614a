"""The form of an operation, judged without the books. Checks stand in the order of their codes.

Rule 1. Nothing here raises, whatever the fields hold: types are compared by ``type(x) is``, so a ``bool`` is no number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from extensions.settlement import operations as ops
from extensions.settlement.codes import Code
from extensions.settlement.currencies import is_ledger_name
from protocol.limits import (
    INT_MAX,
    KEY_BYTES,
    LEDGER_CHAIN_MAX,
    LEDGER_EXPONENT_MAX,
    LEDGER_ID_BYTES_MAX,
    LEDGER_MEMO_BYTES_MAX,
)

_NAMES_KEPT: Final = 256
_names: dict[str, bool] = {}  # judged ledger names: the same few come again with every operation


def _id(value: Any) -> bool:
    return type(value) is bytes and 0 < len(value) <= LEDGER_ID_BYTES_MAX


def _owner(value: Any) -> bool:
    return type(value) is bytes and len(value) == KEY_BYTES


def _ledger(value: Any) -> bool:
    if type(value) is not str:
        return False
    known = _names.get(value)
    if known is None:
        known = is_ledger_name(value)
        if len(_names) < _NAMES_KEPT:
            _names[value] = known
    return known


def _exponent(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LEDGER_EXPONENT_MAX


def _amount(value: Any) -> Code:
    if type(value) is not int:
        return Code.AMOUNT_NOT_INTEGER
    if value <= 0:
        return Code.AMOUNT_NOT_POSITIVE
    return Code.AMOUNT_TOO_LARGE if value > INT_MAX else Code.OK


def _memo(value: Any) -> bool:
    return type(value) is bytes and len(value) <= LEDGER_MEMO_BYTES_MAX


def _limit(value: Any) -> bool:
    return type(value) is int and 0 <= value <= INT_MAX


def _open_ledger(op: ops.OpenLedger) -> Code:
    if not _ledger(op.ledger):
        return Code.LEDGER_INVALID
    return Code.OK if _exponent(op.exponent) else Code.EXPONENT_INVALID


def _account(op: ops.Open | ops.SetLimits | ops.Freeze | ops.Unfreeze | ops.Close) -> Code:
    if not _owner(op.owner):
        return Code.OWNER_INVALID
    return Code.OK if _ledger(op.ledger) else Code.LEDGER_INVALID


def _open(op: ops.Open) -> Code:
    code = _account(op)
    if code is Code.OK and (type(op.kind) not in (int, ops.Kind) or op.kind not in (ops.Kind.PERSON, ops.Kind.RAIL)):
        return Code.KIND_INVALID
    return code or _limits(op)


def _limits(op: ops.Open | ops.SetLimits) -> Code:
    return Code.OK if _limit(op.amount_max) and _limit(op.balance_max) else Code.LIMIT_INVALID


def _moving(op: ops.Transfer | ops.Issue | ops.Redeem | ops.Pending) -> Code:
    if not (_owner(op.debit) and _owner(op.credit)):
        return Code.OWNER_INVALID
    if not _ledger(op.ledger):
        return Code.LEDGER_INVALID
    if not _exponent(op.exponent):
        return Code.EXPONENT_INVALID
    code = _amount(op.amount)
    if code:
        return code
    if type(op) is ops.Pending and (type(op.expires_ms) is not int or not 0 < op.expires_ms <= INT_MAX):
        return Code.EXPIRY_INVALID
    if not _memo(op.memo):
        return Code.MEMO_INVALID
    return Code.SAME_ACCOUNT if op.debit == op.credit else Code.OK


def _post(op: ops.Post) -> Code:
    if not _id(op.pending):
        return Code.ID_INVALID
    return (Code.OK if op.amount is None else _amount(op.amount)) or _memo_code(op)


def _void(op: ops.Void) -> Code:
    return _memo_code(op) if _id(op.pending) else Code.ID_INVALID


def _memo_code(op: ops.Post | ops.Void) -> Code:
    return Code.OK if _memo(op.memo) else Code.MEMO_INVALID


_CHECKS: Final[dict[type, Callable[[Any], Code]]] = {
    ops.OpenLedger: _open_ledger,
    ops.Open: _open,
    ops.SetLimits: lambda op: _account(op) or _limits(op),
    ops.Freeze: _account,
    ops.Unfreeze: _account,
    ops.Close: _account,
    ops.Transfer: _moving,
    ops.Issue: _moving,
    ops.Redeem: _moving,
    ops.Pending: _moving,
    ops.Post: _post,
    ops.Void: _void,
}


def form(operation: object) -> Code:
    """``OK`` or the first fault of form. ``operation`` may be anything at all."""
    check = _CHECKS.get(type(operation))
    if check is None:
        return Code.OPERATION_UNKNOWN
    id_ = operation.id  # type: ignore[attr-defined]
    if type(id_) is not bytes or not 0 < len(id_) <= LEDGER_ID_BYTES_MAX:
        return Code.ID_INVALID
    return check(operation)


def chain_form(chain: ops.Chain) -> tuple[int, Code]:
    """(place, code) of the first member with a fault of form; (0, OK) if there is none."""
    if len(chain) > LEDGER_CHAIN_MAX:
        return 0, Code.CHAIN_TOO_LONG
    ids: set[bytes] = set()
    for place, operation in enumerate(chain):
        code = form(operation)
        if code:
            return place, code
    for place, operation in enumerate(chain):
        if operation.id in ids:
            return place, Code.ID_TWICE
        ids.add(operation.id)
    return 0, Code.OK
