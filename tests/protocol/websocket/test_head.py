"""HTTP heads: what is a request, what is refused, and how early."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits as L
from protocol.websocket.head import HeadReader, Refused, Request

GET = b"GET /healthz?x=1 HTTP/1.1\r\nHost: relay.example:8443\r\nAccept: a\r\nACCEPT: b, c\r\n\r\n"


def read(data: bytes, chop: int = 0) -> Request | Refused | None:
    """What the first answer is, the data being fed in pieces."""
    reader = HeadReader()
    for at in range(0, len(data), chop or len(data) or 1):
        found = reader.receive(data[at : at + (chop or len(data))])
        if found is not None:
            return found
    return None


def with_header(*lines: bytes) -> bytes:
    return b"\r\n".join([b"PUT / HTTP/1.1", b"Host: a", *lines, b"", b""])


@pytest.mark.parametrize("chop", [0, 1, 7])
def test_a_plain_request(chop: int) -> None:
    request = read(GET, chop)
    assert isinstance(request, Request)
    assert (request.method, request.target, request.version) == (b"GET", b"/healthz?x=1", b"1.1")
    assert (request.header(b"host"), request.header(b"cookie")) == (b"relay.example:8443", None)
    assert request.tokens(b"accept") == [b"a", b"b", b"c"]
    assert (request.data, request.rest) == (GET, b"")


def test_what_came_behind_the_head_is_kept() -> None:
    request = read(b"PUT /blob/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
    assert isinstance(request, Request)
    assert request.rest == b"body"
    assert request.data.endswith(b"\r\n\r\nbody")


def test_a_request_of_http_1_0_is_told_to_the_caller() -> None:
    request = read(b"GET / HTTP/1.0\r\n\r\n")
    assert isinstance(request, Request)
    assert request.version == b"1.0"


def test_secrets_are_not_in_the_repr() -> None:
    assert "hidden" not in repr(read(with_header(b"Authorization: Bearer hidden")))


@pytest.mark.parametrize(
    ("data", "status", "says"),
    [
        (b"\x16\x03\x01\x02", 400, "not TLS"),
        (b"\x16", 400, "not TLS"),
        (b"\r\nGET / HTTP/1.1", 400, "no HTTP"),
        (b"get / HTTP/1.1", 400, "no HTTP"),
        (b"SSH-2.0-x_y\r\n", 400, "no HTTP"),
        (b"A" * 40, 400, "no HTTP"),
        (b"GET /" + b"a" * (L.HEAD_LINE_BYTES_MAX + 1), 414, "first line"),
        (b"GET /" + b"a" * L.HEAD_LINE_BYTES_MAX + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "first line"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * L.HEAD_BYTES_MAX, 431, "at most 16384 bytes"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * L.HEAD_BYTES_MAX + b"\r\n\r\n", 431, "at most 16384 bytes"),
        (with_header(*[b"X: y"] * L.HEAD_FIELDS_MAX), 431, "header lines"),
        (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "CR LF"),
        (with_header(b"X: a\rb"), 400, "CR LF"),
        (with_header(b"X: a\0b"), 400, "CR LF"),
        (with_header(b"X: a", b" folded"), 400, "folded"),
        (with_header(b"X: a", b"\tfolded"), 400, "folded"),
        (with_header(b"Host: a"), 400, "more than one host"),
        (with_header(b"Host: b"), 400, "more than one host"),
        (with_header(b"Content-Length: 4", b"Content-length: 4"), 400, "more than one content-length"),
        (with_header(b"Content-Length: 4, 4"), 400, "content-length is no number"),
        (with_header(b"Content-Length: +4"), 400, "content-length is no number"),
        (with_header(b"Content-Length: " + b"9" * 19), 400, "content-length is no number"),
        (with_header(b"Content-Length: 4", b"Transfer-Encoding: chunked"), 400, "beside a transfer-encoding"),
        (with_header(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x"), 400, "more than one transfer"),
        (with_header(b"Transfer-Encoding: gzip"), 501, "understood"),
        (with_header(b"Transfer-Encoding : chunked"), 400, "understood"),
        (with_header(b"Upgrade: websocket", b"Upgrade: h2c"), 400, "more than one upgrade"),
        (with_header(b"Origin: https://a", b"Origin: https://b"), 400, "more than one origin"),
        (with_header(b"Sec-WebSocket-Key: a", b"Sec-WebSocket-Key: a"), 400, "more than one sec-websocket-key"),
        (with_header(b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8"), 400, "sec-websocket-version"),
        (with_header(b"no colon"), 400, "understood"),
        (with_header(b"na me: x"), 400, "understood"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "understood"),
        (b"GET / HTTP/1.1\r\nHost: a/../b\r\n\r\n", 400, "names no host"),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "names no host"),
        (b"GET / HTTP/2.7\r\nHost: a\r\n\r\n", 505, "HTTP/1.1"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.1"),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "understood"),
    ],
)
@pytest.mark.parametrize("chop", [0, 1])
def test_what_is_refused(data: bytes, status: int, says: str, chop: int) -> None:
    found = read(data, chop)
    assert isinstance(found, Refused), found
    assert found.status == status
    assert says in found.text


def test_the_bounds_themselves_are_allowed() -> None:
    line = b"GET /" + b"a" * (L.HEAD_LINE_BYTES_MAX - len(b"GET / HTTP/1.1")) + b" HTTP/1.1\r\nHost: a\r\n"
    room = L.HEAD_BYTES_MAX - len(line) - len(b"X: \r\n\r\n")
    assert isinstance(read(line + b"X: " + b"x" * room + b"\r\n\r\n", 1000), Request)
    assert isinstance(read(with_header(*[b"X: y"] * (L.HEAD_FIELDS_MAX - 1))), Request)


def test_an_answer_in_http() -> None:
    answer = Refused(405, "not so", (("Allow", "GET"),)).response()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 405 Method Not Allowed",
        b"Allow: GET",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Length: 7",
        b"Connection: close",
    ]
    assert body == b"not so\n"


@given(st.binary(max_size=120), st.integers(1, 20))
def test_any_bytes_have_one_of_the_outcomes(data: bytes, chop: int) -> None:
    for whole in (data, GET[:-2] + data + b"\r\n\r\n"):
        first, second = read(whole), read(whole, chop)
        if isinstance(first, Request) or isinstance(second, Request):
            assert isinstance(first, Request)
            assert isinstance(second, Request)
            assert first.headers == second.headers
        else:
            assert first is None or first.status in (400, 431, 501, 505)
