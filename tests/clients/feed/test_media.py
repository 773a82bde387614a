"""A file as a conversation names it, and as a public entry does."""

from __future__ import annotations

from clients.feed.media import as_file, as_media
from protocol.messages.feed import File


def test_there_and_back() -> None:
    file = File(b"i" * 16, "sea.png", "image/png", 9, b"h" * 32, b"k" * 32, 65_536, (b"c" * 32,), b"t", "LKO2")
    media = as_media(file)
    assert (media.id, media.name, media.thumbnail, media.blurhash) == (file.id, "sea.png", b"t", "LKO2")
    assert as_file(media) == file
