"""Disputes about payments: what a party signs. Pure.

The payer of a settled payment opens a dispute about all of it or part; so much of the payee's money is frozen by a
pending from payee to payer. Both say what they have to say and offer how much is to go back; who accepts the other's
offer ends it. Opening offers all that is frozen; whoever opened may withdraw. If they do not agree, the operator
decides, or the time runs out and the money is the payee's again.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.errors import RemoteProtocolError
from protocol.frames import Key, MessageId
from protocol.identity import DeviceList, SigningKey, is_expired, verify
from protocol.ids import tagged_hash
from protocol.payments import ORIGINAL_BYTES, PayCode, PayError, Signed

_DOMAIN: Final = b"chappe/v1/pay-dispute\x00"


class What(IntEnum):
    """What a party does."""

    OPEN = 1  # ``amount``: how much of the payment
    EVIDENCE = 2
    OFFER = 3  # ``amount``: how much is to go back, 0: nothing
    ACCEPT = 4  # ``amount``: what the other one offers
    WITHDRAW = 5


class Step(msgspec.Struct, frozen=True, array_like=True):
    """A step of a dispute. ``payment``: the operation that is disputed; ``text``: hash of what is said with it."""

    worker: Key
    account: Key
    payment: Annotated[bytes, Meta(min_length=ORIGINAL_BYTES, max_length=ORIGINAL_BYTES)]
    what: What
    amount: Annotated[int, Meta(ge=0, le=L.INT_MAX)]
    id: MessageId
    expires_ms: Annotated[int, Meta(ge=0, le=L.INT_MAX)]
    text: Key


def text_hash(text: str) -> bytes:
    """What a step says about its text."""
    return tagged_hash("pay/dispute-text", (text.encode(),))


def sign_step(step: Step, device: SigningKey) -> bytes:
    """The bytes to send."""
    body = encode_struct(step)
    return encode_struct(Signed(body, device.public, device.sign(_DOMAIN, body)))


def open_step(data: bytes, text: str) -> tuple[Step, Signed]:
    """Read one, and compare its text; its signature is looked at by ``step_refusal``. Raises ``PayError``."""
    try:
        signed = decode_struct(data, Signed)
        step = decode_struct(signed.body, Step)
    except RemoteProtocolError:
        raise PayError(PayCode.MALFORMED) from None
    if step.text != text_hash(text):
        raise PayError(PayCode.MALFORMED)
    return step, signed


def step_refusal(step: Step, signed: Signed, devices: DeviceList | None, now_ms: int) -> PayCode:
    """Whether a device of the account signed it, and it still holds."""
    if devices is None or devices.account != step.account or is_expired(devices, now_ms):
        return PayCode.DEVICE_UNKNOWN
    if devices.device(signed.device) is None:
        return PayCode.DEVICE_UNKNOWN
    if not verify(signed.device, _DOMAIN, signed.body, signed.signature):
        return PayCode.SIGNATURE_BAD
    return PayCode.EXPIRED if now_ms >= step.expires_ms else PayCode.OK
