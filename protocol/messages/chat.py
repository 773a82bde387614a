"""``chat.*``: what people read as the conversation."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from protocol import limits as L
from protocol.frames import Key, MessageId
from protocol.messages.registry import Body, register

ChatText = Annotated[str, Meta(min_length=1, max_length=L.TEXT_CHARS_MAX)]
Label = Annotated[str, Meta(min_length=1, max_length=256)]


@register("chat.text")
class Text(Body, frozen=True):
    """Plain text. ``mentions`` are accounts named in it."""

    text: ChatText
    mentions: Annotated[tuple[Key, ...], Meta(max_length=64)] = ()


@register("chat.media")
class Media(Body, frozen=True):
    """A sealed file: chunks under content hashes, the key to open them, and what to show before they are there.

    ``id`` is bound into every chunk; ``chunk`` is the plaintext size of all chunks but the last; ``hash`` is the
    SHA-256 of the whole file. ``thumbnail`` (an image) and ``blurhash`` are made by the sender, if at all.
    """

    id: MessageId
    name: Label
    mime: Annotated[str, Meta(max_length=128)]
    size: Annotated[int, Meta(ge=0, le=L.FILE_BYTES_MAX)]
    hash: Key
    key: Key
    chunk: Annotated[int, Meta(ge=L.CHUNK_BYTES_MIN, le=L.CHUNK_BYTES_MAX)]
    chunks: Annotated[tuple[Key, ...], Meta(max_length=L.FILE_CHUNKS_MAX)]
    caption: Annotated[str, Meta(max_length=L.TEXT_CHARS_MAX)] = ""
    thumbnail: Annotated[bytes, Meta(max_length=L.THUMBNAIL_BYTES_MAX)] = b""
    blurhash: Annotated[str, Meta(max_length=L.BLURHASH_CHARS_MAX)] = ""


@register("chat.reaction")
class Reaction(Body, frozen=True):
    """A reaction to the message in ``re``; an empty one takes it back."""

    emoji: Annotated[str, Meta(max_length=16)] = ""


@register("chat.edit")
class Edit(Body, frozen=True):
    """New text of the own message in ``rp``."""

    text: ChatText


@register("chat.delete")
class Delete(Body, frozen=True):
    """Ask readers to hide the own message in ``rp``."""


@register("chat.poll")
class Poll(Body, frozen=True):
    """A question with options; ``choices`` is how many each may take."""

    question: Label
    options: Annotated[tuple[Label, ...], Meta(min_length=2, max_length=20)]
    choices: Annotated[int, Meta(ge=1, le=20)] = 1


@register("chat.vote")
class Vote(Body, frozen=True):
    """A vote in the poll in ``re``: indices of options. A later vote replaces an earlier one."""

    choices: Annotated[tuple[Annotated[int, Meta(ge=0, le=19)], ...], Meta(max_length=20)]
