"""Orders of the operator."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from extensions.settlement import operations as ops
from extensions.settlement import orders
from extensions.settlement.books import open_books
from extensions.settlement.commit import Log
from protocol.identity import SigningKey
from storage.memory_ledger import MemoryLedger

WHO = b"w" * 32


@pytest.mark.parametrize(
    ("verb", "kinds"),
    [
        ("open", [ops.OpenLedger, ops.Open]), ("issue", [ops.Open, ops.Issue]), ("redeem", [ops.Redeem]),
        ("freeze", [ops.Freeze]), ("unfreeze", [ops.Unfreeze]), ("limit", [ops.SetLimits]), ("close", [ops.Close]),
    ],
)  # fmt: skip
def test_operations(verb: str, kinds: list[type]) -> None:
    made = orders.operations_of(orders.Order(verb, b"i", "EUR", 2, WHO, 5), None, has_account=False)
    assert [type(operation) for operation in made] == kinds


async def test_carried_out_once() -> None:
    ledger = MemoryLedger(clock_ms=lambda: 5)
    async with open_books(ledger, Log("l", SigningKey(b"k" * 32), b"s" * 32)) as books:
        assert (await orders.carry_out(books, orders.Order("open", b"-", "EUR", 2))).code == 0
        issue = orders.Order("issue", b"i", "EUR", 2, WHO, 500)
        first = await orders.carry_out(books, issue)
        assert first == await orders.carry_out(books, issue)
        account = books.account("EUR", WHO)
        assert account is not None
        assert account.balance == 500
        assert (await orders.carry_out(books, orders.Order("redeem", b"r", "EUR", 2, WHO, 501))).code == 60


def test_the_table() -> None:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE ledger_orders (n INTEGER PRIMARY KEY AUTOINCREMENT, asked BLOB NOT NULL, answer BLOB)")
    order = orders.Order("open", b"i", "EUR")
    orders.put(order)(db)
    ((number, asked),) = db.execute(orders.WAITING).fetchall()
    assert msgspec.msgpack.decode(asked, type=orders.Order) == order
    orders.answered(number, orders.Done(0, "done"))(db)
    assert db.execute(orders.WAITING).fetchall() == []
    assert db.execute(orders.ANSWER, (asked,)).fetchall()
    db.close()
