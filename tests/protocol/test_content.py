"""The envelope inside the encryption: what a member may say, and what never reaches anybody."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from msgspec import inspect

from protocol.content import CRITICAL_KNOWN, Content, Reference, decode_content, encode_content
from protocol.errors import RemoteProtocolError
from protocol.limits import CONTENT_BYTES_MAX, CONTENT_DEPTH_MAX
from protocol.position import Seen
from tests.protocol import strategies
from tests.protocol.samples import filler
from tests.protocol.test_frames import has_the_trap

ID = filler("id", 16)
FULL: dict[str, Any] = {
    "t": "chat.text", "v": 2, "b": {"text": "Salut"}, "re": [ID, filler("hash", 32)], "th": ID, "rp": ID,
    "ex": 1_733_000_000_000, "fb": "Salut", "crit": ["re", "ex"], "seen": [1, 41, filler("chain", 32)],
    "x": {"org.example.mood": {"n": 1}},
}  # fmt: skip


def pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def test_a_full_envelope() -> None:
    content = decode_content(pack(FULL))
    assert (content.t, content.v, content.fb, content.ex) == ("chat.text", 2, "Salut", 1_733_000_000_000)
    assert content.re == Reference(ID, filler("hash", 32))
    assert content.seen == Seen(1, 41, filler("chain", 32))
    assert msgpack.unpackb(content.b) == {"text": "Salut"}
    assert msgpack.unpackb((content.x or {})["org.example.mood"]) == {"n": 1}
    assert msgpack.unpackb(encode_content(content)) == FULL


def test_the_smallest_envelope_names_its_type_and_nothing_else() -> None:
    content = decode_content(pack({"t": "chat.text"}))
    assert content == Content(t="chat.text")
    assert bytes(content.b) == b"\x80"
    assert encode_content(content) == pack({"t": "chat.text"})


def test_unknown_fields_are_ignored() -> None:
    assert decode_content(pack({"new": [1], **FULL})).t == "chat.text"


def test_the_body_is_kept_byte_exact() -> None:
    odd = b"\xde\x00\x01\xd9\x01a\xcd\x00\x01"  # {"a": 1}, written the long way
    assert bytes(decode_content(b"\x82\xa1t\xa9chat.text\xa1b" + odd).b) == odd


@given(strategies.of_type(Content))
def test_two_independent_implementations_agree(content: Content) -> None:
    content = msgspec.structs.replace(content, crit=())  # chosen by chance it would have to be understood
    data = encode_content(content)
    assert decode_content(data) == content
    shown = msgpack.unpackb(data)
    assert shown["t"] == content.t
    assert encode_content(decode_content(pack(shown))) == data


def test_no_union_that_crashes_the_collector() -> None:
    assert not has_the_trap(inspect.type_info(Content))


BAD: dict[str, bytes] = {
    "empty": b"",
    "an array": pack(["chat.text"]),
    "no type": pack({"v": 1}),
    "trailing bytes": pack(FULL) + b"\0",
    "cut off": pack(FULL)[:-1],
    "the type twice": b"\x82\xa1t\xa9chat.text\xa1t\xa9chat.edit",
    "a key twice in the body": b"\x82\xa1t\xa9chat.text\xa1b\x82\xa1a\x01\xa1a\x02",
    "a key twice in an extension": b"\x82\xa1t\xa9chat.text\xa1x\x81\xa1m\x82\xa1a\x01\xa1a\x02",
    "a key twice in what is ignored": b"\x82\xa1t\xa9chat.text\xa3new\x82\xa1a\x01\xa1a\x02",
    "a number as key": b"\x82\xa1t\xa9chat.text\x01\x01",
    "bytes as key": b"\x82\xa1t\xa9chat.text\xc4\x01b\x80",
    "a float in the body": pack({**FULL, "b": {"amount": 0.1}}),
    "a whole float as version": pack({**FULL, "v": 1.0}),
    "NaN in what is ignored": pack({**FULL, "new": float("nan")}),
    "an integer beyond 2^53-1 in the body": pack({**FULL, "b": {"n": 2**53}}),
    "an extension type in the body": b"\x82\xa1t\xa9chat.text\xa1b\x81\xa1a\xc7\x00\x05",
    "text that is not UTF-8": b"\x81\xa1t\xa2\xff\xff",
    "a surrogate in the body": b"\x82\xa1t\xa9chat.text\xa1b\x81\xa1a\xa3\xed\xa0\x80",
    "a body nested too deeply": pack({**FULL, "b": {"a": [[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]}}),
    "nested 60,000 deep": b"\x82\xa1t\xa9chat.text\xa1b" + b"\x91" * 60_000,
    "1025 elements": pack({**FULL, "b": {"a": [0] * 1025}}),
    "four billion elements": b"\x82\xa1t\xa9chat.text\xa1b\xdd\xff\xff\xff\xff",
    "a type in capitals": pack({"t": "Chat.text"}),
    "a type without family": pack({"t": "text"}),
    "a type with an empty part": pack({"t": "chat..text"}),
    "a type with a line break": pack({"t": "chat.text\n"}),
    "a type of 65 characters": pack({"t": "chat." + "t" * 60}),
    "version 0": pack({"t": "chat.text", "v": 0}),
    "version 1001": pack({"t": "chat.text", "v": 1001}),
    "a version as text": pack({"t": "chat.text", "v": "1"}),
    "a short reference": pack({**FULL, "re": [ID[:15]]}),
    "a reference as a map": pack({**FULL, "re": {"id": ID}}),
    "a thread as text": pack({**FULL, "th": "t" * 16}),
    "an expiry below zero": pack({**FULL, "ex": -1}),
    "a fallback as bytes": pack({**FULL, "fb": b"Salut"}),
    "17 critical items": pack({**FULL, "crit": ["re"] * 17}),
    "seen without a hash": pack({**FULL, "seen": [1, 41]}),
    "extensions as a list": pack({**FULL, "x": ["org.example.mood"]}),
    "an extension of 65 characters": pack({**FULL, "x": {"x" * 65: 1}}),
    "too long": pack({**FULL, "fb": "x" * 16_384, "b": {"a": bytes(CONTENT_BYTES_MAX - 16_384)}}),
}


@pytest.mark.parametrize("name", BAD)
def test_no_content(name: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_content(BAD[name])
    assert not caught.value.fatal  # one message is refused, never the conversation
    assert caught.value.text


def test_depth_counts_from_the_envelope() -> None:
    body: Any = 0
    for _ in range(CONTENT_DEPTH_MAX - 2):
        body = [body]
    assert decode_content(pack({"t": "chat.text", "b": {"a": body}})).t == "chat.text"
    with pytest.raises(RemoteProtocolError, match="nested too deeply"):
        decode_content(pack({"t": "chat.text", "b": {"a": [body]}}))


def test_what_must_be_understood_and_is_not() -> None:
    assert decode_content(pack({"t": "chat.text", "crit": sorted(CRITICAL_KNOWN)})).crit == tuple(
        sorted(CRITICAL_KNOWN)
    )
    with pytest.raises(RemoteProtocolError, match=r"must understand org\.example\.secret, and does not"):
        decode_content(pack({"t": "chat.text", "crit": ["re", "org.example.secret"]}))
    with pytest.raises(RemoteProtocolError) as caught:
        decode_content(pack({"t": "chat.text", "crit": ["x" * 10_000]}))
    assert len(caught.value.text) < 300


def test_the_widest_content_costs_bounded_memory() -> None:
    rows = b"\xdc\x04\x00" + (b"\xdc\x00\x3c" + b"\x80" * 60) * 1024
    data = b"\x82\xa1t\xa9chat.text\xa1b\x81\xa1a" + rows
    assert len(data) < CONTENT_BYTES_MAX
    tracemalloc.start()
    try:
        decode_content(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(data)  # an empty map costs one byte on the wire and 64 here


def test_a_content_that_does_not_fit_is_not_made() -> None:
    text = Content(t="chat.text", b=msgspec.Raw(pack({"text": "x" * CONTENT_BYTES_MAX})))
    with pytest.raises(ValueError, match="at most"):
        encode_content(text)
