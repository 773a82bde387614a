"""What somebody asks of settlement, read from a message: form and signature, nothing of the books. Pure.

Whatever is wrong becomes a ``Refusal`` with a code; nothing raises on what a message holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from protocol.codec import decode_struct
from protocol.errors import RemoteProtocolError
from protocol.identity import DeviceList, is_expired
from protocol.ids import pair_topic
from protocol.messages import Body
from protocol.messages import pay as P
from protocol.payments import (
    Authorization,
    PayCode,
    PayError,
    Signed,
    is_signed,
    open_authorization,
    operation_id,
    request_hash,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, where, and with which message; ``number`` grows along a conversation."""

    account: bytes
    topic: bytes
    id: bytes
    number: int
    worker: bytes

    @property
    def is_wallet(self) -> bool:
        """Whether it is the asker's own conversation with the worker."""
        return self.topic == pair_topic(self.worker, self.account)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing is to be done. ``id``: of the payment, or of the message where there is none to be read."""

    asked: Asked
    id: bytes
    code: PayCode


@dataclass(frozen=True, slots=True)
class Payment:
    """Money is to be moved. ``genuine``: the device that it names signed the bytes that came. ``request``: what it
    pays; ``mismatch``: it names one and shows another."""

    asked: Asked
    authorization: Authorization
    signed: Signed
    genuine: bool
    request: P.Request | None = None
    mismatch: bool = False

    @property
    def operation(self) -> bytes:
        """Its id in the ledger."""
        return operation_id(self.authorization.payer, self.authorization.id)

    @property
    def memo(self) -> bytes:
        """What the ledger keeps beside it: the hash of the request, or the id of what is given back."""
        return self.authorization.original or self.authorization.request


@dataclass(frozen=True, slots=True)
class Opening:
    """A wallet is to be opened."""

    asked: Asked
    ledger: str


@dataclass(frozen=True, slots=True)
class Cancelling:
    """A request is not to be paid any more."""

    asked: Asked
    id: bytes
    request: bytes


Intent: TypeAlias = Refusal | Payment | Opening | Cancelling


def read(asked: Asked, body: Body) -> Intent | None:
    """The intent of a message; None for one that moves nothing (queries)."""
    if isinstance(body, P.Authorize | P.Refund):
        return _payment(asked, body)
    if isinstance(body, P.Open):
        return Opening(asked, body.ledger) if asked.is_wallet else Refusal(asked, asked.id, PayCode.NOT_IN_WALLET)
    if isinstance(body, P.Cancel):
        return _cancelling(asked, body)
    return None


def authorized(asked: Asked, data: bytes) -> Refusal | tuple[Authorization, Signed]:
    """An authorization of whoever sent it, in their own conversation with the worker that it is made out to."""
    try:
        authorization, signed = open_authorization(data)
    except PayError as error:
        return Refusal(asked, asked.id, error.code)
    if authorization.worker != asked.worker:
        return Refusal(asked, authorization.id, PayCode.FOREIGN_WORKER)
    if authorization.payer != asked.account:
        return Refusal(asked, authorization.id, PayCode.FOREIGN_PAYER)
    if not asked.is_wallet:
        return Refusal(asked, authorization.id, PayCode.NOT_IN_WALLET)
    return authorization, signed


def _payment(asked: Asked, body: P.Authorize | P.Refund) -> Intent:
    found = authorized(asked, body.signed)
    if isinstance(found, Refusal):
        return found
    authorization, signed = found
    if isinstance(body, P.Refund) != bool(authorization.original):
        return Refusal(asked, authorization.id, PayCode.MALFORMED)
    genuine = is_signed(signed)
    if isinstance(body, P.Authorize) and authorization.request:
        request = _request(authorization.payee, body.id, body.body, authorization.request)
        return Payment(asked, authorization, signed, genuine, request, request is None)
    return Payment(asked, authorization, signed, genuine)


def _request(payee: bytes, id_: bytes, body: bytes, wanted: bytes) -> P.Request | None:
    """The request that hashes to ``wanted``; None if these bytes do not, or are none."""
    if request_hash(payee, id_, body) != wanted:
        return None
    try:
        return decode_struct(body, P.Request)
    except RemoteProtocolError:
        return None


def _cancelling(asked: Asked, body: P.Cancel) -> Intent:
    request = _request(asked.account, body.id, body.body, body.request)
    if request is None or request.payee != asked.account or request.worker != asked.worker:
        return Refusal(asked, body.id, PayCode.REQUEST_MISMATCH)
    return Cancelling(asked, body.id, body.request)


def device_refusal(payment: Payment, devices: DeviceList | None, now_ms: int) -> PayCode:
    """Whether a device of the payer signed it, as of now."""
    listed = devices is not None and not is_expired(devices, now_ms) and devices.account == payment.authorization.payer
    if devices is None or not listed or devices.device(payment.signed.device) is None:
        return PayCode.DEVICE_UNKNOWN
    return PayCode.OK if payment.genuine else PayCode.SIGNATURE_BAD
