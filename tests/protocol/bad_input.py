"""Bad input by name: what no peer may send, as tables that tests and fuzzing share."""

from __future__ import annotations

import struct
from typing import Any

import msgpack

from protocol import codec
from protocol.limits import CONTENT_DEPTH_MAX, MESSAGE_BYTES_MAX
from tests.protocol.samples import ID, SAMPLES, TOPIC

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


def nested(depth: int, item: Any = 1) -> Any:
    for _ in range(depth):
        item = [item]
    return item


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
"""Not a frame at all: the connection cannot go on."""

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
"""A request of rid 7 that is malformed, and its type: refused alone."""

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
"""Messages that promise or nest more than they hold."""

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
"""Contents that are none, and a word of what is said about it."""

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
"""Values that would be refused by the other side."""
