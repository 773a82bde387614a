"""The bytes of frames to send."""

from __future__ import annotations

import pytest

from protocol.errors import LocalProtocolError
from protocol.websocket import encoder as E
from protocol.websocket.codes import Opcode
from tests.support.rfc6455.case import BINARY, CLOSE, PING, TEXT, client_frame, server_frames

KEY = b"\x37\xfa\x21\x3d"
SIZES = [0, 1, 125, 126, 127, 128, 65535, 65536]


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, "8200"),
        (125, "827d"),
        (126, "827e007e"),
        (65535, "827effff"),
        (65536, "827f0000000000010000"),
        (2**40, "827f0000010000000000"),
    ],
)
def test_a_length_takes_its_shortest_form(size: int, header: str) -> None:
    assert E.frame_header(size).hex() == header


@pytest.mark.parametrize("size", SIZES)
def test_frames_of_a_server(size: int) -> None:
    payload = bytes(size)
    assert list(server_frames(E.frame(payload) + E.text_frame(payload))) == [(BINARY, payload), (TEXT, payload)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("opcode", [Opcode.BINARY, Opcode.TEXT])
def test_frames_of_a_client(size: int, opcode: Opcode) -> None:
    payload = bytes(place & 255 for place in range(size))
    assert E.masked_frame(opcode, payload, KEY) == client_frame(opcode, payload)


def test_control_frames() -> None:
    assert list(server_frames(E.ping_frame() + E.ping_frame(b"now"))) == [(PING, b""), (PING, b"now")]
    assert E.control_frame(Opcode.PING, b"now", KEY) == client_frame(PING, b"now")
    assert list(server_frames(E.close_frame(1012, "restart"))) == [(CLOSE, b"\x03\xf4restart")]


@pytest.mark.parametrize(
    ("reason", "sent"), [("x" * 200, "x" * 123), ("ä" * 100, "ä" * 61), ("a" + "ä" * 61, "a" + "ä" * 61)]
)
def test_a_reason_is_cut_between_characters(reason: str, sent: str) -> None:
    assert E.close_payload(4000, reason) == b"\x0f\xa0" + sent.encode()


@pytest.mark.parametrize("code", [0, 1005, 1006, 1015, 2999, 5000])
def test_a_code_that_may_not_be_sent_is_our_mistake(code: int) -> None:
    with pytest.raises(LocalProtocolError, match=f"{code} may not be sent"):
        E.close_frame(code)


def test_lengths_that_are_our_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="holds 125 octets, not 126"):
        E.ping_frame(bytes(126))
    with pytest.raises(LocalProtocolError, match="has 4 octets, not 3"):
        E.masked_frame(Opcode.BINARY, b"", b"abc")
