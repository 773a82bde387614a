"""The auditor finds every kind of damage, and nothing in a clean journal."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from extensions.settlement import operations as ops
from extensions.settlement.check import Audit, check
from extensions.settlement.operations import Expire, Record, encode_record
from protocol.receipts import Frontier, leaf_hash, receipt_salt
from storage.ledger_base import JournalRow
from tests.support.ledger_desk import ANN, BOB, EVE, RAIL, Desk
from tests.support.ledger_random import balances, owner

SECRET = b"s" * 32


def rows(records: list[Record]) -> list[JournalRow]:
    made = []
    for record in records:
        body = encode_record(record)
        leaf = leaf_hash(receipt_salt(SECRET, record.sequence - 1), body)
        made.append(JournalRow(record.sequence, record.operation.id or None, None, body, leaf))
    return made


def audit(records: list[Record], **rest: Any) -> Audit:
    return check(rows(records), SECRET, **rest)


def clean() -> Desk:
    desk = Desk()
    one, two, three = desk.pending(10, 50), desk.pending(20, 50), desk.pending(30, 5000)
    desk.batch((one,), (two,), (three,), (desk.transfer(5), desk.transfer(6)), (desk.transfer(9999),))
    desk.batch((ops.Post(desk.id(), one.id, 4),), (ops.Redeem(desk.id(), ANN, RAIL, "EUR", 2, 7),))
    desk.now_ms += 60
    desk.batch((desk.transfer(1), desk.transfer(8888)), (ops.Freeze(desk.id(), EVE, "EUR"),))
    return desk


def test_a_clean_journal() -> None:
    desk = clean()
    frontier = Frontier()
    for row in rows(desk.journal):
        frontier.append(row.leaf)
    found = audit(desk.journal, root=frontier.root(), balances=balances(desk.state), now_ms=desk.now_ms)
    assert found.problems == ()
    assert found.balances == balances(desk.state)
    assert (found.records, found.time_ms, found.root) == (len(desk.journal), desk.now_ms, frontier.root())
    assert any(isinstance(record.operation, Expire) for record in desk.journal)


def problems(desk: Desk, *more: ops.Operation, at_ms: int | None = None, **rest: Any) -> str:
    """What is found after these were appended to a good journal as if they had been accepted."""
    records = list(desk.journal)
    for operation in more:
        time_ms = desk.now_ms if at_ms is None else at_ms
        records.append(Record(len(records) + 1, time_ms, 0, 0, operation))
    return "\n".join(audit(records, **rest).problems)


def test_what_the_engine_would_never_write() -> None:
    desk = Desk()
    held = desk.pending(10, 1000)
    desk.ask(held)
    assert "spends what it does not have" in problems(desk, desk.transfer(5000))
    assert "never opened (credit)" in problems(desk, desk.transfer(1, credit=owner(77)))
    assert "differ by" in problems(desk, desk.transfer(1, credit=owner(77)))
    assert "time runs backwards" in problems(desk, desk.transfer(1), at_ms=1)
    assert "used before" in problems(desk, replace(desk.transfer(1), id=b"desk1"))
    assert "never made" in problems(desk, ops.Void(b"v", b"none"))
    assert "pending twice" in problems(desk, ops.Void(b"v", held.id), ops.Void(b"w", held.id))
    assert "posts more" in problems(desk, ops.Post(b"v", held.id, 11))
    assert "past its expiry" in problems(desk, ops.Post(b"v", held.id), at_ms=held.expires_ms)
    assert "before its time" in problems(desk, Expire(b"", held.id))
    assert "had expired when it was made" in problems(desk, desk.pending(1, 0))
    assert "open past its expiry" in problems(desk, now_ms=held.expires_ms)
    assert "takes back more" in problems(
        desk, ops.Redeem(b"r", ANN, RAIL, "EUR", 2, 990), ops.Redeem(b"q", BOB, RAIL, "EUR", 2, 1100)
    )
    assert "is negative" in problems(desk, ops.Transfer(b"n", ANN, BOB, "EUR", 2, -50))


def test_a_chain_in_part() -> None:
    desk = Desk()
    desk.chain(desk.transfer(1), desk.transfer(2))
    assert audit(desk.journal).problems == ()
    records = [*desk.journal[:-1], replace(desk.journal[-1], code=60)]
    assert "done in part" in "".join(audit(records).problems)
    assert "done in part" in "".join(audit(desk.journal[:-1]).problems)


def test_damaged_rows() -> None:
    good = rows(clean().journal)

    def found(*damaged: JournalRow) -> str:
        return "\n".join(check(damaged, SECRET).problems)

    assert found(*good) == ""
    assert "the journal has a gap" in found(*good[:3], *good[4:])
    assert "not that of its receipt" in found(replace(good[0], body=good[1].body), *good[1:])
    assert "cannot be read" in found(replace(good[0], body=b"\xff"), *good[1:])
    assert "columns say something else" in found(replace(good[0], id=b"other"), *good[1:])


def test_claims_that_are_not_so() -> None:
    desk = clean()
    assert "the checkpoint's root" in "".join(audit(desk.journal, root=bytes(32)).problems)
    claimed = balances(desk.state) | {("EUR", ANN): (0, 0, 0, 1)}
    assert "the books say (0, 0, 0, 1)" in "".join(audit(desk.journal, balances=claimed).problems)


@pytest.mark.parametrize("count", [500])
def test_the_list_of_problems_ends(count: int) -> None:
    records = [Record(n, 5, 0, 0, ops.Void(b"%d" % n, b"none")) for n in range(1, count)]
    assert len(audit(records).problems) == 100
