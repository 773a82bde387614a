"""The opening handshake as a server answers it (RFC 6455, section 4.2), sans-IO.

::

    opening = Opening(Policy(path=b"/ws", subprotocol="chappe.v1", origins=("https://chat.example",)))
    match opening.receive(chunk):
        case None: ...                           # read on
        case Accepted() as accepted: ...         # send accepted.response(); accepted.rest goes to Server.receive
        case Refused() as refused: ...           # send refused.response(), then close
        case Request() as request: ...           # plain HTTP: answer it, or hand on the socket with request.data

No extension is ever negotiated: what travels is ciphertext, which does not compress, and a decompressor is a bomb.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from protocol import limits as L
from protocol.websocket.head import HeadReader, Refused, Request

VERSION: Final = b"13"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
#: Base64 of exactly 16 octets, with the unused bits zero: what an encoder writes.
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class Policy:
    """What a server agrees to. ``subprotocol`` None: none is negotiated, none is needed.

    ``origins``: web origins that may connect beside the relay's own host; ``*`` is all. A request without an Origin
    comes from no browser and is not held to it.
    """

    path: bytes = b"/ws"
    subprotocol: str | None = None
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """A handshake that is agreed to."""

    request: Request
    key: bytes = field(repr=False)
    subprotocol: str | None

    @property
    def rest(self) -> bytes:
        """Frames that came in the same chunk as the head."""
        return self.request.rest

    def response(self) -> bytes:
        """The bytes to send."""
        lines = [
            b"HTTP/1.1 101 Switching Protocols",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Accept: " + accept_value(self.key),
        ]
        if self.subprotocol is not None:
            lines.append(b"Sec-WebSocket-Protocol: " + self.subprotocol.encode())
        return b"\r\n".join([*lines, b"", b""])


def accept_value(key: bytes) -> bytes:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key (section 4.2.2, step 5.4); SHA-1 protects nothing here."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def upgrade_required() -> Refused:
    """The answer to a plain request for the websocket's path, and to another version (section 4.2.2, step 4)."""
    headers = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", VERSION.decode()))
    return Refused(426, "here is a websocket, version 13 of its protocol", headers)


def wants_websocket(request: Request) -> bool:
    """Whether a request asks for a websocket, rightly or not; any other is plain HTTP."""
    return any(token.lower() == b"websocket" for token in request.tokens(b"upgrade"))


def judge(request: Request, policy: Policy) -> Accepted | Refused:
    """Section 4.2.1 for a request that `wants_websocket`."""
    wrong = _refuse_form(request) or _refuse_place(request, policy)
    if wrong is not None:
        return wrong
    key = request.header(b"sec-websocket-key") or b""
    offered = request.tokens(b"sec-websocket-protocol")
    if len(offered) > L.SUBPROTOCOLS_OFFERED_MAX:
        return Refused(400, f"at most {L.SUBPROTOCOLS_OFFERED_MAX} subprotocols can be offered")
    if not all(_TOKEN.fullmatch(token) for token in offered) or len(set(offered)) < len(offered):
        return Refused(400, "the sec-websocket-protocol header is malformed")
    if policy.subprotocol is not None and policy.subprotocol.encode() not in offered:
        return Refused(400, f"the websocket subprotocol must be {policy.subprotocol}")
    return Accepted(request, key, policy.subprotocol)


def _refuse_form(request: Request) -> Refused | None:
    """What is wrong whatever the server offers."""
    if request.version != b"1.1":
        return Refused(505, "a websocket needs HTTP/1.1")
    if request.method != b"GET":
        return Refused(405, "a websocket begins with GET", (("Allow", "GET"),))
    if b"upgrade" not in [token.lower() for token in request.tokens(b"connection")]:
        return Refused(400, "the connection header lacks 'Upgrade'")
    if not request.header(b"host"):
        return Refused(400, "the host header is missing")
    length = request.header(b"content-length")
    if request.header(b"transfer-encoding") is not None or (length or b"0").strip(b"0"):
        return Refused(400, "a websocket's handshake has no body")
    if request.header(b"sec-websocket-version") != VERSION:
        return upgrade_required()
    if not _KEY.fullmatch(request.header(b"sec-websocket-key") or b""):
        return Refused(400, "the sec-websocket-key is not 16 bytes in base64")
    return None


def _refuse_place(request: Request, policy: Policy) -> Refused | None:
    """Where this server has its websocket, and for whom."""
    if request.target.partition(b"?")[0] != policy.path:
        return Refused(404, f"nothing here; the websocket is at {policy.path.decode()}")
    origin = request.header(b"origin")
    if origin is not None and not may_connect(origin, request.header(b"host") or b"", policy.origins):
        return Refused(403, "this web origin may not connect; its operator can add it to 'origins'")
    return None


def may_connect(origin: bytes, host: bytes, origins: tuple[str, ...]) -> bool:
    """A page of the relay's own host, or of an origin that the operator has named."""
    try:
        text, own = origin.decode("ascii").lower(), host.decode("ascii").lower()
    except UnicodeDecodeError:
        return False
    if "*" in origins or any(text == allowed.lower().rstrip("/") for allowed in origins):
        return True
    return bool(own) and text in (f"https://{own}", f"http://{own}")


class Opening:
    """The handshake of one connection; see the module."""

    __slots__ = ("_head", "_policy")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._head = HeadReader()

    def receive(self, data: bytes) -> Accepted | Refused | Request | None:
        """What ``data``, read from the stream, completes; None: nothing yet. Not to be called after an answer."""
        found = self._head.receive(data)
        if isinstance(found, Request) and wants_websocket(found):
            return judge(found, self._policy)
        return found
