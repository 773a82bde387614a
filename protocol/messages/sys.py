"""``sys.*``: messages about messages."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol.messages.registry import Body, register


@register("sys.unsupported")
class Unsupported(Body, frozen=True):
    """The message in ``re`` has a type or version that is not known here, so nothing was done."""

    t: Annotated[str, Meta(max_length=64)]
    v: Annotated[int, Meta(ge=1, le=1000)]
