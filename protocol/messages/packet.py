"""``pay.*`` for several people at once: red packets and bills that are split.

A packet is *funded* in the payer's conversation with the worker and *shown* in the people's own; a *claim* goes from
the claimer to the worker. When it is finished the worker tells the payer and those who claimed, and the payer's client
tells the people: anybody recomputes the shares (``protocol.packets.recompute``).

A bill is a set of ``pay.request``; ``pay.split`` says which belong together, so that all see that they sum to it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.frames import Key, MessageId
from protocol.messages.pay import Amount, AmountOrNone, Blob, Exponent, Hash, LedgerName, Memo, Operation
from protocol.messages.pay import SignedCheckpoint as Shown
from protocol.messages.registry import Body, register
from protocol.packets import Claimed
from protocol.payments import PayCode, PayError
from protocol.shares import by_weight

TermsBytes = Annotated[bytes, Meta(min_length=1, max_length=L.PACKET_BYTES_MAX)]


@register("pay.fund")
class Fund(Body, frozen=True):
    """To the worker: set money aside. ``signed``: an authorization to the pot; ``seed``: of a random packet."""

    signed: Blob
    terms: TermsBytes
    seed: Hash = b""
    checkpoint: Shown = b""


@register("pay.packet")
class Packet(Body, frozen=True):
    """To the people: there is a packet. ``operation``: its id in the ledger, with which it is claimed."""

    operation: Operation
    terms: TermsBytes
    memo: Memo = ""


@register("pay.claim")
class Claim(Body, frozen=True):
    """To the worker: give me my share. ``id``: the claimer's idempotency key."""

    operation: Operation
    id: MessageId
    checkpoint: Shown = b""


@register("pay.shares")
class Shares(Body, frozen=True):
    """A packet is finished: the seed, and who got which share, in the order of claims; the rest went back."""

    operation: Operation
    terms: TermsBytes
    seed: Hash = b""
    claimed: Annotated[tuple[Claimed, ...], Meta(max_length=L.PACKET_SHARES_MAX)] = ()


class Part(msgspec.Struct, frozen=True, array_like=True):
    """Somebody's part of a bill; ``request``: hash of the request for it, empty for that of whoever paid the bill."""

    member: Key
    weight: Annotated[int, Meta(ge=0, le=L.INT_MAX)]
    amount: AmountOrNone
    request: Hash = b""


@register("pay.split")
class Split(Body, frozen=True):
    """A bill and its parts: by weight, largest remainder, so that they sum to ``amount`` (``shares.by_weight``)."""

    payee: Key
    ledger: LedgerName
    exponent: Exponent
    amount: Amount
    parts: Annotated[tuple[Part, ...], Meta(min_length=1, max_length=L.SPLIT_PARTS_MAX)]
    memo: Memo = ""


def check_split(split: Split) -> None:
    """Whether the parts are what their weights say, of different people. Raises ``PayError``, ``ShareError``."""
    parts = by_weight(split.amount, [part.weight for part in split.parts])
    members = {part.member for part in split.parts}
    if parts != tuple(part.amount for part in split.parts) or len(members) != len(split.parts):
        raise PayError(PayCode.SPLIT_WRONG)
