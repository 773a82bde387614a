"""What the ranker learns from: one event each, in the order of the log that is the truth.

Ids and accounts are bytes of any length up to BYTES_MAX; times are Unix milliseconds of the *relay*, never of an
author. Nothing here trusts a value: ``Ranker.apply`` bounds, counts and says what it refused.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Kind = Literal["view", "dwell", "finish", "open", "like", "reply", "share", "hide", "less", "report"]
KINDS: Final[tuple[Kind, ...]] = (
    "view",
    "dwell",
    "finish",
    "open",
    "like",
    "reply",
    "share",
    "hide",
    "less",
    "report",
)


class Event(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """One line of the log."""


class Post(Event, tag="post", frozen=True, array_like=True):
    """A public post, or one of a circle that admitted the ranker."""

    id: bytes
    author: bytes
    at_ms: int  # when the relay stored it
    tags: tuple[str, ...] = ()
    kind: str = "post"  # post, reply, repost, quote
    reply_to: bytes | None = None
    media: int = 0  # pieces of media
    words: int = 0  # length of its text


class Edited(Event, tag="edited", frozen=True, array_like=True):
    """A new version of a post: what was learned of the old text no longer counts for its notes."""

    post: bytes
    at_ms: int
    tags: tuple[str, ...] = ()
    media: int = 0
    words: int = 0


class Deleted(Event, tag="deleted", frozen=True, array_like=True):
    """A post is gone: it is never shown again, and everything about it is dropped."""

    post: bytes
    at_ms: int


class Signal(Event, tag="signal", frozen=True, array_like=True):
    """What a reader did with a post, told by the reader's own client."""

    reader: bytes
    post: bytes
    kind: Kind
    value: float = 1.0  # dwell: seconds; like: strength 0 to 1; otherwise 1
    at_ms: int = 0
    context: bytes = b""  # ranking id of the page it was shown on; empty: not from a page of ours
    position: int = -1  # there, counted from 0


class Follow(Event, tag="follow", frozen=True, array_like=True):
    """A reader follows an author, or no longer does."""

    reader: bytes
    author: bytes
    at_ms: int
    on: bool = True


class Note(Event, tag="note", frozen=True, array_like=True):
    """A context note on a post."""

    id: bytes
    post: bytes
    author: bytes
    at_ms: int
    sources: tuple[str, ...] = ()


class NoteRating(Event, tag="rating", frozen=True, array_like=True):
    """How helpful somebody finds a note: 0, 0.5 or 1. The same rater's later rating replaces the earlier."""

    note: bytes
    rater: bytes
    at_ms: int
    helpful: float


class Forget(Event, tag="forget", frozen=True, array_like=True):
    """A reader wants everything that is known of it deleted. It is in the log, so that a replay forgets too."""

    reader: bytes
    at_ms: int


class Served(Event, tag="served", frozen=True, array_like=True):
    """A ranking was made for a reader: the context that signals may name. ``Ranker.page`` applies it itself."""

    reader: bytes
    ranking: bytes
    at_ms: int
    posts: tuple[bytes, ...]
    explored: tuple[tuple[int, int], ...] = ()  # (place, propensity in millionths)


class Tick(Event, tag="tick", frozen=True, array_like=True):
    """Time for what is done now and then: bridging is fitted anew. In the log, so that a replay does it there too."""

    at_ms: int


AnyEvent = Post | Edited | Deleted | Signal | Follow | Note | NoteRating | Forget | Served | Tick

_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final[msgspec.msgpack.Decoder[AnyEvent]] = msgspec.msgpack.Decoder(AnyEvent)


def to_bytes(event: AnyEvent) -> bytes:
    """An event as MessagePack, for a log."""
    return _encode(event)


def from_bytes(data: bytes) -> AnyEvent:
    """The event of ``to_bytes``. Raises ``msgspec.DecodeError`` on anything else."""
    return _decoder.decode(data)
