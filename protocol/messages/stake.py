"""``pay.*`` for stakes: what players put in, and what the referee says (``protocol.stakes``)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol import limits as L
from protocol.frames import Key, MessageId
from protocol.messages.pay import Blob
from protocol.messages.pay import SignedCheckpoint as Shown
from protocol.messages.registry import Body, register

StakeBytes = Annotated[bytes, Meta(min_length=1, max_length=L.PACKET_BYTES_MAX)]


@register("pay.stake")
class Stake(Body, frozen=True):
    """To the worker: my stake in a match. ``signed``: an authorization to the pot of ``terms``."""

    signed: Blob
    terms: StakeBytes
    checkpoint: Shown = b""


@register("pay.result")
class Result(Body, frozen=True):
    """To the worker, by anybody: what the referee has signed about the stakes whose terms hash to ``stake``."""

    stake: Key
    id: MessageId
    signed: Blob
    checkpoint: Shown = b""
