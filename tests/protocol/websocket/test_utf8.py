"""UTF-8 in pieces: the same verdict as Python's decoder, and as early as it can be known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.websocket.utf8 import advance, is_utf8


def in_pieces(data: bytes, size: int) -> tuple[bool, int]:
    """(whether it is valid so far, octets looked at)."""
    tail: bytes | None = b""
    for at in range(0, len(data), size):
        tail = advance(tail or b"", data[at : at + size])
        if tail is None:
            return False, at + size
        assert len(tail) <= 3
    return tail == b"", len(data)


@pytest.mark.parametrize("text", ["", "plain", "κόσμε", "a€b", "😀😀", "\x00\x7f", "\ufffe\U0010ffff"])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_text_is_text_however_it_is_cut(text: str, size: int) -> None:
    assert in_pieces(text.encode(), size) == (True, len(text.encode()))


@pytest.mark.parametrize(
    ("data", "seen_at"),
    [
        (b"\xed\xa0\x80", 2),  # a surrogate cannot be saved by its third octet
        (b"\xf4\x90\x80\x80", 2),  # beyond U+10FFFF
        (b"\xf0\x80\x80\x80", 2),  # overlong
        (b"\xe0\x80\x80", 2),
        (b"\xc0\x80", 1),
        (b"\xf8\x88\x80\x80\x80", 1),
        (b"ok\xff", 3),
        (b"\x80", 1),
        (b"\xc3(", 2),
        (b"\xf0\x9f\x98(", 4),
    ],
)
def test_an_error_is_seen_at_its_octet(data: bytes, seen_at: int) -> None:
    assert in_pieces(data, 1) == (False, seen_at)
    assert not is_utf8(data)


def test_an_unfinished_character_is_no_error_yet() -> None:
    assert advance(b"", "a€".encode()[:-1]) == "€".encode()[:-1]
    assert not is_utf8("€".encode()[:-1])


@given(st.one_of(st.binary(max_size=40), st.text(max_size=20).map(str.encode)), st.integers(1, 8))
def test_the_verdict_is_the_decoders(data: bytes, size: int) -> None:
    try:
        data.decode()
        valid = True
    except UnicodeDecodeError:
        valid = False
    assert in_pieces(data, size)[0] is valid
    assert is_utf8(data) is valid
