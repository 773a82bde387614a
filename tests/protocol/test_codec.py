"""Bytes to frames and back, strictly: bad input by name, what it costs, and what is answered."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec
from protocol.errors import Code, RemoteProtocolError
from protocol.frames import Ack, AnyFrame, Err, Ok, Ping, Pub, PubResult, Req
from protocol.limits import (
    BATCH_FRAMES_MAX,
    CONTENT_DEPTH_MAX,
    CONTENT_ITEMS_MAX,
    INT_MAX,
    MESSAGE_BYTES_MAX,
)  # fmt: skip
from tests.protocol import strategies
from tests.protocol.samples import ID, SAMPLES, TOPIC, from_client, plain

ARRAY32 = b"\xdd\xff\xff\xff\xff"
MAP32 = b"\xdf\xff\xff\xff\xff"
STR32 = b"\xdb\xff\xff\xff\xff"
BIN32 = b"\xc6\xff\xff\xff\xff"
EXT32 = b"\xc9\xff\xff\xff\xff\x05"


def pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def full_array(start: bytes, item: bytes) -> bytes:
    """An array that fills a message to its bound with ``item`` after ``start`` (two elements)."""
    count = (MESSAGE_BYTES_MAX - 5 - len(start)) // len(item)
    return b"\xdd" + struct.pack(">I", count + 2) + start + item * count


def refusal(data: bytes, *, client: bool = True) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        codec.decode_frames(data, from_client=client)
    return caught.value


# -- frames that are right --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", SAMPLES)
def test_a_frame_comes_back(name: str) -> None:
    frame = SAMPLES[name]
    data = codec.encode_struct(frame)
    assert codec.decode_frames(data, from_client=from_client(frame)) == [frame]
    assert data[0] & 0xF0 == 0x90  # one fixarray: nobody has more than 15 fields


@given(strategies.frames())
def test_two_independent_implementations_agree(frame: AnyFrame) -> None:
    ours = codec.encode_struct(frame)
    assert msgpack.unpackb(ours) == plain(frame)
    assert codec.decode_frames(pack(plain(frame)), from_client=from_client(frame)) == [frame]
    assert pack(plain(frame)) == ours  # both write every value in its shortest form


@given(st.lists(strategies.frames().filter(from_client), min_size=1, max_size=5))
def test_a_batch_keeps_its_order(frames: list[AnyFrame]) -> None:
    assert codec.decode_frames(codec.encode_batch(list(frames)), from_client=True) == frames


def test_longer_forms_of_a_number_are_read_too() -> None:
    assert codec.decode_frames(b"\xdc\x00\x02\xcc\x05\xcf" + bytes(8), from_client=True) == [Ping(0)]


def test_frame_type() -> None:
    assert [codec.frame_type(SAMPLES[name]) for name in ("INFO", "BYE")] == [1, 17]


@pytest.mark.parametrize("size", [0, BATCH_FRAMES_MAX + 1])
def test_a_batch_of_a_wrong_size_is_not_made(size: int) -> None:
    with pytest.raises(ValueError, match="a batch has 1 to 256 frames"):
        codec.encode_batch([Ping()] * size)


def test_a_batch_of_256_is_read() -> None:
    assert len(codec.decode_frames(codec.encode_batch([Ping()] * 256), from_client=True)) == 256


def test_unknown_trailing_fields_are_left_to_newer_versions() -> None:
    assert codec.decode_frames(pack([5, 7, "new", [1, {"a": b"b"}]]), from_client=True) == [Ping(7)]


@pytest.mark.parametrize("kind", [64, 65, 127, 128, 70_000, INT_MAX])
def test_unknown_types_from_64_up_are_ignored(kind: int) -> None:
    assert codec.decode_frames(pack([kind, {"a": 1}]), from_client=True) == []
    assert codec.decode_frames(pack([kind]), from_client=False) == []
    assert codec.decode_frames(pack([[5, 1], [kind, 0], [5, 2]]), from_client=True) == [Ping(1), Ping(2)]


# -- frames that are wrong --------------------------------------------------------------------------------------------
PUB = [13, 7, TOPIC, ID]
FATAL: dict[str, bytes] = {
    "empty": b"",
    "nil": b"\xc0",
    "a number": b"\x05",
    "a map": b"\x80",
    "a string": pack("PING"),
    "an empty array": b"\x90",
    "an empty array, 16 bits": b"\xdc\x00\x00",
    "a header cut off": b"\xdc\x00",
    "a frame cut off": codec.encode_struct(SAMPLES["PUB"])[:-1],
    "trailing bytes": pack([5, 0]) + b"\0",
    "two frames one after another": pack([5, 0]) * 2,
    "trailing bytes after an extension": pack([64]) + b"\0",
    "the byte that MessagePack never uses": b"\x92\x05\xc1",
    "type 0": pack([0, 1]),
    "type 18": pack([18, 1]),
    "type 63": pack([63, 1]),
    "a negative type": pack([-5, 1]),
    "a type beyond 2^53-1": pack([2**53, 1]),
    "a type beyond 64 bits, as a float": pack([1e30, 1]),
    "a type as text": pack(["PING", 1]),
    "a type as a float": pack([5.0, 1]),
    "a type as a boolean": pack([True, 1]),
    "nil as type": pack([None, 1]),
    "an ACK without fields": pack([14]),
    "an ACK with nil": pack([14, None, 1]),
    "a PING with a float": pack([5, 1.0]),
    "a PING with NaN": pack([5, float("nan")]),
    "a PING with infinity": pack([5, float("inf")]),
    "a PING with a boolean": pack([5, True]),
    "a PING with text": pack([5, "1"]),
    "a PING with an extension type": b"\x92\x05\xd4\x05\x00",
    "a PING below zero": pack([5, -1]),
    "a PING beyond 2^53-1": pack([5, 2**53]),
    "a BYE below -(2^53-1)": pack([17, 4000, "", -(2**53)]),
    "a rid that is none": pack([13, "7", TOPIC, ID]),
    "a rid below zero": pack([13, -7, TOPIC, ID]),
    "a rid beyond 2^53-1": pack([13, 2**53, TOPIC, ID]),
    "no rid at all": pack([13]),
    "a length beyond the end, array": ARRAY32 + b"\x05",
    "a length beyond the end, batch": b"\x92" + ARRAY32,
    "a length beyond the end, text": b"\x93\x0f\x01" + STR32,
    "a length beyond the end, bytes": b"\x94\x0d\x07" + BIN32,
    "a length beyond the end, map in params": b"\x94\x0f\x01\xa1a" + MAP32,
    "a length beyond the end, extension in params": b"\x94\x0f\x01\xa1a" + EXT32,
    "a length beyond the end, topics": b"\x93\x07\x01\xdd\x00\x00\x01\x00",
    "batch with a number in it": pack([[5, 0], 7]),
    "batch in a batch": pack([[[5, 0]]]),
    "batch with an empty frame": pack([[5, 0], []]),
    "batch with an unknown type": pack([[5, 0], [18, 0]]),
    "batch with a frame of the relay": pack([[5, 0], [10, 1, 1]]),
    "batch with trailing bytes": pack([[5, 0]]) + b"\0",
    "batch cut off": pack([[5, 0]])[:-1],
}


@pytest.mark.parametrize("name", FATAL)
def test_no_frame_at_all(name: str) -> None:
    error = refusal(FATAL[name])
    assert (error.fatal, error.rid, error.code) == (True, 0, Code.FRAME)
    assert error.text


MALFORMED: dict[str, tuple[bytes, str]] = {
    "too few fields": (pack([13, 7, TOPIC]), "PUB"),
    "a topic of 31 bytes": (pack([13, 7, TOPIC[:31], ID]), "PUB"),
    "a topic of 33 bytes": (pack([13, 7, TOPIC + b"x", ID]), "PUB"),
    "text for bytes": (pack([13, 7, "t" * 32, ID]), "PUB"),
    "base64 for bytes": (pack([13, 7, "YWFh" * 8, ID]), "PUB"),
    "an id of 15 bytes": (pack([13, 7, TOPIC, ID[:15]]), "PUB"),
    "bytes for text": (pack([15, 7, b"topics.heads"]), "REQ"),
    "text that is not UTF-8": (b"\x93\x0f\x07\xa2\xff\xff", "REQ"),
    "text with a surrogate": (b"\x93\x0f\x07\xa3\xed\xa0\x80", "REQ"),
    "text with an overlong form": (b"\x93\x0f\x07\xa2\xc0\xaf", "REQ"),
    "a name of 33 characters": (pack([15, 7, "m" * 33]), "REQ"),
    "flags below zero": (pack([*PUB, None, -1]), "PUB"),
    "flags as a float": (pack([*PUB, None, 0.0]), "PUB"),
    "an epoch of one": (pack([*PUB, None, 0, [1]]), "PUB"),
    "an epoch of three": (pack([*PUB, None, 0, [1, 2, 3]]), "PUB"),
    "an epoch beyond 2^53-1": (pack([*PUB, None, 0, [0, 2**53]]), "PUB"),
    "a ttl of more than a year": (pack([*PUB, None, 0, None, None, 366 * 86_400_000 + 1]), "PUB"),
    "a header of 4097 bytes": (pack([*PUB, None, 0, None, None, 0, bytes(4097)]), "PUB"),
    "a body over its bound": (pack([*PUB, None, 0, None, None, 0, b"", bytes(72 * 1024 + 1)]), "PUB"),
    "a bundle that is a map": (pack([*PUB, None, 0, None, None, 0, b"", b"", {}]), "PUB"),
    "101 Welcomes": (pack([*PUB, None, 0, None, None, 0, b"", b"", [None, 0, [[TOPIC, b""]] * 101]]), "PUB"),
    "a token of 65 bytes": (pack([*PUB, None, 0, None, None, 0, b"", b"", None, bytes(65)]), "PUB"),
    "257 topics": (pack([7, 7, [[TOPIC]] * 257]), "SUB"),
    "2049 tids": (pack([8, 7, list(range(2049))]), "UNSUB"),
    "17 features": (pack([2, 7, 1, TOPIC, TOPIC, bytes(64), TOPIC, 0, ["f"] * 17]), "CONNECT"),
    "a nonce of 31 bytes": (pack([2, 7, 1, TOPIC, TOPIC[:31], bytes(64), TOPIC, 0]), "CONNECT"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused_alone(name: str) -> None:
    data, kind = MALFORMED[name]
    error = refusal(data)
    assert (error.fatal, error.rid, error.code) == (False, 7, Code.FRAME)
    assert error.text.startswith(f"malformed {kind}: ")
    assert error.undone == ()


def test_a_malformed_answer_is_refused_with_its_rid_too() -> None:
    error = refusal(pack([4, 9, "409"]), client=False)
    assert (error.fatal, error.rid) == (False, 9)


def test_a_malformed_request_that_asks_for_no_answer_gets_none() -> None:
    error = refusal(pack([13, 0, b"short", ID]))
    assert (error.fatal, error.rid) == (False, 0)


def test_a_batch_is_refused_as_a_whole_and_names_the_requests_that_wait() -> None:
    good, bad = pack([13, 1, TOPIC, ID]), pack([13, 2, b"short", ID])
    others = [
        pack([5, 0]),
        pack([8, 0, []]),
        pack([64, 8]),
        pack([15, 3, "m"]),
        pack([13, 4, b"short too", ID]),
        b"\x07",
    ]
    error = refusal(bytes([0x98]) + good + bad + b"".join(others))
    assert (error.fatal, error.rid, error.undone) == (False, 2, (1, 3, 4))


@pytest.mark.parametrize("name", SAMPLES)
def test_each_side_sends_only_its_own_frames(name: str) -> None:
    frame = SAMPLES[name]
    data = codec.encode_struct(frame)
    if codec.frame_type(frame) in (5, 6, 17):
        assert codec.decode_frames(data, from_client=True) == codec.decode_frames(data, from_client=False)
    else:
        assert refusal(data, client=not from_client(frame)).fatal


def test_a_malformed_frame_of_the_wrong_side_is_fatal() -> None:
    assert refusal(pack([4, 9, "409"])).fatal
    assert refusal(pack([13, 9]), client=False).fatal


def test_a_relay_never_sends_batches() -> None:
    assert "never sends batches" in refusal(codec.encode_batch([Ping()]), client=False).text


@pytest.mark.parametrize("data", [pack([[5, 0]] * 257), full_array(b"\x90\x90", b"\x90"), b"\xdd\xff\xff\xff\xff\x92"])
def test_batches_beyond_256_are_too_large(data: bytes) -> None:
    error = refusal(data)
    assert (error.fatal, error.code) == (True, Code.TOO_LARGE)


# -- what a message may cost ------------------------------------------------------------------------------------------
BOMBS: dict[str, bytes] = {
    "a PING with a million trailing fields": full_array(b"\x05\x00", b"\xc0"),
    "a PUB of a million fields": full_array(b"\x0d\xc0", b"\xc0"),
    "an extension of a million fields": full_array(b"\x40\xc0", b"\xc0"),
    "a batch of a million frames": full_array(b"\x90\x90", b"\x90"),
    "an array of four billion": ARRAY32 + b"\x05",
    "topics of four billion": b"\x93\x07\x01" + ARRAY32,
    "text of four billion": b"\x93\x0f\x01" + STR32,
    "bytes of four billion": b"\x94\x0d\x07" + BIN32,
    "params nested 100,000 deep": b"\x94\x0f\x01\xa1a" + b"\x91" * 100_000 + b"\xc0",
    "params nested a million deep, in maps": b"\x94\x0f\x01\xa1a" + b"\x81" * 1_000_000,
    "an extension nested 100,000 deep": b"\x92\x40" + b"\x91" * 100_000 + b"\xc0",
    "a batch nested a million deep": b"\x91" * 1_000_000,
    "params of a million elements": b"\x94\x0f\x01\xa1a\xdd\x00\x0f\x00\x00" + bytes(0x0F0000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_message_costs_no_more_than_a_few_copies_of_itself(name: str) -> None:
    data = BOMBS[name]
    tracemalloc.start()
    try:
        with contextlib.suppress(RemoteProtocolError):
            codec.decode_frames(data, from_client=True)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2 * len(data) + 16 * 1024


@given(st.binary(max_size=64) | st.binary(max_size=8).map(lambda tail: b"\x94\x0d\x07" + tail))
def test_nothing_else_escapes(data: bytes) -> None:
    for client in (True, False):
        with contextlib.suppress(RemoteProtocolError):
            frames = codec.decode_frames(data, from_client=client)
            assert all(codec.encode_struct(frame) for frame in frames)


# -- structures -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "data",
    [b"", b"\xc0", pack([1]), pack(["1", 2]), pack([1, 2, 0.5]), pack([1, 2]) + b"\0", b"\x91" * 5000, pack({"a": 1})],
)
def test_decode_struct_refuses_without_ending_the_connection(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="not a PubResult") as caught:
        codec.decode_struct(data, PubResult)
    assert not caught.value.fatal


def test_decode_struct_takes_raw_and_plain_types() -> None:
    assert codec.decode_struct(msgspec.Raw(pack([1, 2])), PubResult) == PubResult(1, 2)
    assert codec.decode_struct(Ok(1).result, type(None)) is None
    assert codec.decode_struct(pack([b"a", None]), list[bytes | None]) == [b"a", None]
    with pytest.raises(RemoteProtocolError, match="text that is not UTF-8"):
        codec.decode_struct(b"\xa1\xff", str)
    with pytest.raises(RemoteProtocolError, match="nested too deeply"):
        codec.decode_struct(b"\x91" * 5000, list[Any])


def test_encoding_is_deterministic() -> None:
    frames: list[Callable[[], AnyFrame]] = [lambda: Err(1, 409, "text"), lambda: Ack(1, 2), lambda: Pub(1, TOPIC, ID)]
    for make in frames:
        assert codec.encode_struct(make()) == codec.encode_struct(make())


# -- values without a schema ------------------------------------------------------------------------------------------
def nested(depth: int, item: Any = 1) -> Any:
    for _ in range(depth):
        item = [item]
    return item


scalars = st.none() | st.booleans() | st.integers(-INT_MAX, INT_MAX) | st.text(max_size=8) | st.binary(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_untyped_values_come_back(value: Any) -> None:
    assert codec.unpack_untyped(codec.pack_untyped(value)) == value


def test_the_bounds_of_untyped_values_are_reached() -> None:
    for value in (nested(CONTENT_DEPTH_MAX), [0] * CONTENT_ITEMS_MAX, {str(i): i for i in range(CONTENT_ITEMS_MAX)}):
        assert codec.unpack_untyped(codec.pack_untyped(value)) == value
    assert codec.pack_untyped((1, 2)) == codec.pack_untyped([1, 2])


UNTYPED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "incomplete"),
    "cut off": (b"\x92\x01", "incomplete"),
    "trailing bytes": (b"\x01\x02", "extra data"),
    "a key twice": (b"\x82\xa1a\x01\xa1a\x02", "a key occurs twice"),
    "a key twice, deep inside": (b"\x91\x81\xa1x\x82\xa1a\x01\xa1a\x02", "a key occurs twice"),
    "a number as key": (b"\x81\x01\x01", "key"),
    "nil as key": (b"\x81\xc0\x01", "key"),
    "a boolean as key": (b"\x81\xc3\x01", "key"),
    "bytes as key": (b"\x81\xc4\x01a\x01", "a key that is not a string"),
    "an array as key": (b"\x81\x90\x01", "key"),
    "a map as key": (b"\x81\x80\x01", ""),
    "a float": (pack(0.5), "a float is not allowed"),
    "a float that is whole": (pack([1.0]), "a float is not allowed"),
    "a short float": (b"\xca" + struct.pack(">f", 1), "a float is not allowed"),
    "NaN": (pack({"a": float("nan")}), "a float is not allowed"),
    "2^53": (pack(2**53), "an integer beyond"),
    "-2^53": (pack([-(2**53)]), "an integer beyond"),
    "the largest of 64 bits": (pack(2**64 - 1), "an integer beyond"),
    "an extension type": (b"\xd4\x05\x00", "max_ext_len"),
    "an empty extension type": (b"\xc7\x00\x05", "extension type 5"),
    "a timestamp": (b"\xd6\xff\0\0\0\0", "max_ext_len"),
    "text that is not UTF-8": (b"\xa1\xff", "utf-8"),
    "text with a surrogate": (b"\xa3\xed\xa0\x80", "utf-8"),
    "the byte that MessagePack never uses": (b"\xc1", ""),
    "17 levels": (pack(nested(CONTENT_DEPTH_MAX + 1)), "nested too deeply"),
    "60,000 levels": (b"\x91" * 60_000 + b"\xc0", "nested too deeply"),
    "1025 elements": (pack([0] * 1025), "exceeds max_array_len"),
    "1025 keys": (pack({str(i): i for i in range(1025)}), "exceeds max_map_len"),
    "four billion elements": (ARRAY32, "exceeds max_array_len"),
    "four billion keys": (MAP32, "exceeds max_map_len"),
    "text of four billion": (STR32, ""),
    "bytes of four billion": (BIN32, ""),
}


@pytest.mark.parametrize("name", UNTYPED)
def test_no_content(name: str) -> None:
    data, text = UNTYPED[name]
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match="not a content") as caught:
            codec.unpack_untyped(data)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(data) + 64 * 1024
    finally:
        tracemalloc.stop()
    assert text.lower() in caught.value.text.lower()
    assert not caught.value.fatal


UNPACKABLE: dict[str, Any] = {
    "a float": 0.5,
    "2^53": 2**53,
    "-2^53": -(2**53),
    "a number as key": {1: 2},
    "bytes as key": {b"a": 1},
    "17 levels": nested(CONTENT_DEPTH_MAX + 1),
    "an object": object(),
    "a set": {1, 2},
    "bytes that may change": bytearray(b"a"),
    "1025 elements": [0] * 1025,
    "1025 keys": {str(i): i for i in range(1025)},
    "a surrogate": "\ud800",
    "an extension type": msgpack.ExtType(5, b""),
}


@pytest.mark.parametrize("name", UNPACKABLE)
def test_what_would_be_refused_is_not_packed(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        codec.pack_untyped(UNPACKABLE[name])


def test_a_value_that_contains_itself_is_not_packed() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="nested too deeply"):
        codec.pack_untyped(loop)


def test_request_params_are_kept_as_they_came() -> None:
    odd = b"\xdc\x00\x01\xcd\x00\x01"  # [1], written the long way
    frame = codec.decode_frames(b"\x94\x0f\x01\xa1m" + odd, from_client=True)[0]
    assert isinstance(frame, Req)
    assert bytes(frame.params) == odd
