"""``pay.*``: asking for money, paying it, and what became of it.

A *request* and a receipt travel in the people's own conversation. An *authorization* travels in the payer's
conversation with the settlement worker only; the worker answers there with ``pay.status`` and ``pay.receipt``. All
amounts are integers in minor units and carry currency and exponent. What moves money is signed bytes
(``protocol.payments``), so a wrong amount in it gets a numbered outcome instead of being unreadable.

``checkpoint`` fields gossip: each side shows the newest signed checkpoint of the ledger that it has seen, so that a
worker which tells different people different histories is found out.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.frames import Key, MessageId, UInt
from protocol.messages.registry import Body, register
from protocol.payments import ORIGINAL_BYTES, PayCode, PayError

LedgerName = Annotated[
    str,
    Meta(
        max_length=L.LEDGER_NAME_CHARS_MAX,
        pattern=rf"^([A-Z]{{3}}|[a-z][a-z0-9-]{{1,{L.LEDGER_NAME_CHARS_MAX - 1}}})\Z",
    ),
]
Exponent = Annotated[int, Meta(ge=0, le=L.LEDGER_EXPONENT_MAX)]
Amount = Annotated[int, Meta(ge=1, le=L.INT_MAX)]
AmountOrNone = Annotated[int, Meta(ge=0, le=L.INT_MAX)]
Sum = Annotated[int, Meta(ge=-L.INT_MAX, le=L.INT_MAX)]
Memo = Annotated[str, Meta(max_length=L.PAY_MEMO_CHARS_MAX)]
Operation = Annotated[bytes, Meta(max_length=ORIGINAL_BYTES)]
Hash = Annotated[bytes, Meta(max_length=L.KEY_BYTES)]
Blob = Annotated[bytes, Meta(max_length=L.PAY_BLOB_BYTES_MAX)]
SignedCheckpoint = Annotated[bytes, Meta(max_length=L.HEADER_BYTES_MAX)]


class State(IntEnum):
    """What is known of a payment. ``UNKNOWN``: nobody has said; ask with the same id, never pay again with another."""

    UNKNOWN = 0
    PENDING = 1  # taken, not decided yet
    HELD = 2  # reserved for a payee who has no wallet yet
    SETTLED = 3
    FAILED = 4
    EXPIRED = 5  # it was held, and nobody claimed it: the money is back
    REVERSED = 6  # settled, and given back in full


FINAL = frozenset({State.SETTLED, State.FAILED, State.EXPIRED, State.REVERSED})
StateNumber = Annotated[int, Meta(ge=0, le=15)]  # of ``State``; one that is not known here counts as unknown


class Item(msgspec.Struct, frozen=True, array_like=True):
    """A line of a request."""

    name: Annotated[str, Meta(min_length=1, max_length=L.PAY_MEMO_CHARS_MAX)]
    amount: Amount


@register("pay.request")
class Request(Body, frozen=True):
    """Ask for money: an amount, or (0) whatever the payer likes; ``least`` and ``most`` allow part of it.

    ``payer``: who is asked; empty: whoever pays first. It is paid once. ``due_ms`` is for people, after ``expires_ms``
    no worker settles it.
    """

    payee: Key
    worker: Key
    ledger: LedgerName
    exponent: Exponent
    expires_ms: Annotated[int, Meta(ge=1, le=L.INT_MAX)]
    amount: AmountOrNone = 0
    least: AmountOrNone = 0
    most: AmountOrNone = 0
    payer: Hash = b""
    items: Annotated[tuple[Item, ...], Meta(max_length=L.PAY_ITEMS_MAX)] = ()
    memo: Memo = ""
    due_ms: UInt = 0
    checkpoint: SignedCheckpoint = b""


@register("pay.decline")
class Decline(Body, frozen=True):
    """The request in ``re`` will not be paid by whoever says this."""

    request: Key
    reason: Memo = ""


@register("pay.cancel")
class Cancel(Body, frozen=True):
    """The payee takes a request back: told to the people and, with its bytes, to the worker, which then refuses it."""

    request: Key
    id: MessageId
    body: Blob = b""
    checkpoint: SignedCheckpoint = b""


@register("pay.authorize")
class Authorize(Body, frozen=True):
    """Pay: ``signed`` is an authorization; ``body`` and ``id`` are the request that it pays, as its bytes came."""

    signed: Blob
    id: Annotated[bytes, Meta(max_length=L.ID_BYTES)] = b""
    body: Blob = b""
    checkpoint: SignedCheckpoint = b""


@register("pay.refund")
class Refund(Body, frozen=True):
    """Give back: ``signed`` is an authorization of the payee of a settled payment, which it names."""

    signed: Blob
    checkpoint: SignedCheckpoint = b""


@register("pay.status")
class Status(Body, frozen=True):
    """What became of the payment ``id``. ``code``: of ``PayCode``, from 1000 up of the ledger."""

    id: MessageId
    state: StateNumber
    code: Annotated[int, Meta(ge=0, le=9999)] = 0
    text: Memo = ""
    ledger: Annotated[str, Meta(max_length=L.LEDGER_NAME_CHARS_MAX)] = ""
    amount: AmountOrNone = 0
    sequence: UInt = 0
    at_ms: UInt = 0


@register("pay.receipt")
class ReceiptOf(Body, frozen=True):
    """The ledger's receipt for a payment (``protocol.receipts.Receipt``), to be checked by whoever gets it.

    From the worker to both wallets, and from payer to payee in their own conversation. ``operation``: the payment's id
    in the ledger; ``log``: name of the worker's log.
    """

    operation: Operation
    state: StateNumber
    worker: Key
    log: Annotated[str, Meta(max_length=L.NAME_BYTES_MAX)]
    receipt: Blob
    request: Hash = b""
    original: Operation = b""
    memo: Memo = ""


@register("pay.open")
class Open(Body, frozen=True):
    """Open a wallet in a currency, and claim what waits for it."""

    ledger: LedgerName
    checkpoint: SignedCheckpoint = b""


@register("pay.query")
class Query(Body, frozen=True):
    """Ask the worker: ``balance``; ``history`` after a sequence; ``proof`` that the log of ``old`` receipts is a
    prefix of that of ``to`` (0: of today's)."""

    what: Annotated[str, Meta(max_length=16)]
    after: UInt = 0
    old: UInt = 0
    to: UInt = 0
    checkpoint: SignedCheckpoint = b""


class Balance(msgspec.Struct, frozen=True, array_like=True):
    """Of one account: what it may spend, what it has reserved, what is reserved for it."""

    ledger: LedgerName
    exponent: Exponent
    amount: Sum
    reserved: AmountOrNone
    expected: AmountOrNone


@register("pay.balance")
class Balances(Body, frozen=True):
    """The accounts of a wallet; answers ``pay.open`` and ``pay.query``."""

    accounts: Annotated[tuple[Balance, ...], Meta(max_length=L.PAY_LEDGERS_MAX)]
    worker: Key
    log: Annotated[str, Meta(max_length=L.NAME_BYTES_MAX)]
    checkpoint: SignedCheckpoint = b""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A line of an account: positive came, negative went. ``kind`` as of ``payments.Statement``."""

    sequence: UInt
    at_ms: UInt
    kind: Annotated[str, Meta(max_length=16)]
    ledger: Annotated[str, Meta(max_length=L.LEDGER_NAME_CHARS_MAX)]
    amount: Sum
    other: Hash
    operation: Annotated[bytes, Meta(max_length=L.LEDGER_ID_BYTES_MAX)]


@register("pay.history")
class History(Body, frozen=True):
    """Lines of a wallet, oldest first; ``more``: ask again after the last."""

    entries: Annotated[tuple[Entry, ...], Meta(max_length=L.PAY_ENTRIES_MAX)]
    more: bool = False
    checkpoint: SignedCheckpoint = b""


@register("pay.proof")
class Proof(Body, frozen=True):
    """That the log of ``old`` receipts is a prefix of that of ``to``; no ``proof`` where that cannot be shown.

    ``checkpoint``: at ``to``, if one was signed there.
    """

    old: UInt
    to: UInt
    checkpoint: SignedCheckpoint = b""
    proof: Annotated[tuple[Key, ...], Meta(max_length=106)] = ()


def check_request(request: Request) -> None:
    """Whether a request makes sense in itself. Raises ``PayError``."""
    least, most, amount = request.least, request.most, request.amount
    if request.payer and (len(request.payer) != L.KEY_BYTES or request.payer == request.payee):
        raise PayError(PayCode.SELF_TRANSFER)
    if (most and least > most) or (amount and most > amount) or (amount and least > amount):
        raise PayError(PayCode.AMOUNT_OUTSIDE_REQUEST)
    if amount and request.items and sum(item.amount for item in request.items) != amount:
        raise PayError(PayCode.AMOUNT_OUTSIDE_REQUEST)


def allows(request: Request, amount: int) -> bool:
    """Whether a request is paid with this amount: all of it, or a part where it names bounds, or any if it is open."""
    if request.least or request.most:
        most = request.most or request.amount or L.INT_MAX
        return max(request.least, 1) <= amount <= most
    return amount == request.amount if request.amount else amount > 0
