"""Numbered errors of the wire, and the exception trees of this package.

::

    ChappeError
    ├── LocalProtocolError      you asked this library for something the protocol forbids: a bug on this side
    └── RemoteProtocolError     the peer sent what the protocol forbids; carries the code to answer with

Local mistakes are raised; remote mistakes are raised inside and translated once, at the boundary, into ERR or BYE.
``retry_ms`` alone decides whether a client retries: present means temporary.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Code(IntEnum):
    """Codes of ERR and CLOSED. The class of a code follows HTTP."""

    FRAME = 400  # not a frame of this protocol, or a field out of bounds
    UNAUTHENTICATED = 401  # the login failed
    FORBIDDEN = 403  # a member who lacks the right
    NOT_FOUND = 404  # unknown, or not yours: the answer does not tell which
    UNKNOWN_METHOD = 405  # REQ of a method this relay does not have
    CONFLICT = 409  # see Reason
    EXPIRED = 410  # an id or a list too old
    TOO_LARGE = 413  # over a limit of size or number
    UPGRADE = 426  # the protocol version is not spoken here
    PROOF = 428  # proof of work wanted
    RATE = 429  # too much at once; wait retry_ms
    INTERNAL = 500  # the relay's own fault
    DRAINING = 503  # shutting down, or starting
    STORE_AWAY = 504  # the store cannot take it now; outcome unknown, retry with the same id
    QUOTA = 507  # a quota of the account, topic or inbox is used up


class Reason(IntEnum):
    """Why a 409 (first field of ERR.detail)."""

    NONE = 0
    STALE_FENCE = 1  # the only definite refusal that permits re-sealing under the same id
    OUT_OF_ORDER = 2  # `after` is not stored: resend in order
    ID_CONFLICT = 3  # other bytes are stored under this id
    EXPECT = 4  # compare-and-set on the head failed
    EXISTS = 5  # the topic exists already
    SUPERSEDED = 6  # a newer login of this device exists
    RECOVERING = 7  # the topic was restored from a backup and waits for a reset
    SPACING = 8  # a commit follows the last one too soon, or somebody reserved the next one
    VERSION = 9  # a device list that is not the next version
    TAKEN = 10  # a handle that belongs to another account
    FENCED = 11  # the slot of a worker has another holder by now: its token is no longer in force


class Close(IntEnum):
    """Close codes of BYE and of the websocket. 4000–4499: reconnect; 4500–4999: do not."""

    RESTART = 4000  # the relay restarts or drains; come back after reconnect_ms
    SLOW = 4001  # nothing was accepted from us for 30 s
    PING = 4002  # no answer to PING
    LOGIN_TIMEOUT = 4003  # no CONNECT in time
    OVERLOAD = 4004  # too many connections
    INTERNAL = 4005  # the relay's own fault
    LATE_LOGIN = 4006  # a CONNECT whose number is not above the device's last
    FLOOD = 4007  # went on although it was told to wait
    PARTIAL = 4008  # a message that had begun did not go on
    KICKED = 4009  # the operator ended this connection
    PROTOCOL = 4500  # a frame that must not come in this state, or no frame at all
    LOGIN_FAILED = 4501  # CONNECT was refused
    SUPERSEDED = 4502  # a newer login of this device took over
    REVOKED = 4503  # the device is no longer on its account's list
    BANNED = 4504  # the operator does not want this account
    VERSION = 4505  # no common protocol version
    TOO_LARGE = 4506  # a message over the limit


@dataclass(frozen=True, slots=True)
class CodeInfo:
    """What a code means to the person or program that receives it."""

    text: str
    action: str
    temporary: bool


CODES: Final[dict[Code, CodeInfo]] = {
    Code.FRAME: CodeInfo("the frame is malformed or a field is out of bounds", "fix the client", False),
    Code.UNAUTHENTICATED: CodeInfo("the login failed", "check the device key, the device list and the clock", False),
    Code.FORBIDDEN: CodeInfo("you lack the right to do this", "ask an admin of the conversation", False),
    Code.NOT_FOUND: CodeInfo("unknown, or not yours", "check the name, or ask to be added", False),
    Code.UNKNOWN_METHOD: CodeInfo("this relay does not have the method", "update the relay", False),
    Code.CONFLICT: CodeInfo("the state has moved on", "read detail: it says what the state is now", False),
    Code.EXPIRED: CodeInfo("too old", "make a new one", False),
    Code.TOO_LARGE: CodeInfo("over a limit", "send less at once", False),
    Code.UPGRADE: CodeInfo("no common protocol version", "update the older side", False),
    Code.PROOF: CodeInfo("proof of work wanted", "solve the puzzle in detail and send it with the request", False),
    Code.RATE: CodeInfo("too much at once", "wait retry_ms, then retry", True),
    Code.INTERNAL: CodeInfo("the relay made a mistake", "retry; tell the operator if it stays", True),
    Code.DRAINING: CodeInfo("the relay is shutting down or starting", "reconnect after retry_ms", True),
    Code.STORE_AWAY: CodeInfo("the store cannot take it now", "retry with the same id after retry_ms", True),
    Code.QUOTA: CodeInfo("a quota is used up", "free room or ask the operator", False),
}

CLOSES: Final[dict[Close, str]] = {
    Close.RESTART: "the relay restarts; reconnect after reconnect_ms",
    Close.SLOW: "this socket accepted nothing for 30 s; reconnect and resume",
    Close.PING: "no sign of life; reconnect and resume",
    Close.LOGIN_TIMEOUT: "no CONNECT in time; reconnect",
    Close.OVERLOAD: "too many connections; reconnect later",
    Close.INTERNAL: "the relay made a mistake; reconnect",
    Close.LATE_LOGIN: "a newer login of this device is recorded; reconnect with a higher number",
    Close.FLOOD: "far too much at once, and again after being told to wait; reconnect after reconnect_ms",
    Close.PARTIAL: "a message began and did not end in time; reconnect and resume",
    Close.KICKED: "the operator ended this connection; reconnect after reconnect_ms",
    Close.PROTOCOL: "a frame that the protocol forbids; fix the client",
    Close.LOGIN_FAILED: "the login was refused; the ERR before says why",
    Close.SUPERSEDED: "the same device logged in again elsewhere",
    Close.REVOKED: "this device is no longer on its account's list",
    Close.BANNED: "the operator does not serve this account",
    Close.VERSION: "no common protocol version; update the older side",
    Close.TOO_LARGE: "a message over the limit; send less at once",
}

RECONNECT_BELOW: Final = 4500


def may_reconnect(close: int) -> bool:
    """Whether a client may reconnect after this close code (codes of RFC 6455 itself: yes)."""
    return close < RECONNECT_BELOW


class ChappeError(Exception):
    """Base of this package's exceptions; never raised itself."""


class LocalProtocolError(ChappeError):
    """This side tried to do what the protocol forbids. A bug here, never the peer's fault."""


class RemoteProtocolError(ChappeError):
    """The peer did what the protocol forbids.

    ``code`` is what to answer with; ``fatal`` says that the connection cannot go on (the framing is lost or the state
    machine was violated), otherwise only the one frame with ``rid`` is refused. ``undone`` are the other requests of
    the same batch: not begun, since a batch is refused as a whole, so they get the same ERR, but with a ``retry_ms``.
    """

    def __init__(self, text: str, *, code: Code = Code.FRAME, rid: int = 0, fatal: bool = True) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.rid = rid
        self.fatal = fatal
        self.undone: tuple[int, ...] = ()
