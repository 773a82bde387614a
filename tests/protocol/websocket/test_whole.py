"""The hot path takes whole binary messages and stops, without a trace, at everything else."""

from __future__ import annotations

import pytest

from protocol.websocket import whole
from protocol.websocket.encoder import frame
from protocol.websocket.masking import xor_in_python
from tests.support.rfc6455.case import BINARY, CLOSE, CONTINUATION, PING, TEXT, client_frame

SIZES = [0, 1, 2, 3, 5, 120, 125, 126, 127, 256, 1023, 1024, 1025, 2000, 65535]
MAX = 1 << 20
SERVERS = [whole.masked_by_integers, whole.masked_by(xor_in_python)]


def made(size: int, *, masked: bool) -> bytes:
    payload = bytes(place * 11 & 255 for place in range(size))
    return client_frame(BINARY, payload) if masked else frame(payload)


@pytest.mark.parametrize("take", [*SERVERS, whole.plain])
def test_messages_of_every_size_in_one_chunk(take: whole.Whole) -> None:
    masked = take is not whole.plain
    data = b"".join(made(size, masked=masked) for size in SIZES)
    messages: list[bytes] = []
    assert take(b"xyz" + data, 3, MAX, messages) == len(data) + 3
    assert list(map(len, messages)) == SIZES
    assert messages[-1] == bytes(place * 11 & 255 for place in range(65535))


@pytest.mark.parametrize("take", [*SERVERS, whole.plain])
@pytest.mark.parametrize("size", [0, 10, 126, 300])
def test_a_message_cut_off_anywhere_is_left(take: whole.Whole, size: int) -> None:
    masked = take is not whole.plain
    first, second = made(4, masked=masked), made(size, masked=masked)
    for cut in range(len(second)):
        messages: list[bytes] = []
        assert take(first + second[:cut], 0, MAX, messages) == len(first)
        assert len(messages) == 1


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("text", client_frame(TEXT, b"text")),
        ("fragment", client_frame(BINARY, b"frag", fin=False)),
        ("continuation", client_frame(CONTINUATION, b"frag")),
        ("ping", client_frame(PING, b"ping")),
        ("close", client_frame(CLOSE, b"\x03\xe8")),
        ("reserved bit", client_frame(BINARY, b"data", reserved=1)),
        ("64-bit length", client_frame(BINARY, bytes(65536))),
        ("over the limit", client_frame(BINARY, bytes(1001))),
        ("short and over the limit", client_frame(BINARY, bytes(101))),
        ("not masked", b"\x82\x04abcdefgh"),
        ("a text with the largest length", b"\x81\xff" + bytes(12)),
    ],
)
@pytest.mark.parametrize("take", SERVERS)
def test_everything_else_is_left(name: str, frame: bytes, take: whole.Whole) -> None:
    good = client_frame(BINARY, b"good")
    messages: list[bytes] = []
    assert take(good + frame + good, 0, 100 if "short" in name else 1000, messages) == len(good), name
    assert messages == [b"good"]


@pytest.mark.parametrize("rest", [b"\x82\x84abcdefgh", b"\x81\x01a", b"\x02\x01a", b"\x89\x00", b"\x82\x7f" + bytes(8)])
def test_everything_else_is_left_by_a_client(rest: bytes) -> None:
    messages: list[bytes] = []
    assert whole.plain(b"\x82\x01x" + rest, 0, MAX, messages) == 3
    assert whole.plain(frame(bytes(200)), 0, 199, messages) == 0
    assert messages == [b"x"]
