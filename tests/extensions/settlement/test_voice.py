"""What is said: each answer once, and an index that can be made again."""

from __future__ import annotations

from pathlib import Path

from extensions.settlement import operations as ops
from extensions.settlement.judge import Answer
from extensions.settlement.operations import Record
from extensions.settlement.voice import body_of, movements, text_of
from protocol.messages import pay as P
from protocol.messages.pay import State
from protocol.receipts import Receipt
from tests.support import settlement_life as life
from tests.support.settlement import open_bank

A, B = b"a" * 32, b"b" * 32


def test_lines_of_accounts() -> None:
    pending = Record(1, 5, 0, 10, ops.Pending(b"p", A, B, "EUR", 2, 10, 99))
    records = [
        pending, Record(2, 6, 0, 4, ops.Post(b"q", b"p", 4)), Record(3, 6, 0, 3, ops.Transfer(b"t", A, B, "EUR", 2, 3)),
        Record(4, 6, 60, 0, ops.Transfer(b"u", A, B, "EUR", 2, 3)), Record(5, 6, 0, 0, ops.OpenLedger(b"l", "EUR", 2)),
        Record(6, 6, 0, 4, ops.Post(b"r", b"unknown")),
    ]  # fmt: skip
    lines = [(line.account, line.entry.kind, line.entry.amount) for line in movements(records, {b"p": pending})]
    assert lines == [
        (A, "hold", 0), (B, "hold", 0), (A, "claim", -4), (B, "claim", 4), (A, "transfer", -3), (B, "transfer", 3),
    ]  # fmt: skip


def test_bodies() -> None:
    receipt = Receipt(b"r", b"s" * 32, 0, (), b"c")
    answer = Answer(A, b"m", "receipt", b"i" * 16, b"o" * 48, State.SETTLED, memo=b"h" * 32)
    body = body_of(answer, receipt, B)
    assert isinstance(body, P.ReceiptOf)
    assert (body.request, body.original) == (b"h" * 32, b"")
    status = body_of(Answer(A, b"m", "status", b"i" * 16, state=State.FAILED, code=1060), None, B)
    assert isinstance(status, P.Status)
    assert status.text == text_of(1060) != text_of(0)


async def test_everything_is_said(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, dora = await bank.person("alice", 1000), await bank.person("dora", wallet=False)
        await life.waits_and_claims(bank, alice, dora)
        vault = bank.running.process.engine.shelf.vault
        ((said, indexed),) = vault.query("SELECT outbox, journal FROM spoken")
        assert said > 0
        assert indexed == bank.books.sequence
        assert await bank.books.outbox(0, 10) == []
        assert await bank.audit() == []
