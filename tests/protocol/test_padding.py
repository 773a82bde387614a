"""The relay learns a size class; the reader gets exactly the bytes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RemoteProtocolError
from protocol.limits import PADDING_BUCKETS
from protocol.padding import pad, pad_to, unpad


@pytest.mark.parametrize("bucket", PADDING_BUCKETS)
def test_a_bucket_is_used_up_to_its_last_byte(bucket: int) -> None:
    assert len(pad(b"x" * (bucket - 4))) == bucket
    if bucket != PADDING_BUCKETS[-1]:
        assert len(pad(b"x" * (bucket - 3))) > bucket


def test_layout() -> None:
    assert pad(b"Salut") == b"\0\0\0\x05Salut" + bytes(247)
    assert pad(b"") == bytes(256)


def test_beyond_the_last_bucket_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="65533 bytes do not fit"):
        pad(bytes(65_533))


@given(st.binary(max_size=2000))
def test_what_goes_in_comes_out(data: bytes) -> None:
    padded = pad(data)
    assert len(padded) in PADDING_BUCKETS
    assert unpad(padded) == data


def test_a_larger_bucket_than_needed_is_fine() -> None:
    assert unpad(b"\0\0\0\x01a" + bytes(1024 - 5)) == b"a"


@pytest.mark.parametrize(
    ("name", "padded"),
    [
        ("empty", b""),
        ("shorter than a length", b"\0\0"),
        ("between two buckets", bytes(257)),
        ("a length beyond the end", b"\0\0\0\xfd" + bytes(252)),
        ("the longest length", b"\xff\xff\xff\xff" + bytes(252)),
        ("something after the data", b"\0\0\0\x01a" + bytes(250) + b"\x01"),
    ],
)
def test_no_padding_of_ours(name: str, padded: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="not a padded content") as caught:
        unpad(padded)
    assert not caught.value.fatal


def test_a_bucket_can_be_chosen() -> None:
    assert pad_to(b"Salut", 256) == pad(b"Salut")
    assert unpad(pad_to(b"Salut", 1024)) == b"Salut"
    for data, size in ((b"x" * 253, 256), (b"x", 257)):
        with pytest.raises(ValueError, match="do not fit a bucket"):
            pad_to(data, size)
