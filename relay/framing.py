"""Server-side websocket frames, built once and shared by all who get them (RFC 6455, section 5.2).

A server's frames carry no mask, so the bytes of a frame are the same for every receiver.
"""

from __future__ import annotations

from typing import Final

_BINARY: Final = 0x82  # FIN and opcode 2
_CLOSE: Final = 0x88  # FIN and opcode 8
_REASON_BYTES_MAX: Final = 123  # section 5.5: 125 bytes of a control frame less the code


def binary_frame(payload: bytes) -> bytes:
    """``payload`` as one unfragmented binary frame."""
    size = len(payload)
    if size < 126:
        return bytes((_BINARY, size)) + payload
    if size < 65536:
        return b"\x82\x7e" + size.to_bytes(2, "big") + payload
    return b"\x82\x7f" + size.to_bytes(8, "big") + payload


def close_frame(code: int, reason: str) -> bytes:
    """A close frame; the reason is cut between two characters where it would not fit (section 5.5.1)."""
    text = reason.encode()[:_REASON_BYTES_MAX].decode(errors="ignore").encode()
    return bytes((_CLOSE, 2 + len(text))) + code.to_bytes(2, "big") + text


def payload_of(frame: bytes) -> bytes:
    """What ``binary_frame`` was given."""
    size = frame[1]
    return frame[{126: 4, 127: 10}.get(size, 2) :]


def may_be_sent(code: int) -> bool:
    """Whether a close code may stand in a close frame (section 7.4: 1005, 1006 and 1015 never do)."""
    return code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014) or 3000 <= code < 5000
