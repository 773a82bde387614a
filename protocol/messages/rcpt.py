"""``rcpt.*``: receipts. Cumulative, so a lost or late one does no harm."""

from __future__ import annotations

from protocol.frames import UInt
from protocol.messages.registry import Body, register


@register("rcpt.delivered")
class Delivered(Body, frozen=True):
    """Everything up to this offset is in the sender's vault. Not sent in conversations above 32 members."""

    generation: UInt
    offset: UInt


@register("rcpt.read")
class Read(Body, frozen=True):
    """Everything up to this offset was shown to a person. Coalesced."""

    generation: UInt
    offset: UInt
