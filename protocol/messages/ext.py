"""``ext.*``: the conversation with extension workers, whatever they do."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.frames import UInt
from protocol.limits import SIGNATURE_BYTES
from protocol.messages.registry import Body, register

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Names = Annotated[tuple[Name, ...], Meta(max_length=64)]


@register("ext.manifest")
class Manifest(Body, frozen=True):
    """What a worker consumes, produces and keeps."""

    name: Name
    consumes: Names
    produces: Names
    keeps: Annotated[str, Meta(max_length=1024)] = ""
    trust: Annotated[str, Meta(max_length=1024)] = ""  # what one has to believe of it, in its author's words
    made_ms: UInt = 0
    signature: Annotated[bytes, Meta(max_length=SIGNATURE_BYTES)] = b""  # by the account, over the rest: see `manifest`


@register("ext.request")
class Request(Body, frozen=True):
    """Ask a worker to do something; the message id is the idempotency key."""

    method: Name
    params: msgspec.Raw = msgspec.Raw(b"\xc0")


@register("ext.reply")
class Reply(Body, frozen=True):
    """Result of the request in ``re``."""

    result: msgspec.Raw = msgspec.Raw(b"\xc0")


@register("ext.progress")
class Progress(Body, frozen=True):
    """How far the request in ``re`` is, in percent."""

    percent: Annotated[int, Meta(ge=0, le=100)]
    text: Annotated[str, Meta(max_length=256)] = ""


@register("ext.error")
class Error(Body, frozen=True):
    """The request in ``re`` failed."""

    code: Annotated[int, Meta(ge=0, le=9999)]
    text: Annotated[str, Meta(max_length=512)] = ""
