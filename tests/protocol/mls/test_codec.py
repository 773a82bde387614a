"""The strict TLS presentation codec (RFC 9420 section 2.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.mls import codec
from protocol.mls.codec import Reader, parse_exact
from protocol.mls.errors import DecodeError
from tests.protocol.mls.vector_table import check_file


def test_official_vectors() -> None:
    check_file("deserialization.json", at_least=10)


@given(st.integers(0, 2**30 - 1))
def test_varint_round_trip(n: int) -> None:
    assert parse_exact(codec.varint(n), Reader.varint) == n


@pytest.mark.parametrize(("n", "size"), [(0, 1), (63, 1), (64, 2), (16383, 2), (16384, 4), (2**30 - 1, 4)])
def test_varint_is_as_short_as_can_be(n: int, size: int) -> None:
    assert len(codec.varint(n)) == size


def test_varint_refuses_what_no_header_can_state() -> None:
    with pytest.raises(ValueError, match="2\\^30"):
        codec.varint(2**30)


@pytest.mark.parametrize("data", ["403f", "80003fff", "c0", "ffffffff"])
def test_2_1_2_longer_than_needed_or_invalid_headers(data: str) -> None:
    with pytest.raises(DecodeError):
        Reader(bytes.fromhex(data)).varint()


@pytest.mark.parametrize("data", ["", "40", "800000"])
def test_truncated_headers(data: str) -> None:
    with pytest.raises(DecodeError, match="truncated"):
        Reader(bytes.fromhex(data)).varint()


def test_2_1_1_presence_octet() -> None:
    assert Reader(b"\x01").optional() is True
    assert Reader(b"\x00").optional() is False
    with pytest.raises(DecodeError, match="presence"):
        Reader(b"\x02").optional()


def test_vectors_of_numbers() -> None:
    assert Reader(codec.vec_of([codec.u16(1), codec.u16(65535)])).u16s() == (1, 65535)
    assert Reader(codec.vec_of([codec.u32(7)])).u32s() == (7,)
    with pytest.raises(DecodeError, match="odd"):
        Reader(codec.vec(b"abc")).u16s()
    with pytest.raises(DecodeError, match="multiple of 4"):
        Reader(codec.vec(b"abcde")).u32s()


def test_items_must_fill_their_vector() -> None:
    data = codec.vec(codec.vec(b"ab") + codec.vec(b"c"))
    assert Reader(data).items(Reader.vec) == (b"ab", b"c")
    with pytest.raises(DecodeError, match="truncated"):
        Reader(codec.vec(b"\x05ab")).items(Reader.vec)


def test_nothing_may_be_left_over() -> None:
    assert parse_exact(b"\x07", Reader.u8) == 7
    with pytest.raises(DecodeError, match="left over"):
        parse_exact(b"\x07\x07", Reader.u8)


def test_numbers_and_rest() -> None:
    reader = Reader(codec.u8(1) + codec.u16(2) + codec.u32(3) + codec.u64(4) + b"rest")
    assert (reader.u8(), reader.u16(), reader.u32(), reader.u64(), reader.rest()) == (1, 2, 3, 4, b"rest")
    with pytest.raises(DecodeError, match="truncated"):
        reader.u8()


def test_optional_values() -> None:
    assert codec.optional(None) == b"\x00"
    assert codec.optional(b"x") == b"\x01x"
