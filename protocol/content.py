"""The envelope inside the encryption: what people, bots and workers say to each other.

A content is a MessagePack map ``{t, v, b, re?, th?, rp?, ex?, fb?, crit?, seen?, x?}``. Unknown fields are ignored, and
kept byte-exact by whoever forwards: forward the received bytes, never a re-encoding. The relay never sees any of this;
``relay`` and ``storage`` may not import this module.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.codec import decode_struct, encode_struct, unpack_untyped
from protocol.errors import RemoteProtocolError
from protocol.frames import MessageId, UInt
from protocol.position import Seen

TypeName = Annotated[str, Meta(max_length=64, pattern=r"^[a-z][a-z0-9]*(\.[a-z][a-z0-9-]*)+\Z")]


class Reference(msgspec.Struct, frozen=True, array_like=True):
    """Another message: its id and the SHA-256 of its signed bytes, so that a reference cannot be re-pointed."""

    id: MessageId
    hash: Annotated[bytes, Meta(max_length=32)] = b""


class Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One typed message. Short names: they travel in every message."""

    t: TypeName  # type, such as chat.text
    v: Annotated[int, Meta(ge=1, le=1000)] = 1  # major version of the type
    b: msgspec.Raw = msgspec.Raw(b"\x80")  # body, a map typed by (t, v)
    re: Reference | None = None  # what this answers
    th: MessageId | None = None  # thread: id of its first message
    rp: MessageId | None = None  # replaces this message (edit, or sent again)
    ex: UInt | None = None  # expires at, Unix ms
    fb: Annotated[str, Meta(max_length=L.TEXT_CHARS_MAX)] | None = None  # what to show if the type is unknown
    crit: Annotated[tuple[str, ...], Meta(max_length=16)] = ()  # items that must be understood, or the whole is refused
    seen: Seen | None = None  # the last entry that the sender had read
    x: dict[Annotated[str, Meta(max_length=64)], msgspec.Raw] | None = None  # extensions, reverse-domain names


CRITICAL_KNOWN: Final = frozenset({"re", "th", "rp", "ex"})  # items of `crit` that this version understands


def decode_content(data: bytes) -> Content:
    """Decode and check an envelope. Raises ``RemoteProtocolError`` (not fatal).

    Every map in it has unique string keys, there are no floats, integers lie within ±(2^53−1), text is UTF-8.
    """
    if len(data) > L.CONTENT_BYTES_MAX:
        raise RemoteProtocolError(f"a content of {len(data)} bytes; at most {L.CONTENT_BYTES_MAX}", fatal=False)
    unpack_untyped(data)  # the strict pass: msgspec lets the last of two equal keys win
    content = decode_struct(data, Content)
    unknown = [item for item in content.crit if item not in CRITICAL_KNOWN]
    if unknown:
        raise RemoteProtocolError(f"must understand {', '.join(unknown)[:200]}, and does not", fatal=False)
    return content


def encode_content(content: Content) -> bytes:
    """The bytes to seal. Raises ``ValueError`` if they do not fit the largest bucket."""
    data = encode_struct(content)
    if len(data) > L.CONTENT_BYTES_MAX:
        raise ValueError(f"a content of {len(data)} bytes; at most {L.CONTENT_BYTES_MAX}")
    return data
