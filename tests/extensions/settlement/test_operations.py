"""Operations and records as values."""

from __future__ import annotations

from extensions.settlement import operations as ops
from extensions.settlement.codes import Code
from extensions.settlement.operations import Record, decode_record, encode_record, first_difference, result_of
from tests.support.ledger_desk import ANN, BOB, RAIL

PAY = ops.Transfer(b"id", ANN, BOB, "EUR", 2, 5, b"memo")


def test_a_record_survives_the_journal() -> None:
    for operation in (
        PAY, ops.OpenLedger(b"a", "EUR", 2), ops.Open(b"a", ANN, "EUR"), ops.SetLimits(b"a", ANN, "EUR", 1, 2),
        ops.Freeze(b"a", ANN, "EUR"), ops.Unfreeze(b"a", ANN, "EUR"), ops.Close(b"a", ANN, "EUR"),
        ops.Issue(b"a", RAIL, ANN, "EUR", 2, 1), ops.Redeem(b"a", ANN, RAIL, "EUR", 2, 1),
        ops.Pending(b"a", ANN, BOB, "EUR", 2, 1, 9), ops.Post(b"a", b"b"), ops.Post(b"a", b"b", 1),
        ops.Void(b"a", b"b"), ops.Expire(b"", b"b"),
    ):  # fmt: skip
        record = Record(7, 8, 0, 5, operation, b"c", 1, 3)
        assert decode_record(encode_record(record)) == record


def test_the_first_difference_is_named_in_the_order_of_the_fields() -> None:
    record = Record(1, 2, 0, 5, PAY)
    assert first_difference(record, PAY, b"", 0, 1) == ""
    other = ops.Transfer(b"id", ANN, BOB, "USD", 3, 6, b"x")
    assert first_difference(record, other, b"", 0, 1) == "ledger"
    assert first_difference(record, ops.Issue(b"id", ANN, BOB, "EUR", 2, 5, b"memo"), b"", 0, 1) == "kind"
    assert first_difference(record, PAY, b"id", 0, 2) == "chain"


def test_a_result_is_the_record_without_the_operation() -> None:
    result = result_of(Record(1, 2, Code.EXCEEDS_CREDITS, 0, PAY))
    assert (result.code, result.sequence, result.at_ms, result.field) == (Code.EXCEEDS_CREDITS, 1, 2, "")


def test_ids_of_payers_and_accounts_of_rails_are_apart() -> None:
    assert ops.payer_id(ANN, b"m" * 16) == b"m" * 16 + ANN
    assert ops.rail_account("a") != ops.rail_account("b")
    assert len(ops.rail_account("a")) == 32
