"""``eph.*``: notices that are never stored and never acted on."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.messages.registry import Body, register


@register("eph.typing")
class Typing(Body, frozen=True):
    """Somebody types, or has stopped."""

    on: bool = True


@register("eph.presence")
class Presence(Body, frozen=True):
    """Somebody is here."""

    status: Annotated[str, Meta(max_length=64)] = "here"
