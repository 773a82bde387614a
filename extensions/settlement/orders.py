"""What the operator orders: currencies, money in and out, limits and freezes.

The books have one writer, so a command writes its order into the worker's database and the worker carries it out; where
none runs, the command opens the books itself. Orders have ids, so one that is carried out twice counts once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

import msgspec

from extensions.settlement import operations as ops
from extensions.settlement.books import Books
from extensions.settlement.codes import TEXTS, Code
from extensions.settlement.judge import open_id
from extensions.settlement.operations import Kind, Operation

RAIL: Final = "mint"
VERBS: Final = ("open", "issue", "redeem", "freeze", "unfreeze", "limit", "close")


class Order(msgspec.Struct, frozen=True, array_like=True):
    """One order. Amounts in minor units; limits 0: none. ``id`` makes it count once."""

    verb: str
    id: bytes
    ledger: str
    exponent: int = 0
    account: bytes = b""
    amount: int = 0
    amount_max: int = 0
    balance_max: int = 0
    memo: bytes = b""


class Done(msgspec.Struct, frozen=True, array_like=True):
    """What came of it: a code of the ledger and its meaning, and the record's sequence."""

    code: int
    text: str
    sequence: int = 0


def operations_of(order: Order, exponent: int | None, has_account: bool) -> tuple[Operation, ...]:
    """The operations of an order, the one that decides last. ``exponent``: of the ledger, if it is open."""
    rail, ledger, account = ops.rail_account(RAIL), order.ledger, order.account
    shown = order.exponent if exponent is None else exponent
    opening = () if has_account else (ops.Open(open_id(ledger, account), account, ledger),)
    match order.verb:
        case "open":
            return (
                ops.Open(b"rail/" + ledger.encode(), rail, ledger, Kind.RAIL),
                ops.OpenLedger(b"ledger/" + ledger.encode(), ledger, order.exponent),
            )[::-1]
        case "issue":
            return (*opening, ops.Issue(order.id, rail, account, ledger, shown, order.amount, order.memo))
        case "redeem":
            return (ops.Redeem(order.id, account, rail, ledger, shown, order.amount, order.memo),)
        case "freeze":
            return (ops.Freeze(order.id, account, ledger),)
        case "unfreeze":
            return (ops.Unfreeze(order.id, account, ledger),)
        case "limit":
            return (ops.SetLimits(order.id, account, ledger, order.amount_max, order.balance_max),)
        case _:
            return (ops.Close(order.id, account, ledger),)


async def carry_out(books: Books, order: Order) -> Done:
    """Do it. Raises ``Fenced``, ``StoreAway``."""
    known = books.account(order.ledger, order.account) is not None
    results = await books.submit(*operations_of(order, books.exponent(order.ledger), known))
    result = next((result for (result,) in results if result.code is not Code.OK), results[-1][0])
    return Done(int(result.code), TEXTS[result.code], result.sequence)


# -- the table through which orders reach a worker that runs -----------------------------------------------------------
def put(order: Order) -> Callable[[sqlite3.Connection], object]:
    """Write an order."""
    body = msgspec.msgpack.encode(order)
    return lambda db: db.execute("INSERT INTO ledger_orders (asked) VALUES (?)", (body,))


def answered(number: int, done: Done) -> Callable[[sqlite3.Connection], object]:
    """Write what came of an order."""
    body = msgspec.msgpack.encode(done)
    return lambda db: db.execute("UPDATE ledger_orders SET answer = ? WHERE n = ?", (body, number))


WAITING: Final = "SELECT n, asked FROM ledger_orders WHERE answer IS NULL ORDER BY n LIMIT 100"
ANSWER: Final = "SELECT answer FROM ledger_orders WHERE asked = ? AND answer IS NOT NULL"
