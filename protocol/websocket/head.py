"""The head of an HTTP/1.1 request, sans-IO: parsed by `h11`, bounded and read strictly by us (RFC 9112).

What two parsers could read differently is refused, since a proxy before us may have read it the other way: bare line
feeds, folded lines, two lengths, a length beside a transfer coding, two Hosts. Whatever is not a request at all (TLS on
a plain port, a port scan) is refused at its first bytes instead of waiting for the end of a head.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import h11

from protocol import limits as L

#: Fields whose repetition could be understood in two ways. Lists (Connection, Sec-WebSocket-Protocol) may be split.
SINGLE: Final = (
    b"host", b"content-length", b"transfer-encoding", b"upgrade", b"origin", b"authorization",
    b"sec-websocket-key", b"sec-websocket-version",
)  # fmt: skip
_END: Final = b"\r\n\r\n"
_START: Final = re.compile(rb"[A-Z][A-Z0-9-]{0,31}(?: .*)?", re.DOTALL)
_BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)|\0")
_FOLDED: Final = re.compile(rb"\r\n[ \t]")
_HOST: Final = re.compile(rb"[A-Za-z0-9._~%:\[\]-]*")
_LENGTH: Final = re.compile(rb"\d{1,18}")  # h11 would merge "4, 4" into 4
_VERSIONS: Final = (b"1.0", b"1.1")
_PHRASES: Final = {
    400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 414: "URI Too Long",
    426: "Upgrade Required", 431: "Request Header Fields Too Large", 501: "Not Implemented", 503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose head is complete. Names of headers are in lower case."""

    method: bytes
    target: bytes
    version: bytes  # "1.1" or "1.0"
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)  # may hold secrets
    head_bytes: int
    data: bytes = field(repr=False)  # all that was read, head included: what another server of HTTP needs

    @property
    def rest(self) -> bytes:
        """What was read beyond the head."""
        return self.data[self.head_bytes :]

    def header(self, name: bytes) -> bytes | None:
        """The first value under a name in lower case."""
        return next((value for found, value in self.headers if found == name), None)

    def tokens(self, name: bytes) -> list[bytes]:
        """The members of a list, from all headers of that name, as they were written."""
        values = b",".join(value for found, value in self.headers if found == name)
        return [token.strip() for token in values.split(b",") if token.strip()]


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer in HTTP with which the connection ends."""

    status: int
    text: str
    headers: tuple[tuple[str, str], ...] = ()

    def response(self) -> bytes:
        """The bytes to send."""
        body = f"{self.text}\n".encode()
        lines = [f"HTTP/1.1 {self.status} {_PHRASES.get(self.status, 'Refused')}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += ["Content-Type: text/plain; charset=utf-8", f"Content-Length: {len(body)}", "Connection: close"]
        return "\r\n".join([*lines, "", ""]).encode() + body


class HeadReader:
    """Reads until a head is complete. Costs a buffer, and only until then."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def receive(self, data: bytes) -> Request | Refused | None:
        """What ``data``, read from the stream, completes; None: nothing yet. Not to be called after an answer."""
        held = self._data
        searched = max(len(held) - len(_END) + 1, 0)
        held += data
        end = held.find(_END, searched)
        if end < 0:
            return _too_early(held)
        size = end + len(_END)
        if size > L.HEAD_BYTES_MAX:
            return _TOO_LARGE
        whole = bytes(held)
        return _refuse_lines(whole[:size]) or _parse(whole, size)


_TOO_LARGE: Final = Refused(431, f"the head of a request has at most {L.HEAD_BYTES_MAX} bytes")
_TOO_LONG: Final = Refused(414, f"the first line of a request has at most {L.HEAD_LINE_BYTES_MAX} bytes")
_TOO_MANY: Final = Refused(431, f"a request has at most {L.HEAD_FIELDS_MAX} header lines")


def _too_early(held: bytearray) -> Refused | None:
    """Why what came so far cannot become a head any more."""
    if held and not _START.fullmatch(held[:33].partition(b"\r")[0]):
        tls = held[0] == 22
        return Refused(400, "this port speaks plain HTTP, not TLS" if tls else "this is no HTTP request")
    if b"\n" not in held[: L.HEAD_LINE_BYTES_MAX + 2] and len(held) > L.HEAD_LINE_BYTES_MAX:
        return _TOO_LONG
    return _TOO_LARGE if len(held) > L.HEAD_BYTES_MAX else None


def _refuse_lines(head: bytes) -> Refused | None:
    """What must hold of the lines before anybody gives them a meaning."""
    if _BARE.search(head):
        return Refused(400, "a line of the request ends in something else than CR LF")
    if _FOLDED.search(head):
        return Refused(400, "a header is folded over two lines (RFC 9112, section 5.2)")
    lines = head[: -len(_END)].split(b"\r\n")
    if len(lines[0]) > L.HEAD_LINE_BYTES_MAX:
        return _TOO_LONG
    if len(lines) - 1 > L.HEAD_FIELDS_MAX:
        return _TOO_MANY
    fields = [line.partition(b":") for line in lines[1:]]
    names = Counter(name.lower() for name, _, _ in fields)
    for name in SINGLE:
        if names[name] > 1:
            return Refused(400, f"more than one {name.decode()} header")
    if names[b"content-length"] and names[b"transfer-encoding"]:
        return Refused(400, "a content-length beside a transfer-encoding (RFC 9112, section 6.1)")
    if not all(_LENGTH.fullmatch(value.strip()) for name, _, value in fields if name.lower() == b"content-length"):
        return Refused(400, "the content-length is no number")
    return None


def _parse(data: bytes, size: int) -> Request | Refused:
    """A head whose lines are in order."""
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=L.HEAD_BYTES_MAX)
    http.receive_data(data[:size])
    try:
        event = http.next_event()
    except h11.RemoteProtocolError as error:
        return Refused(error.error_status_hint, "not a request that can be understood")
    if not isinstance(event, h11.Request):
        return Refused(400, "not a request that can be understood")
    if event.http_version not in _VERSIONS:
        return Refused(505, "HTTP/1.1 is spoken here")
    request = Request(event.method, event.target, event.http_version, tuple(event.headers), size, data)
    if not _HOST.fullmatch(request.header(b"host") or b""):
        return Refused(400, "the host header names no host")
    return request
