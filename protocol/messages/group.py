"""``group.*``: what members agree on about their conversation, beside the roster (which MLS keeps)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.messages.registry import Body, register


@register("group.title")
class Title(Body, frozen=True):
    """The conversation's name as shown to people; from an admin."""

    title: Annotated[str, Meta(max_length=128)]


@register("group.restarted")
class Restarted(Body, frozen=True):
    """First message after a ``reset``: why the encryption was restarted."""

    reason: Annotated[str, Meta(max_length=256)]
