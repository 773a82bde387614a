"""The opening handshake of a server: which requests it agrees to, and what it says to the others."""

from __future__ import annotations

import pytest

from protocol import limits as L
from protocol.websocket.head import Refused, Request
from protocol.websocket.upgrade import Accepted, Opening, Policy, accept_value, may_connect, upgrade_required

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, section 1.3
POLICY = Policy(path=b"/ws", subprotocol="chappe.v1", origins=("https://chat.example",))
GOOD = {
    b"Host": b"relay.example",
    b"Upgrade": b"websocket",
    b"Connection": b"Upgrade",
    b"Sec-WebSocket-Key": KEY,
    b"Sec-WebSocket-Version": b"13",
    b"Sec-WebSocket-Protocol": b"chappe.v1",
}


def request(line: bytes = b"GET /ws HTTP/1.1", **changes: bytes | None) -> bytes:
    """A good request but for some headers; None takes one away."""
    headers: dict[bytes, bytes | None] = {**GOOD}
    headers |= {name.replace("_", "-").encode(): value for name, value in changes.items()}
    lines = [name + b": " + value for name, value in headers.items() if value is not None]
    return b"\r\n".join([line, *lines, b"", b""])


def answer(data: bytes, policy: Policy = POLICY) -> Accepted | Refused | Request | None:
    return Opening(policy).receive(data)


def test_the_example_of_the_rfc() -> None:
    assert accept_value(KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_good_request_in_pieces() -> None:
    opening = Opening(POLICY)
    data = request() + b"\x82\x80"
    assert [opening.receive(data[at : at + 1]) for at in range(len(data) - 3)] == [None] * (len(data) - 3)
    accepted = opening.receive(data[-3:])
    assert isinstance(accepted, Accepted)
    assert accepted.rest == b"\x82\x80"
    assert accepted.response() == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chappe.v1\r\n\r\n"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"Upgrade": b"WebSocket"},
        {"Upgrade": b"h2c, websocket"},
        {"Connection": b"keep-alive, upgrade"},
        {"Content-Length": b"0"},
        {"Origin": b"https://chat.example"},
        {"Origin": b"https://RELAY.example"},
        {"Origin": b"http://relay.example"},
        {"Sec_WebSocket_Protocol": b"chat, chappe.v1 , x"},
        {"Sec_WebSocket_Extensions": b"permessage-deflate; client_max_window_bits"},
        {"Cookie": b"a=b"},
    ],
)
def test_what_is_agreed_to(changes: dict[str, bytes]) -> None:
    accepted = answer(request(**changes))
    assert isinstance(accepted, Accepted)
    assert accepted.subprotocol == "chappe.v1"
    assert b"xtensions" not in accepted.response()


def test_a_query_is_no_part_of_the_path() -> None:
    assert isinstance(answer(request(b"GET /ws?from=web HTTP/1.1")), Accepted)


def test_a_server_without_a_subprotocol_chooses_none() -> None:
    accepted = answer(request(), Policy())
    assert isinstance(accepted, Accepted)
    assert b"Protocol" not in accepted.response().partition(b"\r\n")[2]
    assert isinstance(answer(request(Sec_WebSocket_Protocol=None), Policy()), Accepted)


@pytest.mark.parametrize(
    ("data", "status", "says"),
    [
        (request(b"GET /ws HTTP/1.0"), 505, "HTTP/1.1"),
        (request(b"POST /ws HTTP/1.1"), 405, "GET"),
        (request(b"GET / HTTP/1.1"), 404, "/ws"),
        (request(b"GET /wsx HTTP/1.1"), 404, "/ws"),
        (request(b"GET http://relay.example/ws HTTP/1.1"), 404, "/ws"),
        (request(Connection=None), 400, "connection"),
        (request(Connection=b"keep-alive"), 400, "connection"),
        (request(Host=b""), 400, "host"),
        (request(Content_Length=b"4"), 400, "no body"),
        (request(Transfer_Encoding=b"chunked"), 400, "no body"),
        (request(Sec_WebSocket_Version=None), 426, "version 13"),
        (request(Sec_WebSocket_Version=b"8"), 426, "version 13"),
        (request(Sec_WebSocket_Version=b"13, 8"), 426, "version 13"),
        (request(Sec_WebSocket_Key=None), 400, "16 bytes"),
        (request(Sec_WebSocket_Key=b""), 400, "16 bytes"),
        (request(Sec_WebSocket_Key=KEY[:-3] + b"R=="), 400, "16 bytes"),
        (request(Sec_WebSocket_Key=b"AAAA" + KEY), 400, "16 bytes"),
        (request(Sec_WebSocket_Key=b"dGhlIHNhbXBsZQ=="), 400, "16 bytes"),
        (request(Sec_WebSocket_Key=b"!" * 24), 400, "16 bytes"),
        (request(Origin=b"https://evil.example"), 403, "origin"),
        (request(Origin=b"null"), 403, "origin"),
        (request(Origin=b"https://chat.example.evil"), 403, "origin"),
        (request(Origin=b"https://chat\xe9"), 403, "origin"),
        (request(Sec_WebSocket_Protocol=None), 400, "must be chappe.v1"),
        (request(Sec_WebSocket_Protocol=b"chappe.v2"), 400, "must be chappe.v1"),
        (request(Sec_WebSocket_Protocol=b"chappe.v1, chappe.v1"), 400, "malformed"),
        (request(Sec_WebSocket_Protocol=b'chappe.v1, "x y"'), 400, "malformed"),
        (request(Sec_WebSocket_Protocol=b", ".join(b"%d" % n for n in range(17))), 400, "at most 16"),
        (request()[:-2] + b"Upgrade: websocket\r\n\r\n", 400, "more than one upgrade"),
        (b"\x16\x03\x01", 400, "TLS"),
    ],
)
def test_what_is_refused(data: bytes, status: int, says: str) -> None:
    refused = answer(data)
    assert isinstance(refused, Refused), refused
    assert (refused.status, says in refused.text) == (status, True)
    assert refused.response().startswith(b"HTTP/1.1 %d " % status)


def test_another_version_is_told_ours() -> None:
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in upgrade_required().response()
    assert b"\r\nUpgrade: websocket\r\n" in upgrade_required().response()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"PUT /blob/00 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo",
    ],
)
def test_what_is_no_websocket_goes_to_the_caller_with_all_its_bytes(data: bytes) -> None:
    plain = answer(data)
    assert isinstance(plain, Request)
    assert plain.data == data


@pytest.mark.parametrize(
    ("origin", "host", "origins", "may"),
    [
        (b"https://a", b"a", (), True),
        (b"https://a:1", b"a", (), False),
        (b"ftp://a", b"a", (), False),
        (b"https://", b"", (), False),
        (b"https://b", b"a", ("*",), True),
        (b"https://b", b"a", ("https://B/",), True),
        (b"null", b"a", ("null",), True),
        (b"https://a\xff", b"a", ("*",), False),
    ],
)
def test_origins(origin: bytes, host: bytes, origins: tuple[str, ...], may: bool) -> None:
    assert may_connect(origin, host, origins) is may


def test_the_bound_on_what_is_offered_allows_itself() -> None:
    offered = b", ".join([b"chappe.v1", *(b"%d" % number for number in range(L.SUBPROTOCOLS_OFFERED_MAX - 1))])
    assert isinstance(answer(request(Sec_WebSocket_Protocol=offered)), Accepted)


def test_keys_are_not_in_the_repr() -> None:
    assert KEY.decode() not in repr(answer(request()))
