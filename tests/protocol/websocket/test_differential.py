"""Our parser beside wsproto, the other implementation that is installed: the same streams, the same messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage

from protocol.websocket import Client, Server, Text, close_frame, frame, ping_frame, text_frame
from tests.protocol.websocket.streams import Item, control_and_data, in_chunks
from tests.support.rfc6455 import ALL, Case
from tests.support.rfc6455.case import TEXT, close

#: Where the two differ, and why that is right.
STRICTER = {
    "9.3.1": "wsproto counts no fragments",
    "9.3.2": "wsproto counts no fragments",
    "9.3.3": "wsproto counts no fragments",
    "9.4.1": "wsproto counts no fragments",
    "9.4.2": "wsproto counts no fragments",
    "9.4.3": "wsproto counts no fragments",
}

Found = list[tuple[str, bytes]]


class Theirs:
    """Events of wsproto as (kind, payload), fragments put together."""

    def __init__(self, role: ConnectionType) -> None:
        self._connection = Connection(role)
        self._message = b""

    def receive(self, data: bytes) -> Found:
        found: Found = []
        self._connection.receive_data(data)
        for event in self._connection.events():
            if isinstance(event, Message):
                self._message += event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
                if event.message_finished:
                    kind = "text" if isinstance(event, TextMessage) else "binary"
                    assert isinstance(event, TextMessage | BytesMessage)
                    found.append((kind, self._message))
                    self._message = b""
            elif isinstance(event, Ping | Pong):
                found.append((type(event).__name__.lower(), bytes(event.payload)))
            elif isinstance(event, CloseConnection):
                found.append(("close", b"%d" % event.code + (event.reason or "").encode()))
        return found


def ours(messages: list[bytes]) -> Found:
    """Our messages in the same form."""
    return [("text" if isinstance(message, Text) else "binary", bytes(message)) for message in messages]


def only_messages(found: Found) -> Found:
    """Without pings and pongs, whose order among the messages ours does not tell."""
    return [(kind, payload) for kind, payload in found if kind in ("text", "binary")]


@given(control_and_data(), st.data())
def test_a_server_understands_what_wsproto_does(stream: list[Item], data: st.DataObject) -> None:
    joined = b"".join(frame for _, _, frames in stream for frame in frames) + close(1000, b"bye")
    cuts = data.draw(st.lists(st.integers(0, len(joined)), max_size=8))
    server, theirs = Server(accepts_text=True), Theirs(ConnectionType.SERVER)
    mine, other = Found(), Found()
    for chunk in in_chunks(joined, cuts):
        mine += ours(server.receive(chunk))
        other += theirs.receive(chunk)
    assert mine == only_messages(other)
    assert server.control_frames == len(other) - len(mine)
    assert other[-1] == ("close", b"%d" % (server.received_code or 0) + server.received_reason.encode())


@given(control_and_data(), st.integers(1, 3000))
def test_a_client_understands_what_wsproto_does(stream: list[Item], chop: int) -> None:
    joined = b"".join((text_frame if opcode == TEXT else frame)(payload) for opcode, payload, _ in stream)
    joined += ping_frame(b"there?") + close_frame(1012, "restart")
    client, theirs = Client(bytes, accepts_text=True), Theirs(ConnectionType.CLIENT)
    mine, other = Found(), Found()
    for at in range(0, len(joined), chop):
        mine += ours(client.receive(joined[at : at + chop]))
        other += theirs.receive(joined[at : at + chop])
    assert mine == only_messages(other)
    assert other[-2:] == [("ping", b"there?"), ("close", b"1012restart")]
    assert (client.received_code, client.received_reason) == (1012, "restart")


@given(control_and_data())
def test_wsproto_understands_our_frames(stream: list[Item]) -> None:
    client, theirs = Client(lambda count: b"\x5a\xa5\x00\xff"[:count]), Theirs(ConnectionType.SERVER)
    for opcode, payload, _ in stream:
        kind = "text" if opcode == TEXT else "binary"
        assert theirs.receive(client.frame(payload, TEXT if opcode == TEXT else 2)) == [(kind, payload)]
    client.close(4001, "slow")
    assert theirs.receive(client.outgoing()) == [("close", b"4001slow")]


@pytest.mark.parametrize("case", ALL.values(), ids=ALL.keys())
def test_a_case_ends_the_same_way(case: Case) -> None:
    """wsproto reports its own refusal as a close of the peer's, so codes are compared, not who is to blame."""
    server, theirs = Server(accepts_text=True), Theirs(ConnectionType.SERVER)
    messages = server.receive(b"".join(case.sent))
    found = theirs.receive(b"".join(case.sent))
    code = server.received_code if server.failure is None else server.failure.code
    if case.id in STRICTER:
        assert (server.failure is not None, found[-1][0]) == (True, "text" if "9.3" in case.id else "binary")
    else:
        assert found[-1][0] == "close"
        assert found[-1][1][:4] == b"%d" % (code or 0)
        assert ours(messages) == only_messages(found)
