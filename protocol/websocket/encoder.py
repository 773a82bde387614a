"""Frames to send (RFC 6455, section 5.2), always unfragmented and with the shortest form of the length.

What a server sends carries no mask: the bytes are the same for every receiver, so they are made once and shared. What a
client sends is masked with four octets that the caller draws from a source nobody can predict (section 10.3).
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from protocol.errors import LocalProtocolError
from protocol.websocket.codes import Opcode, may_be_sent
from protocol.websocket.masking import xor

CONTROL_BYTES_MAX: Final = 125  # section 5.5
REASON_BYTES_MAX: Final = CONTROL_BYTES_MAX - 2  # section 5.5.1: less the code
KEY_BYTES: Final = 4
_FIN: Final = 0x80
_MASKED: Final = 0x80
_SHORT: Final = tuple(bytes((_FIN | Opcode.BINARY, size)) for size in range(126))
_MEDIUM: Final = Struct(">BBH").pack
_LONG: Final = Struct(">BBQ").pack


def frame_header(size: int, opcode: int = Opcode.BINARY, *, masked: bool = False) -> bytes:
    """What comes before a payload of ``size`` octets; the key, where ``masked``, follows it."""
    first, flag = _FIN | opcode, _MASKED if masked else 0
    if size < 126:
        return bytes((first, flag | size))
    if size < 65536:
        return _MEDIUM(first, flag | 126, size)
    return _LONG(first, flag | 127, size)


def frame(payload: bytes) -> bytes:
    """``payload`` as the binary message of a server."""
    size = len(payload)
    return _SHORT[size] + payload if size < 126 else frame_header(size) + payload


def text_frame(payload: bytes) -> bytes:
    """UTF-8 as the text message of a server."""
    return frame_header(len(payload), Opcode.TEXT) + payload


def ping_frame(payload: bytes = b"") -> bytes:
    """A server's ping.

    Raises:
        LocalProtocolError: more than 125 octets.
    """
    return control_frame(Opcode.PING, payload)


def control_frame(opcode: int, payload: bytes, key: bytes = b"") -> bytes:
    """A ping, pong or close; masked if there is a ``key``.

    Raises:
        LocalProtocolError: more than 125 octets.
    """
    if len(payload) > CONTROL_BYTES_MAX:
        raise LocalProtocolError(f"a control frame holds {CONTROL_BYTES_MAX} octets, not {len(payload)}")
    return masked_frame(opcode, payload, key) if key else frame_header(len(payload), opcode) + payload


def masked_frame(opcode: int, payload: bytes, key: bytes) -> bytes:
    """A frame of a client, masked with the four octets of ``key``.

    Raises:
        LocalProtocolError: the key has another length.
    """
    if len(key) != KEY_BYTES:
        raise LocalProtocolError(f"a masking key has {KEY_BYTES} octets, not {len(key)}")
    return b"".join((frame_header(len(payload), opcode, masked=True), key, xor(payload, key)))


def close_payload(code: int, reason: str = "") -> bytes:
    """Code and reason; the reason is cut between two characters where it would not fit (section 5.5.1).

    Raises:
        LocalProtocolError: a code that may not stand in a close frame (section 7.4).
    """
    if not may_be_sent(code):
        raise LocalProtocolError(f"{code} may not be sent as a close code (RFC 6455, section 7.4)")
    text = reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore").encode()
    return code.to_bytes(2, "big") + text


def close_frame(code: int, reason: str = "") -> bytes:
    """A server's close frame.

    Raises:
        LocalProtocolError: a code that may not stand in a close frame.
    """
    return control_frame(Opcode.CLOSE, close_payload(code, reason))
