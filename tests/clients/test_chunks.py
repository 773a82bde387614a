"""Cutting, sealing and opening files; nothing can be swapped, cut off or taken from elsewhere."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.chunks import FileDamaged, FileTooLarge, Layout, chunk_size, layout_of, open_chunk, seal_chunk
from protocol import limits as L
from protocol.messages.chat import Media

SMALL = L.CHUNK_BYTES_MIN


def layout(size: int, chunk: int = SMALL, seed: bytes = b"one") -> Layout:
    digest = hashlib.sha512(seed).digest()
    return Layout(digest[:16], digest[16:48], size, chunk)


@given(st.integers(1, 3 * SMALL), st.integers(0, 255))
def test_what_was_sealed_opens(size: int, fill: int) -> None:
    here = layout(size)
    content = bytes([fill]) * size
    parts = [content[start : start + SMALL] for start in range(0, size, SMALL)]
    assert len(parts) == here.count
    sealed = [seal_chunk(here, index, part) for index, part in enumerate(parts)]
    assert [len(part) for part in sealed] == [here.sealed(index) for index in range(here.count)]
    assert b"".join(open_chunk(here, index, part) for index, part in enumerate(sealed)) == content
    assert sealed == [seal_chunk(here, index, part) for index, part in enumerate(parts)]  # the same again


def test_the_last_chunk_is_padded_and_no_more() -> None:
    assert layout(0).count == 0
    assert layout(1).padded(0) == L.CHUNK_PAD_BYTES
    assert layout(SMALL + 1).padded(0) == SMALL
    assert layout(70_000, chunk=66_000).padded(0) == 66_000
    assert layout(70_000, chunk=66_000).padded(1) == L.CHUNK_PAD_BYTES


def test_a_chunk_opens_in_its_own_place_only() -> None:
    here, content = layout(3 * SMALL), bytes(SMALL)
    sealed = seal_chunk(here, 1, content)
    assert sealed[:24] != seal_chunk(here, 1, b"x" + content[1:])[:24]  # other content, other nonce
    for there, index in ((here, 0), (here, 2), (layout(2 * SMALL), 1), (layout(3 * SMALL, seed=b"two"), 1)):
        with pytest.raises(FileDamaged, match="does not open"):
            open_chunk(there, index, sealed)
    for bad in (b"", sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(FileDamaged, match="does not open"):
            open_chunk(here, 1, bad)


def test_a_chunk_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="chunk 0 has"):
        seal_chunk(layout(10), 0, bytes(11))
    short, long = layout(SMALL), layout(L.CHUNK_PAD_BYTES)
    with pytest.raises(FileDamaged, match="another size"):
        open_chunk(long, 0, seal_chunk(short, 0, bytes(SMALL)))


def test_large_files_have_larger_chunks() -> None:
    assert chunk_size(0) == chunk_size(L.CHUNK_BYTES * L.FILE_CHUNKS_MAX) == L.CHUNK_BYTES
    assert chunk_size(L.FILE_BYTES_MAX) == L.CHUNK_BYTES_MAX
    more = chunk_size(L.CHUNK_BYTES * L.FILE_CHUNKS_MAX + 1)
    assert L.CHUNK_BYTES < more <= L.CHUNK_BYTES + L.CHUNK_BYTES_MIN
    with pytest.raises(FileTooLarge, match="900 MiB"):
        chunk_size(L.FILE_BYTES_MAX + 1)


def test_a_message_must_fit_itself() -> None:
    media = Media(
        id=bytes(16), name="a", mime="", size=SMALL + 1, hash=bytes(32), key=bytes(32), chunk=SMALL, chunks=(bytes(32),)
    )
    with pytest.raises(FileDamaged, match="1 chunks for a file that has 2"):
        layout_of(media)
    assert repr(layout(1).key) not in repr(layout(1))
