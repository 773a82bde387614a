"""What somebody asks, read without the books."""

from __future__ import annotations

import msgspec
import pytest

from extensions.settlement.intents import (
    Asked,
    Cancelling,
    Intent,
    Opening,
    Payment,
    Refusal,
    device_refusal,
    read,
)
from protocol.codec import encode_struct
from protocol.identity import Device, DeviceList, SigningKey
from protocol.ids import pair_topic
from protocol.messages import pay as P
from protocol.payments import Authorization, PayCode, Signed, request_hash, sign_authorization

WORKER, PAYER, PAYEE = b"w" * 32, b"p" * 32, b"q" * 32
KEY = SigningKey(b"k" * 32)
ASKED = Asked(PAYER, pair_topic(WORKER, PAYER), b"m" * 16, 1, WORKER)
REQUEST = encode_struct(P.Request(payee=PAYEE, worker=WORKER, ledger="EUR", exponent=2, expires_ms=99, amount=5))
HASH = request_hash(PAYEE, b"r" * 16, REQUEST)


def signed(**changed: object) -> bytes:
    good = Authorization(WORKER, PAYER, PAYEE, "EUR", 2, 5, b"i" * 16, 1, 50)
    return sign_authorization(msgspec.structs.replace(good, **changed), KEY)


def code(intent: Intent | None) -> PayCode:
    assert isinstance(intent, Refusal)
    return intent.code


def test_payments() -> None:
    plain = read(ASKED, P.Authorize(signed=signed()))
    assert isinstance(plain, Payment)
    assert plain.operation == b"i" * 16 + PAYER
    assert plain.memo == b""
    asked = read(ASKED, P.Authorize(signed=signed(request=HASH), id=b"r" * 16, body=REQUEST))
    assert isinstance(asked, Payment)
    assert asked.request is not None
    assert asked.memo == HASH
    back = read(ASKED, P.Refund(signed=signed(original=b"o" * 48)))
    assert isinstance(back, Payment)
    assert back.memo == b"o" * 48


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [({"worker": b"x" * 32}, PayCode.FOREIGN_WORKER), ({"payer": b"x" * 32}, PayCode.FOREIGN_PAYER),
     ({"original": b"o" * 48}, PayCode.MALFORMED), ({"amount": 0}, PayCode.AMOUNT_NOT_POSITIVE)],
)  # fmt: skip
def test_refusals(changed: dict[str, object], wanted: PayCode) -> None:
    assert code(read(ASKED, P.Authorize(signed=signed(**changed)))) is wanted


def test_only_in_the_own_conversation() -> None:
    group = Asked(PAYER, b"g" * 32, b"m" * 16, 1, WORKER)
    assert code(read(group, P.Authorize(signed=signed()))) is PayCode.NOT_IN_WALLET
    assert code(read(group, P.Open(ledger="EUR"))) is PayCode.NOT_IN_WALLET
    assert isinstance(read(ASKED, P.Open(ledger="EUR")), Opening)
    assert read(ASKED, P.Query(what="balance")) is None


@pytest.mark.parametrize(("id_", "body"), [(b"x" * 16, REQUEST), (b"r" * 16, b"rubbish")])
def test_a_request_that_is_another_one(id_: bytes, body: bytes) -> None:
    found = read(ASKED, P.Authorize(signed=signed(request=HASH), id=id_, body=body))
    assert isinstance(found, Payment)
    assert found.mismatch
    own = request_hash(PAYEE, id_, body)
    rubbish = read(ASKED, P.Authorize(signed=signed(request=own), id=id_, body=b"\x90"))
    assert isinstance(rubbish, Payment)
    assert rubbish.request is None


def test_taking_a_request_back() -> None:
    payee = Asked(PAYEE, pair_topic(WORKER, PAYEE), b"m" * 16, 1, WORKER)
    assert isinstance(read(payee, P.Cancel(request=HASH, id=b"r" * 16, body=REQUEST)), Cancelling)
    assert code(read(ASKED, P.Cancel(request=HASH, id=b"r" * 16, body=REQUEST))) is PayCode.REQUEST_MISMATCH
    junk = request_hash(PAYEE, b"r" * 16, b"\x90")
    assert code(read(payee, P.Cancel(request=junk, id=b"r" * 16, body=b"\x90"))) is PayCode.REQUEST_MISMATCH


def test_devices() -> None:
    payment = read(ASKED, P.Authorize(signed=signed()))
    assert isinstance(payment, Payment)
    listed = DeviceList(PAYER, 1, 0, 100, (Device(KEY.public, b"x" * 32, 0, True),))
    assert device_refusal(payment, listed, 5) is PayCode.OK
    assert device_refusal(payment, None, 5) is PayCode.DEVICE_UNKNOWN
    assert device_refusal(payment, listed, 100) is PayCode.DEVICE_UNKNOWN
    revoked = msgspec.structs.replace(listed, devices=(), version=2)
    assert device_refusal(payment, revoked, 5) is PayCode.DEVICE_UNKNOWN
    assert payment.genuine
    outer = msgspec.msgpack.decode(signed(), type=Signed)
    forged = msgspec.msgpack.encode(msgspec.structs.replace(outer, signature=bytes(64)))
    bad = read(ASKED, P.Authorize(signed=forged))
    assert isinstance(bad, Payment)
    assert device_refusal(bad, listed, 5) is PayCode.SIGNATURE_BAD
