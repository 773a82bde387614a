"""``pay.*`` for disputes (``protocol.disputes``)."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.frames import Key, UInt
from protocol.messages.pay import Amount, AmountOrNone, Blob, Exponent, LedgerName, Operation
from protocol.messages.pay import SignedCheckpoint as Shown
from protocol.messages.registry import Body, register

Words = Annotated[str, Meta(max_length=L.DISPUTE_TEXT_CHARS_MAX)]


class Stage(IntEnum):
    """How a dispute stands."""

    OPEN = 0
    AGREED = 1  # one accepted what the other offered
    WITHDRAWN = 2
    DECIDED = 3  # by the operator
    LAPSED = 4  # nobody did anything in time: the money is the payee's again


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """How much of what is frozen is to go back, as one of the two would have it."""

    account: Key
    amount: AmountOrNone


@register("pay.dispute")
class Dispute(Body, frozen=True):
    """To the worker: a step. ``signed``: of ``disputes.sign_step``; ``text``: what is said with it."""

    signed: Blob
    text: Words = ""
    checkpoint: Shown = b""


@register("pay.case")
class Case(Body, frozen=True):
    """From the worker to both: how a dispute stands, and what the other one has just said."""

    payment: Operation
    opener: Key
    payee: Key
    ledger: LedgerName
    exponent: Exponent
    amount: Amount
    stage: Annotated[int, Meta(ge=0, le=15)] = 0
    expires_ms: UInt = 0
    offers: Annotated[tuple[Offer, ...], Meta(max_length=2)] = ()
    returned: AmountOrNone = 0
    by: Annotated[bytes, Meta(max_length=L.KEY_BYTES)] = b""
    text: Words = ""
