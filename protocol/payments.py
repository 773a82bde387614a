"""What a payer's device signs to have money moved, and what a receipt of the ledger says. Pure.

An *authorization* is bytes with a signature: whoever checks it checks the bytes that came, never a re-encoding. It is
judged here as far as it can be without the books: ``open_authorization`` raises ``PayError`` with a numbered code, in
the order of ``PayCode``. ``read_statement`` reads the record that a receipt proves, so that a client needs nothing of
the ledger to know what was settled.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.errors import ChappeError, RemoteProtocolError
from protocol.frames import Key, Signature
from protocol.identity import SigningKey, verify
from protocol.ids import tagged_hash
from protocol.money import is_ledger_name

_DOMAIN: Final = b"chappe/v1/pay-authorize\x00"
ORIGINAL_BYTES: Final = L.ID_BYTES + L.KEY_BYTES  # the id of an operation of the ledger: message id and payer


class PayCode(IntEnum):
    """Why a payment was not made, before the books were asked; theirs begin at 1000 (``ledger_code``)."""

    OK = 0
    MALFORMED = 1  # not an authorization at all, or of a version that is not known
    AMOUNT_NOT_INTEGER = 2  # a bool, a float or a text
    AMOUNT_NOT_POSITIVE = 3
    AMOUNT_TOO_LARGE = 4  # above 2^53 - 1
    LEDGER_INVALID = 5
    EXPONENT_INVALID = 6
    SELF_TRANSFER = 7
    WINDOW_INVALID = 8  # ends before it begins, or is longer than PAY_WINDOW_MS_MAX
    FOREIGN_WORKER = 10  # made out to another worker
    FOREIGN_PAYER = 11  # not the account in whose conversation it came
    NOT_IN_WALLET = 12  # it came in a conversation that is not the payer's own with the worker
    ID_REUSED = 13  # the id stands for another payment; what is known under it is answered before the rest is judged
    DEVICE_UNKNOWN = 14  # not on the payer's current device list
    SIGNATURE_BAD = 15  # also when the bytes were re-encoded
    NOT_YET = 21
    EXPIRED = 22
    REQUEST_MISMATCH = 30  # the request's bytes are not those of the hash, or name another payee or currency
    REQUEST_EXPIRED = 31
    REQUEST_NOT_YOURS = 32  # it is addressed to somebody else
    REQUEST_PAID = 33
    REQUEST_CANCELLED = 34
    AMOUNT_OUTSIDE_REQUEST = 35  # below its least part, above its greatest, or not what it asks
    ORIGINAL_NOT_FOUND = 40  # a refund of what was never settled, or not to you
    REFUND_TOO_LARGE = 41  # with earlier refunds more than the original
    WALLET_NOT_OPEN = 50
    PAYEE_WITHOUT_WALLET = 51  # and the authorization does not let the money wait for one
    PACKET_MISMATCH = 60  # the terms of a packet cannot be read, or are not those that were signed
    SHARES_INVALID = 61  # no shares at all, or more than PACKET_SHARES_MAX
    SHARES_TOO_MANY = 62  # more than minor units: each is at least one
    SEED_WRONG = 63  # not the one to which the terms commit
    PACKET_LIFE_INVALID = 64  # it ends in the past, or later than PACKET_MS (and PACKET_SKEW_MS) from now
    PACKET_NOT_FOUND = 65
    PACKET_NOT_YOURS = 66  # whoever claims is no member of it
    PACKET_CLAIMED = 67  # by the same account, under another id
    PACKET_EMPTY = 68  # all shares are taken
    PACKET_EXPIRED = 69
    SPLIT_WRONG = 70  # the parts of a bill are not what its weights say
    DISPUTE_TOO_LATE = 71  # more than DISPUTE_AFTER_MS after the payment
    DISPUTE_AMOUNT_WRONG = 72  # nothing, more than was paid and not given back, or not what the other one offers
    DISPUTE_EXISTS = 73  # a payment is disputed once
    DISPUTE_NOT_FOUND = 74
    DISPUTE_NOT_YOURS = 75
    DISPUTE_OVER = 76
    DISPUTE_TOO_LONG = 77  # more steps than DISPUTE_STEPS_MAX
    STAKE_MISMATCH = 80  # the terms of a stake cannot be read, or are not those that were signed
    STAKE_TERMS_INVALID = 81  # one player, one twice, nothing put in, or times that cannot be
    STAKE_TWICE = 82  # the player has put their stake in, under another id
    STAKE_NOT_FOUND = 83
    RESULT_BAD = 84  # not signed by the referee of these terms, or about another match
    PAYOUT_WRONG = 85  # not one amount a player, negative, or not all of the money
    RESULT_OLD = 86  # of a lower revision than the one that counts
    RESULT_CONFLICT = 87  # another result of the same revision: all stakes go back
    STAKE_VOID = 88  # called off, by the referee or by contradicting itself; the money is back
    STAKE_OVER = 89  # paid, void, or expired
    INTERNAL = 99  # a fault of the worker; nothing was done, and the same id may be tried again


TEXTS: Final[dict[int, str]] = {
    PayCode.OK: "done",
    PayCode.MALFORMED: "not an authorization that this worker knows",
    PayCode.AMOUNT_NOT_INTEGER: "the amount is not an integer",
    PayCode.AMOUNT_NOT_POSITIVE: "the amount is zero or negative",
    PayCode.AMOUNT_TOO_LARGE: "the amount is more than a ledger can count",
    PayCode.LEDGER_INVALID: "that is not the name of a currency",
    PayCode.EXPONENT_INVALID: "the exponent is not one that a currency may have",
    PayCode.SELF_TRANSFER: "payer and payee are the same account",
    PayCode.WINDOW_INVALID: "the time in which it holds is empty, or too long",
    PayCode.FOREIGN_WORKER: "it is made out to another worker",
    PayCode.FOREIGN_PAYER: "it names another payer than the account that sent it",
    PayCode.DEVICE_UNKNOWN: "the device that signed it is not on the payer's device list",
    PayCode.SIGNATURE_BAD: "the signature does not verify",
    PayCode.NOT_IN_WALLET: "payments are taken in your own conversation with the worker only",
    PayCode.ID_REUSED: "that id stands for another payment",
    PayCode.NOT_YET: "it does not hold yet",
    PayCode.EXPIRED: "it has expired",
    PayCode.REQUEST_MISMATCH: "it does not fit the request that it names",
    PayCode.REQUEST_EXPIRED: "the request has expired",
    PayCode.REQUEST_NOT_YOURS: "the request is addressed to somebody else",
    PayCode.REQUEST_PAID: "the request was paid already",
    PayCode.REQUEST_CANCELLED: "the request was cancelled",
    PayCode.AMOUNT_OUTSIDE_REQUEST: "the amount is not one that the request allows",
    PayCode.ORIGINAL_NOT_FOUND: "there is no such payment to you",
    PayCode.REFUND_TOO_LARGE: "with earlier refunds it would be more than the payment",
    PayCode.WALLET_NOT_OPEN: "open a wallet in this currency first",
    PayCode.PAYEE_WITHOUT_WALLET: "the payee has no wallet in this currency",
    PayCode.PACKET_MISMATCH: "these are not the terms that were signed",
    PayCode.SHARES_INVALID: "a packet has 1 to 100 shares",
    PayCode.SHARES_TOO_MANY: "there are more shares than minor units in it",
    PayCode.SEED_WRONG: "the seed is not the one that the terms commit to",
    PayCode.PACKET_LIFE_INVALID: "a packet ends in the future, a day from now at the latest",
    PayCode.PACKET_NOT_FOUND: "this worker knows no such packet",
    PayCode.PACKET_NOT_YOURS: "the packet is for others",
    PayCode.PACKET_CLAIMED: "you have had your share of this packet",
    PayCode.PACKET_EMPTY: "all shares are taken",
    PayCode.PACKET_EXPIRED: "the packet has expired",
    PayCode.SPLIT_WRONG: "the parts of the bill are not what its weights say",
    PayCode.DISPUTE_TOO_LATE: "it is too late to dispute this payment",
    PayCode.DISPUTE_AMOUNT_WRONG: "it is more than can be disputed, or not what the other one offers",
    PayCode.DISPUTE_EXISTS: "this payment is, or was, disputed already",
    PayCode.DISPUTE_NOT_FOUND: "nobody disputes this payment",
    PayCode.DISPUTE_NOT_YOURS: "that is for the other one to do",
    PayCode.DISPUTE_OVER: "the dispute is over",
    PayCode.DISPUTE_TOO_LONG: "enough was said; accept, withdraw, or wait for the operator",
    PayCode.STAKE_MISMATCH: "these are not the terms that were signed, or not your part of them",
    PayCode.STAKE_TERMS_INVALID: "nobody can play for these stakes: players, amounts or times are wrong",
    PayCode.STAKE_TWICE: "you have put your stake in already",
    PayCode.STAKE_NOT_FOUND: "no stakes of that match are held here",
    PayCode.RESULT_BAD: "it is not signed by the referee of this match",
    PayCode.PAYOUT_WRONG: "the payout is not what the players put in",
    PayCode.RESULT_OLD: "the referee has said something newer",
    PayCode.RESULT_CONFLICT: "the referee has signed two different results: all stakes go back",
    PayCode.STAKE_VOID: "the match was called off: the money is back",
    PayCode.STAKE_OVER: "the stakes of this match are paid or back already",
    PayCode.INTERNAL: "the worker failed; nothing was done, try again",
}
LEDGER_CODES: Final = 1000  # codes from here on are those of the ledger, see extensions/settlement/DESIGN.md
PAY_WINDOW_MS_MAX: Final = L.PAY_WINDOW_MS_MAX


class PayError(ChappeError):
    """A payment that cannot be made; ``code`` is of ``PayCode``."""

    def __init__(self, code: PayCode) -> None:
        self.code = code
        super().__init__(TEXTS[code])


class Authorization(msgspec.Struct, frozen=True, array_like=True):
    """What the payer's device signs. Times in Unix ms; ``amount`` in minor units of ``ledger``.

    ``request``: the hash of the request that it pays, or empty. ``original``: of a refund the operation that it gives
    back (``operation_id``), or empty. ``claim_ms``: how long it may wait for a payee without a wallet; 0: not at all.
    """

    worker: Key
    payer: Key
    payee: Key
    ledger: str
    exponent: int
    amount: int
    id: Annotated[bytes, Meta(min_length=L.ID_BYTES, max_length=L.ID_BYTES)]
    not_before_ms: int
    expires_ms: int
    request: Annotated[bytes, Meta(max_length=L.KEY_BYTES)] = b""
    original: Annotated[bytes, Meta(max_length=ORIGINAL_BYTES)] = b""
    claim_ms: int = 0


class Signed(msgspec.Struct, frozen=True, array_like=True):
    """An authorization as it travels: the signed bytes, whose device signed them, and the signature over them."""

    body: Annotated[bytes, Meta(max_length=L.HEADER_BYTES_MAX)]
    device: Key
    signature: Signature


def operation_id(payer: bytes, id_: bytes) -> bytes:
    """The ledger's id of a payment: the payer's idempotency key, time first, so that near ids lie near in its index."""
    return id_ + payer


def request_hash(payee: bytes, message_id: bytes, body: bytes) -> bytes:
    """What identifies a request: who asks, the id of the message, and the bytes of its body as they came."""
    return tagged_hash("pay/request", (payee, message_id, body))


def sign_authorization(authorization: Authorization, device: SigningKey) -> bytes:
    """The bytes to send."""
    body = encode_struct(authorization)
    return encode_struct(Signed(body, device.public, device.sign(_DOMAIN, body)))


def open_authorization(data: bytes) -> tuple[Authorization, Signed]:
    """Read one and check its form, not its signature. Raises ``PayError`` with the lowest code that applies."""
    try:
        signed = decode_struct(data, Signed)
        loose = msgspec.msgpack.decode(signed.body)
    except (RemoteProtocolError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PayError(PayCode.MALFORMED) from None
    if not isinstance(loose, list) or not 9 <= len(loose) <= 32:
        raise PayError(PayCode.MALFORMED)
    code = _form(loose)
    if code:
        raise PayError(code)
    try:
        return decode_struct(signed.body, Authorization), signed
    except RemoteProtocolError:
        raise PayError(PayCode.MALFORMED) from None


def _form(loose: list[Any]) -> PayCode:
    """What is wrong with the money in it; field by field, since a typed decoding would only say that something is."""
    _, payer, payee, ledger, exponent, amount, _, begins, ends = loose[:9]
    if type(amount) is not int:
        return PayCode.AMOUNT_NOT_INTEGER
    if amount <= 0:
        return PayCode.AMOUNT_NOT_POSITIVE
    if amount > L.INT_MAX:
        return PayCode.AMOUNT_TOO_LARGE
    if not is_ledger_name(ledger):
        return PayCode.LEDGER_INVALID
    if type(exponent) is not int or not 0 <= exponent <= L.LEDGER_EXPONENT_MAX:
        return PayCode.EXPONENT_INVALID
    if payer == payee:
        return PayCode.SELF_TRANSFER
    if type(begins) is not int or type(ends) is not int or not 0 <= begins < ends <= begins + PAY_WINDOW_MS_MAX:
        return PayCode.WINDOW_INVALID
    return PayCode.OK


def is_signed(signed: Signed) -> bool:
    """Whether the device that it names signed exactly these bytes."""
    return verify(signed.device, _DOMAIN, signed.body, signed.signature)


# -- what a receipt says -----------------------------------------------------------------------------------------------
class Statement(msgspec.Struct, frozen=True):
    """A record of the ledger in words of payments. Empty or zero: it does not say."""

    sequence: int
    at_ms: int
    code: int  # of the ledger; 0: done
    kind: str  # "transfer", "hold", "claim", "release", "expiry", or "other"
    id: bytes
    payer: bytes = b""
    payee: bytes = b""
    ledger: str = ""
    exponent: int = 0
    amount: int = 0
    memo: bytes = b""  # hash of the request that was paid
    pending: bytes = b""  # of claim, release and expiry: the id of what was held


_KINDS: Final = {7: "transfer", 8: "issue", 9: "redeem", 10: "hold", 11: "claim", 12: "release", 13: "expiry"}
_MEMO_AT: Final = {7: 7, 8: 7, 9: 7, 10: 8}


def read_statement(record: bytes) -> Statement:
    """What the bytes of a receipt say. Raises ``RemoteProtocolError`` if they are no record."""
    outer = decode_struct(record, tuple[int, int, int, int, list[Any], bytes, int, int])
    sequence, at_ms, code, amount, operation = outer[:5]
    if len(operation) < 2 or type(operation[0]) is not int or not isinstance(operation[1], bytes):
        raise RemoteProtocolError("not a record of a ledger", fatal=False)
    kind = _KINDS.get(operation[0], "other")
    if operation[0] in _MEMO_AT and len(operation) > _MEMO_AT[operation[0]]:
        debit, credit, ledger, exponent = operation[2:6]
        return Statement(
            sequence, at_ms, code, kind, operation[1], debit, credit, ledger, exponent, amount,
            operation[_MEMO_AT[operation[0]]],
        )  # fmt: skip
    pending = operation[2] if operation[0] in (11, 12, 13) and len(operation) > 2 else b""
    return Statement(sequence, at_ms, code, kind, operation[1], amount=amount, pending=pending)
