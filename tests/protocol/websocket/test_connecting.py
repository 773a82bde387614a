"""The opening handshake of a client: its request, and which answers it believes."""

from __future__ import annotations

import pytest

from protocol import limits as L
from protocol.errors import LocalProtocolError
from protocol.websocket.connecting import Connecting, Established, NotEstablished
from protocol.websocket.upgrade import Accepted, Opening, Policy

KEY = b"the sample nonce"  # RFC 6455, section 1.3
HOST = b"relay.example"
GOOD = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chappe.v1\r\n\r\n"
)


def connecting() -> Connecting:
    return Connecting(HOST, b"/ws", KEY, subprotocol="chappe.v1")


@pytest.mark.parametrize("chop", [1, 10, 1000])
def test_a_good_answer(chop: int) -> None:
    client = connecting()
    data = GOOD + b"\x82\x00"
    found = [client.receive(data[at : at + chop]) for at in range(0, len(GOOD), chop)]
    assert found[:-1] == [None] * (len(found) - 1)
    assert isinstance(found[-1], Established)
    assert found[-1].subprotocol == "chappe.v1"
    assert b"\x82\x00".startswith(found[-1].rest)


@pytest.mark.parametrize("subprotocol", [None, "chappe.v1"])
@pytest.mark.parametrize("origin", [None, b"https://relay.example"])
def test_with_our_own_server(subprotocol: str | None, origin: bytes | None) -> None:
    client = Connecting(HOST, b"/ws", KEY, subprotocol=subprotocol, origin=origin)
    accepted = Opening(Policy(subprotocol=subprotocol)).receive(client.request())
    assert isinstance(accepted, Accepted)
    assert accepted.request.header(b"origin") == origin
    assert client.receive(accepted.response() + b"rest") == Established(subprotocol, b"rest")


def test_a_subprotocol_that_was_not_offered() -> None:
    found = Connecting(HOST, b"/ws", KEY).receive(GOOD)
    assert found == NotEstablished(101, "the subprotocol of the answer is not the one that was offered")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"Upgrade: websocket", b"Upgrade: h2c", "agree"),
        (b"Connection: Upgrade", b"Connection: close", "agree"),
        (b"Connection: Upgrade\r\n", b"", "agree"),
        (b"s3pP", b"S3pP", "does not answer our key"),
        (b"chappe.v1", b"chappe.v2", "subprotocol"),
        (b"Sec-WebSocket-Protocol: chappe.v1\r\n", b"", "subprotocol"),
        (b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "extension"),
    ],
)
def test_answers_that_are_not_believed(old: bytes, new: bytes, says: str) -> None:
    found = connecting().receive(GOOD.replace(old, new, 1) if old != b"\r\n\r\n" else GOOD[:-4] + new)
    assert isinstance(found, NotEstablished)
    assert (found.status, says in found.text) == (101, True)


@pytest.mark.parametrize("status", [200, 301, 403, 426, 503])
def test_a_refusal_tells_its_status(status: int) -> None:
    found = connecting().receive(b"HTTP/1.1 %d No\r\nContent-Length: 3\r\n\r\nno\n" % status)
    assert found == NotEstablished(status, "the server does not open a websocket here")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"SSH-2.0\r\n\r\n", "not HTTP"),
        (b"\x15\x03\x01\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 101 Yes\r\nX: " + b"a" * L.HEAD_BYTES_MAX, "too large"),
        (b"HTTP/1.1 101 Yes\r\n" + b"X: a\r\n" * (L.HEAD_FIELDS_MAX + 3), "too large"),
    ],
)
def test_what_is_no_answer(data: bytes, says: str) -> None:
    found = connecting().receive(data)
    assert isinstance(found, NotEstablished)
    assert (found.status, says in found.text) == (0, True)


@pytest.mark.parametrize(
    ("host", "target", "key", "subprotocol", "origin"),
    [
        (HOST, b"/ws", KEY[:-1], None, None),
        (b"a\r\nX: y", b"/ws", KEY, None, None),
        (b"", b"/ws", KEY, None, None),
        (HOST, b"/w s", KEY, None, None),
        (HOST, b"/ws", KEY, "a\r\nb", None),
        (HOST, b"/ws", KEY, None, b"https://a b"),
    ],
)
def test_what_would_break_the_head_is_our_mistake(
    host: bytes, target: bytes, key: bytes, subprotocol: str | None, origin: bytes | None
) -> None:
    with pytest.raises(LocalProtocolError):
        Connecting(host, target, key, subprotocol=subprotocol, origin=origin)
