"""The numbers of RFC 6455: opcodes (section 5.2), close codes (section 7.4) and the states of a connection."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final


class Opcode(IntEnum):
    """What a frame is; all other values are reserved."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class CloseCode(IntEnum):
    """Close codes that this package sends or reports by itself. 4000–4999 belong to the application."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL = 1002  # the framing, or an order of frames, that the RFC forbids
    TYPE = 1003  # a text where only binary messages are served
    NONE = 1005  # reported only: the close frame named no code
    ABNORMAL = 1006  # reported only: the stream ended without a close frame
    UTF8 = 1007  # a text or a reason that is not UTF-8
    POLICY = 1008
    SIZE = 1009  # a message over a limit of bytes or fragments
    INTERNAL = 1011
    RESTART = 1012
    TRY_LATER = 1013


class State(Enum):
    """How far a connection is; see `endpoint`."""

    OPEN = "open"
    CLOSING = "closing"  # our close frame is out, the peer's has not come
    CLOSED = "closed"  # nothing more is read or sent but what `outgoing` still holds


#: Registered codes that may stand in a close frame: the RFC's own, and 1012 to 1014 of the IANA registry.
_REGISTERED: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})


def may_be_sent(code: int) -> bool:
    """Whether a close code may stand in a close frame (section 7.4: 1004–1006 and 1015 never do)."""
    return code in _REGISTERED or 3000 <= code < 5000
