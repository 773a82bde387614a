"""Bytes to frames and back, strictly: bad input by name, what it costs, and what is answered."""

from __future__ import annotations

import contextlib
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
)  # fmt: skip
from tests.protocol import strategies
from tests.protocol.bad_input import BOMBS, FATAL, MALFORMED, UNPACKABLE, UNTYPED, full_array, nested, pack
from tests.protocol.samples import ID, SAMPLES, TOPIC, from_client, plain


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
@pytest.mark.parametrize("name", FATAL)
def test_no_frame_at_all(name: str) -> None:
    error = refusal(FATAL[name])
    assert (error.fatal, error.rid, error.code) == (True, 0, Code.FRAME)
    assert error.text


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
