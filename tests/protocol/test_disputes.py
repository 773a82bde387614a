"""Steps of disputes: what is signed, and by whom it counts."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.codec import decode_struct, encode_struct
from protocol.disputes import Step, What, open_step, sign_step, step_refusal, text_hash
from protocol.identity import Device, DeviceList, SigningKey
from protocol.payments import PayCode, PayError, Signed

DEVICE = SigningKey(b"d" * 32)
GOOD: dict[str, Any] = {
    "worker": b"w" * 32, "account": b"a" * 32, "payment": b"p" * 48, "what": What.OPEN, "amount": 5, "id": b"i" * 16,
    "expires_ms": 100, "text": text_hash("why"),
}  # fmt: skip


def signed(**changed: Any) -> bytes:
    return sign_step(Step(**{**GOOD, **changed}), DEVICE)


def test_what_is_read_is_what_was_signed() -> None:
    step, found = open_step(signed(), "why")
    assert step == Step(**GOOD)
    assert found.device == DEVICE.public
    for data, text in ((b"rubbish", "why"), (encode_struct(Signed(b"x", b"d" * 32, b"s" * 64)), ""), (signed(), "no")):
        with pytest.raises(PayError) as caught:
            open_step(data, text)
        assert caught.value.code is PayCode.MALFORMED


def refusal(data: bytes, devices: DeviceList | None, now_ms: int = 0) -> PayCode:
    return step_refusal(*open_step(data, "why"), devices, now_ms)


def test_it_counts_if_a_listed_device_of_the_account_signed_it_in_time() -> None:
    mine = DeviceList(b"a" * 32, 1, 0, 1000, (Device(DEVICE.public, b"x" * 32, 0, True),))
    assert refusal(signed(), mine) is PayCode.OK
    assert refusal(signed(), mine, 100) is PayCode.EXPIRED
    assert refusal(signed(), None) is PayCode.DEVICE_UNKNOWN
    assert refusal(signed(expires_ms=5000), mine, 1000) is PayCode.DEVICE_UNKNOWN
    assert refusal(signed(account=b"b" * 32), mine) is PayCode.DEVICE_UNKNOWN
    other = DeviceList(b"a" * 32, 1, 0, 1000, (Device(SigningKey(b"e" * 32).public, b"x" * 32, 0, True),))
    assert refusal(signed(), other) is PayCode.DEVICE_UNKNOWN
    good = decode_struct(signed(), Signed)
    forged = encode_struct(Signed(good.body, good.device, b"f" * 64))
    assert refusal(forged, mine) is PayCode.SIGNATURE_BAD
