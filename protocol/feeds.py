"""Public entries of feeds: what the relay reads of them, and how their authors sign them.

An entry is clear: a header that says what kind it is, and a body of a content (``protocol.content``) with the author's
signature. The relay reads the header only: it appends a *pointer* to every entry to one of the 64 shard logs, and to
the log of the entry that it is about. A pointer repeats author, id and header of its entry, and says where it lies.

The signature is the device's, over the feed, the id, the header and the content, so nothing can be cut out, moved to
another feed or dated anew; what time an entry is of is the relay's word alone.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.errors import ChappeError, RemoteProtocolError
from protocol.frames import Flag, Signature, UInt
from protocol.identity import SigningKey, verify
from protocol.ids import about_topic, shard_of, shard_topic, tagged_hash

_DOMAIN: Final = b"chappe/v1/feed-entry\x00"
_OFFSET_BYTES: Final = 8
Tag = Annotated[str, Meta(min_length=1, max_length=L.FEED_TAG_CHARS_MAX, pattern=r"^[^\s#@]+\Z")]
Kind = Annotated[str, Meta(max_length=L.FEED_KIND_CHARS_MAX, pattern=r"^[a-z]+\Z")]
PUBLIC: Final = int(Flag.PUBLIC)
ERASE: Final = int(Flag.ERASE)


class FeedError(ChappeError):
    """A public entry that cannot be believed or made; the text says why."""


class FeedHeader(msgspec.Struct, frozen=True, array_like=True):
    """Header of a public entry: all that the relay reads. ``about``: key of the entry that it answers or likes."""

    kind: Kind
    tags: Annotated[tuple[Tag, ...], Meta(max_length=L.FEED_TAGS_MAX)] = ()
    about: Annotated[bytes, Meta(max_length=L.KEY_BYTES)] = b""


class Pointer(msgspec.Struct, frozen=True, array_like=True):
    """Body of an entry of a shard log, or of what is about an entry: where the entry lies in its author's feed."""

    generation: UInt
    offset: UInt
    erases: UInt = 0  # the entry takes back the one at this offset


class SignedEntry(msgspec.Struct, frozen=True, array_like=True):
    """Body of a public entry."""

    content: Annotated[bytes, Meta(max_length=L.CONTENT_BYTES_MAX)]
    signature: Signature


def read_header(header: bytes) -> FeedHeader:
    """The header of an entry that erases nothing. Raises ``RemoteProtocolError``."""
    found = decode_struct(header, FeedHeader)
    if len(found.about) not in (0, L.KEY_BYTES):
        raise RemoteProtocolError("what an entry is about is a key of 32 bytes, or none", fatal=False)
    return found


def erasing(offset: int) -> bytes:
    """The header of an entry that takes another one back."""
    return offset.to_bytes(_OFFSET_BYTES, "big")


def pointers(feed: bytes, flags: int, header: bytes) -> tuple[bytes, ...]:
    """The topics that get a pointer to an entry. Raises ``RemoteProtocolError``."""
    shard = shard_topic(shard_of(feed))
    if flags & ERASE:
        return (shard,)
    about = read_header(header).about
    return (shard, about_topic(about)) if about else (shard,)


# -- signatures --------------------------------------------------------------------------------------------------------
def _signed(topic: bytes, device: bytes, message_id: bytes, header: bytes, content: bytes) -> bytes:
    return tagged_hash("feed/signed", (topic, device, message_id, header, content))


def seal_entry(key: SigningKey, topic: bytes, message_id: bytes, header: bytes, content: bytes) -> bytes:
    """The body of an entry, signed by a device."""
    signature = key.sign(_DOMAIN, _signed(topic, key.public, message_id, header, content))
    return encode_struct(SignedEntry(content, signature))


def open_entry(topic: bytes, device: bytes, message_id: bytes, header: bytes, body: bytes) -> bytes:
    """The content of an entry. Raises ``FeedError`` if ``device`` has not signed it for this place."""
    try:
        entry = decode_struct(body, SignedEntry)
    except RemoteProtocolError as error:
        raise FeedError(f"no signed entry: {error.text}") from None
    if not verify(device, _DOMAIN, _signed(topic, device, message_id, header, entry.content), entry.signature):
        raise FeedError("the signature is not that of the device which is said to have sent it")
    return entry.content


def entry_hash(body: bytes) -> bytes:
    """What a reference to an entry holds, so that it cannot be pointed elsewhere: SHA-256 of the signed bytes."""
    return hashlib.sha256(body).digest()
