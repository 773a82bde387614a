"""Authorizations, judged without the books, and what receipts say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from extensions.settlement import operations as ops
from extensions.settlement.operations import Record, encode_record
from protocol.codec import encode_struct
from protocol.errors import RemoteProtocolError
from protocol.identity import SigningKey
from protocol.limits import INT_MAX
from protocol.payments import (
    PAY_WINDOW_MS_MAX,
    TEXTS,
    Authorization,
    PayCode,
    PayError,
    Signed,
    is_signed,
    open_authorization,
    operation_id,
    read_statement,
    request_hash,
    sign_authorization,
)

KEY = SigningKey(b"k" * 32)
GOOD = Authorization(b"w" * 32, b"p" * 32, b"q" * 32, "EUR", 2, 100, b"i" * 16, 10, 20)


def test_a_good_one() -> None:
    authorization, signed = open_authorization(sign_authorization(GOOD, KEY))
    assert authorization == GOOD
    assert is_signed(signed)
    assert signed.device == KEY.public
    assert not is_signed(msgspec.structs.replace(signed, body=signed.body + b"\xc0"))


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("amount", 0, PayCode.AMOUNT_NOT_POSITIVE), ("amount", -1, PayCode.AMOUNT_NOT_POSITIVE),
        ("amount", True, PayCode.AMOUNT_NOT_INTEGER), ("amount", 1.0, PayCode.AMOUNT_NOT_INTEGER),
        ("amount", "1", PayCode.AMOUNT_NOT_INTEGER), ("amount", None, PayCode.AMOUNT_NOT_INTEGER),
        ("amount", INT_MAX + 1, PayCode.AMOUNT_TOO_LARGE), ("amount", 2**63, PayCode.AMOUNT_TOO_LARGE),
        ("ledger", "eur!", PayCode.LEDGER_INVALID), ("ledger", 3, PayCode.LEDGER_INVALID),
        ("exponent", 9, PayCode.EXPONENT_INVALID), ("exponent", True, PayCode.EXPONENT_INVALID),
        ("payee", b"p" * 32, PayCode.SELF_TRANSFER), ("expires_ms", 10, PayCode.WINDOW_INVALID),
        ("expires_ms", 11 + PAY_WINDOW_MS_MAX, PayCode.WINDOW_INVALID), ("not_before_ms", 1.5, PayCode.WINDOW_INVALID),
        ("payer", b"short", PayCode.MALFORMED), ("id", b"short", PayCode.MALFORMED),
    ],
)  # fmt: skip
def test_what_is_wrong_with_it(field: str, value: Any, code: PayCode) -> None:
    values = [value if name == field else getattr(GOOD, name) for name in GOOD.__struct_fields__]
    body = msgspec.msgpack.encode(values)
    with pytest.raises(PayError) as caught:
        open_authorization(encode_struct(Signed(body, KEY.public, bytes(64))))
    assert caught.value.code is code


@pytest.mark.parametrize("body", [b"", b"\x90", b"\x80", b"\xff", b"\x91" * 2000])
def test_rubbish(body: bytes) -> None:
    for data in (body, encode_struct(Signed(body, KEY.public, bytes(64)))):
        with pytest.raises(PayError) as caught:
            open_authorization(data)
        assert caught.value.code is PayCode.MALFORMED


def test_every_code_has_a_text() -> None:
    assert set(TEXTS) == set(PayCode)


def test_hashes_bind_payee_id_and_bytes() -> None:
    hashes = {request_hash(b"a", b"i", b"b"), request_hash(b"b", b"i", b"b"), request_hash(b"a", b"j", b"b")}
    assert len(hashes | {request_hash(b"a", b"i", b"c")}) == 4
    assert operation_id(b"payer", b"id") == b"idpayer"


def test_statements_read_what_the_ledger_writes() -> None:
    transfer = ops.Transfer(b"x", b"a" * 32, b"b" * 32, "EUR", 2, 5, b"memo")
    said = read_statement(encode_record(Record(7, 8, 0, 5, transfer)))
    assert (said.kind, said.payer, said.payee, said.amount, said.memo) == ("transfer", b"a" * 32, b"b" * 32, 5, b"memo")
    pending = ops.Pending(b"x", b"a" * 32, b"b" * 32, "EUR", 2, 5, 99, b"m")
    said = read_statement(encode_record(Record(7, 8, 0, 5, pending)))
    assert (said.kind, said.memo, said.exponent) == ("hold", b"m", 2)
    said = read_statement(encode_record(Record(8, 9, 0, 5, ops.Post(b"c", b"x"))))
    assert (said.kind, said.pending, said.amount) == ("claim", b"x", 5)
    assert read_statement(encode_record(Record(8, 9, 0, 0, ops.OpenLedger(b"l", "EUR", 2)))).kind == "other"
    for bad in (b"", b"\x90", msgspec.msgpack.encode([1, 1, 0, 1, ["x", 1], b"", 0, 1])):
        with pytest.raises(RemoteProtocolError):
            read_statement(bad)
