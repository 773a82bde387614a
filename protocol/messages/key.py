"""``key.*``: about keys, device to device through inboxes (sealed to the device, signed by the sender)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.frames import Key, MessageId, UInt
from protocol.messages.registry import Body, register


@register("key.readmit")
class Readmit(Body, frozen=True):
    """I alone could not open a valid commit: please remove and re-add my device. ``fence`` is where I stopped."""

    topic: Key
    group: UInt
    fence: UInt


@register("key.failed")
class Failed(Body, frozen=True):
    """Your application message did not open here; send it again under a new id that names the old."""

    topic: Key
    id: MessageId
    offset: UInt


@register("key.contact")
class Contact(Body, frozen=True):
    """The token with which you count as my contact at the relay."""

    token: Annotated[bytes, Meta(min_length=16, max_length=16)]


@register("key.linked")
class Linked(Body, frozen=True):
    """I am a new device of your account and have key packages: please add me to your conversations."""
