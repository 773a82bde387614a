"""``feed.*``: what is said in public, or in a circle. In public the content lies in a signed entry (``protocol.feeds``)
whose header says the same kind; in a circle it is sealed like any other message of a group.

A later ``edit`` of an own entry replaces its text, the latest by the relay's order counts; a ``delete`` takes the
entry's bytes away from the relay too. A later ``like`` of the same entry replaces an earlier one, and so with
``follow``, ``list`` (of the same name), ``rating`` and ``profile``.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.frames import Key, MessageId, UInt
from protocol.messages.registry import Body, register

PostText = Annotated[str, Meta(max_length=L.FEED_TEXT_CHARS_MAX)]


class Target(msgspec.Struct, frozen=True, array_like=True):
    """Another entry: whose, its id, where it lies in that feed, and the SHA-256 of its signed bytes.

    In a circle ``offset`` is that of the group's log, and there is no hash."""

    account: Key
    id: MessageId
    offset: UInt
    hash: Annotated[bytes, Meta(max_length=L.KEY_BYTES)] = b""


class File(msgspec.Struct, frozen=True, array_like=True):
    """A file of an entry: what ``chat.media`` says of one, in the same order. Its key is as public as the entry."""

    id: MessageId
    name: Annotated[str, Meta(min_length=1, max_length=256)]
    mime: Annotated[str, Meta(max_length=128)]
    size: Annotated[int, Meta(ge=0, le=L.FILE_BYTES_MAX)]
    hash: Key
    key: Key
    chunk: Annotated[int, Meta(ge=L.CHUNK_BYTES_MIN, le=L.CHUNK_BYTES_MAX)]
    chunks: Annotated[tuple[Key, ...], Meta(max_length=L.FILE_CHUNKS_MAX)]
    thumbnail: Annotated[bytes, Meta(max_length=L.THUMBNAIL_BYTES_MAX)] = b""
    blurhash: Annotated[str, Meta(max_length=L.BLURHASH_CHARS_MAX)] = ""


PostMedia = Annotated[tuple[File, ...], Meta(max_length=L.FEED_MEDIA_MAX)]


@register("feed.post")
class Post(Body, frozen=True):
    """Something said to everybody: text, files, or both."""

    text: PostText = ""
    media: PostMedia = ()


@register("feed.reply")
class Reply(Body, frozen=True):
    """An answer to an entry."""

    to: Target
    text: PostText = ""
    media: PostMedia = ()


@register("feed.quote")
class Quote(Body, frozen=True):
    """An entry with words of one's own."""

    of: Target
    text: PostText = ""
    media: PostMedia = ()


@register("feed.repost")
class Repost(Body, frozen=True):
    """An entry, passed on as it is."""

    of: Target


@register("feed.like")
class Like(Body, frozen=True):
    """An entry is liked, or not any more."""

    of: Target
    undo: bool = False


@register("feed.follow")
class Follow(Body, frozen=True):
    """Somebody's feed is read, or not any more."""

    account: Key
    undo: bool = False


@register("feed.list")
class List(Body, frozen=True):
    """Whose feeds belong together, for others to read; the latest of a name counts, and without accounts it is gone."""

    name: Annotated[str, Meta(min_length=1, max_length=L.FEED_LIST_CHARS_MAX)]
    accounts: Annotated[tuple[Key, ...], Meta(max_length=L.FEED_LIST_ACCOUNTS_MAX)] = ()


@register("feed.edit")
class Edit(Body, frozen=True):
    """A new version of an own entry."""

    of: Target
    text: PostText = ""
    media: PostMedia = ()


@register("feed.delete")
class Delete(Body, frozen=True):
    """An own entry is taken back."""

    of: Target


@register("feed.label")
class Label(Body, frozen=True):
    """A word on an entry, such as a warning."""

    of: Target
    label: Annotated[str, Meta(min_length=1, max_length=L.FEED_LABEL_CHARS_MAX)]


@register("feed.profile")
class Profile(Body, frozen=True):
    """Who one is."""

    name: Annotated[str, Meta(max_length=L.FEED_NAME_CHARS_MAX)] = ""
    bio: Annotated[str, Meta(max_length=L.FEED_BIO_CHARS_MAX)] = ""
    avatar: File | None = None


@register("feed.note")
class Note(Body, frozen=True):
    """Context that readers of an entry should know, with the sources it rests on."""

    of: Target
    text: Annotated[str, Meta(min_length=1, max_length=L.FEED_TEXT_CHARS_MAX)]
    sources: Annotated[
        tuple[Annotated[str, Meta(max_length=L.FEED_SOURCE_CHARS_MAX)], ...], Meta(max_length=L.FEED_SOURCES_MAX)
    ] = ()


@register("feed.rating")
class Rating(Body, frozen=True):
    """Whether a context note helps: 0 no, 1 somewhat, 2 yes."""

    of: Target
    helpful: Annotated[int, Meta(ge=0, le=2)]
