"""The opening handshake as a client makes it (RFC 6455, section 4.1), sans-IO.

::

    connecting = Connecting(b"relay.example", b"/ws", secrets.token_bytes(16), subprotocol="chappe.v1")
    socket.send(connecting.request())
    match connecting.receive(chunk):
        case None: ...                       # read on
        case Established() as done: ...      # done.rest goes to Client.receive
        case NotEstablished() as why: ...    # why.status, why.text; close
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Final

import h11

from protocol import limits as L
from protocol.errors import LocalProtocolError
from protocol.websocket.upgrade import VERSION, accept_value

KEY_BYTES: Final = 16
_END: Final = b"\r\n\r\n"
_SAFE: Final = re.compile(rb"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Established:
    """The websocket is open. ``rest``: frames that came behind the head."""

    subprotocol: str | None
    rest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NotEstablished:
    """It is not, and why. ``status``: what the server answered; 0: nothing that is HTTP."""

    status: int
    text: str


class Connecting:
    """One attempt. ``key``: 16 random octets, for this attempt alone.

    Raises:
        LocalProtocolError: a key of another length; a host, target or subprotocol that would break the head.
    """

    __slots__ = ("_data", "_host", "_key", "_origin", "_subprotocol", "_target")

    def __init__(
        self, host: bytes, target: bytes, key: bytes, *, subprotocol: str | None = None, origin: bytes | None = None
    ) -> None:
        if len(key) != KEY_BYTES:
            raise LocalProtocolError(f"the key of a handshake has {KEY_BYTES} octets, not {len(key)}")
        written = [host, target, *([] if subprotocol is None else [subprotocol.encode()])]
        if not all(_SAFE.fullmatch(value) for value in [*written, *([] if origin is None else [origin])]):
            raise LocalProtocolError("host, target, subprotocol and origin are visible ASCII without blanks")
        self._host, self._target, self._origin, self._subprotocol = host, target, origin, subprotocol
        self._key = base64.b64encode(key)
        self._data = bytearray()

    def request(self) -> bytes:
        """The bytes to send."""
        lines = [
            b"GET " + self._target + b" HTTP/1.1",
            b"Host: " + self._host,
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Version: " + VERSION,
            b"Sec-WebSocket-Key: " + self._key,
        ]
        if self._subprotocol is not None:
            lines.append(b"Sec-WebSocket-Protocol: " + self._subprotocol.encode())
        if self._origin is not None:
            lines.append(b"Origin: " + self._origin)
        return b"\r\n".join([*lines, b"", b""])

    def receive(self, data: bytes) -> Established | NotEstablished | None:
        """What ``data``, read from the stream, decides; None: nothing yet."""
        held = self._data
        searched = max(len(held) - len(_END) + 1, 0)
        held += data
        end = held.find(_END, searched)
        size = len(held) if end < 0 else end + len(_END)
        if size > L.HEAD_BYTES_MAX or held.count(b"\r\n", 0, size) > L.HEAD_FIELDS_MAX + 2:
            return NotEstablished(0, "the head of the answer is too large")
        return None if end < 0 else self._judge(bytes(held[:size]), bytes(held[size:]))

    def _judge(self, head: bytes, rest: bytes) -> Established | NotEstablished:
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=L.HEAD_BYTES_MAX)
        http.send(h11.Request(method="GET", target=self._target, headers=_asking(self._host)))
        http.receive_data(head)
        try:
            event = http.next_event()
        except h11.RemoteProtocolError:
            return NotEstablished(0, "the answer is not HTTP")
        if not isinstance(event, h11.Response | h11.InformationalResponse):
            return NotEstablished(0, "the answer is not HTTP")
        if event.status_code != 101:
            return NotEstablished(event.status_code, "the server does not open a websocket here")
        return self._agreed(list(event.headers), rest)

    def _agreed(self, headers: list[tuple[bytes, bytes]], rest: bytes) -> Established | NotEstablished:
        """Section 4.1: what the answer must hold, steps 2 to 6."""
        values = {name: [value for other, value in headers if other == name] for name, _ in headers}
        upgrade = [value.lower() for value in values.get(b"upgrade", [])]
        connection = b",".join(values.get(b"connection", [])).lower()
        wrong = None
        if upgrade != [b"websocket"] or b"upgrade" not in [token.strip() for token in connection.split(b",")]:
            wrong = "the upgrade and connection headers of the answer do not agree to a websocket"
        elif values.get(b"sec-websocket-accept") != [accept_value(self._key)]:
            wrong = "the sec-websocket-accept header does not answer our key"
        elif b"sec-websocket-extensions" in values:
            wrong = "an extension that was not offered"
        chosen = values.get(b"sec-websocket-protocol", [])
        if chosen != ([] if self._subprotocol is None else [self._subprotocol.encode()]):
            wrong = wrong or "the subprotocol of the answer is not the one that was offered"
        return NotEstablished(101, wrong) if wrong else Established(self._subprotocol, rest)


def _asking(host: bytes) -> list[tuple[bytes, bytes]]:
    """What h11 must know of our request to read the answer: that it asked for an upgrade."""
    return [(b"host", host), (b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
