"""A file as a conversation names it, and as a public entry does."""

from __future__ import annotations

from protocol.messages.chat import Media
from protocol.messages.feed import File


def as_file(media: Media) -> File:
    """A file as an entry names it."""
    return File(
        media.id, media.name, media.mime, media.size, media.hash, media.key, media.chunk, media.chunks,
        media.thumbnail, media.blurhash,
    )  # fmt: skip


def as_media(file: File) -> Media:
    """A file of an entry as ``client.download`` wants it."""
    return Media(
        id=file.id, name=file.name, mime=file.mime, size=file.size, hash=file.hash, key=file.key, chunk=file.chunk,
        chunks=file.chunks, thumbnail=file.thumbnail, blurhash=file.blurhash,
    )  # fmt: skip
