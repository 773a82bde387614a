"""XOR by the four octets of a key, by whichever way is used for a size."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.websocket import masking
from protocol.websocket.masking import INTEGER_BYTES_MAX, REPEAT, REPEAT_BYTES_MAX, SURPLUS, rotated, xor_in_python

KEY = b"\x37\xfa\x21\x3d"


def plainly(data: bytes, key: bytes) -> bytes:
    """Section 5.3 as it is written there."""
    return bytes(octet ^ key[place % 4] for place, octet in enumerate(data))


def test_the_example_of_the_rfc() -> None:
    assert xor_in_python(b"Hello", KEY) == bytes.fromhex("7f9f4d5158")


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 127, INTEGER_BYTES_MAX, INTEGER_BYTES_MAX + 1, 4099, 70_001])
@pytest.mark.parametrize("key", [KEY, bytes(4), b"\xff\x00\xff\x00"])
def test_every_size(size: int, key: bytes) -> None:
    data = bytes(place * 7 & 255 for place in range(size))
    assert xor_in_python(data, key) == plainly(data, key) == masking.xor(data, key)


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_masking_twice_is_nothing(data: bytes, key: bytes) -> None:
    assert masking.xor(masking.xor(data, key), key) == data


def test_the_table_repeats_a_key() -> None:
    assert len(REPEAT) == len(SURPLUS) == REPEAT_BYTES_MAX + 1
    for size in range(REPEAT_BYTES_MAX + 1):
        repeated = int.from_bytes(KEY, "big") * REPEAT[size] >> SURPLUS[size]
        assert repeated.to_bytes(size, "big") == plainly(bytes(size), KEY)


@given(st.binary(max_size=50), st.integers(0, 50))
def test_a_rotated_key_goes_on_where_the_last_piece_ended(data: bytes, cut: int) -> None:
    first, second = data[:cut], data[cut:]
    assert plainly(first, KEY) + plainly(second, rotated(KEY, len(first))) == plainly(data, KEY)


@pytest.mark.parametrize("name", ["right", "wrong", "absent", "nothing"])
def test_a_helper_is_taken_where_it_is_right(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("a_helper")
    functions = {"right": plainly, "wrong": lambda data, key: data}
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, "a_helper", module)
    names = [("no_such_module_anywhere", "xor"), ("a_helper", name)]
    assert masking.find_helper(names) is (plainly if name == "right" else None)
    assert masking.find_helper([("a_helper", name), ("a_helper", "right")]) is plainly
