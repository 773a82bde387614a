"""Both roles after the handshake; the RFC's behaviours one by one are in `tests/protocol/test_rfc6455_cases.py`."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits as L
from protocol.errors import LocalProtocolError
from protocol.websocket import Client, CloseCode, Server, State, Text, close_frame, frame, ping_frame, text_frame
from protocol.websocket.codes import may_be_sent
from tests.protocol.websocket.streams import control_and_data, in_chunks, messages_of
from tests.support.rfc6455.case import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    client_frame,
    close,
    fragments,
    outcome_of,
    server_frames,
)

IDLE_BYTES_MAX = 300


def counting(count: int) -> bytes:
    """Not random at all."""
    return bytes(range(1, count + 1))


def closed_with(server: Server) -> int | None:
    """The code of the close frame that is to be sent."""
    return outcome_of(server.outgoing()).closes[0]


def test_an_idle_connection_costs_little() -> None:
    assert sys.getsizeof(Server()) < IDLE_BYTES_MAX
    assert not hasattr(Server(), "__dict__")
    assert not hasattr(Client(counting), "__dict__")


def test_many_messages_of_one_chunk() -> None:
    server = Server()
    assert server.receive(client_frame(BINARY, b"one") * 3 + client_frame(BINARY, bytes(70_000))) == [
        *[b"one"] * 3,
        bytes(70_000),
    ]
    assert (server.outgoing(), server.state, server.receive(b"")) == (b"", State.OPEN, [])


def test_a_text_is_told_apart() -> None:
    server = Server(accepts_text=True)
    messages = server.receive(client_frame(TEXT, "ä".encode()) + client_frame(BINARY, "ä".encode()))
    assert messages == ["ä".encode()] * 2
    assert [type(message) for message in messages] == [Text, bytes]


def test_a_server_of_binary_messages_refuses_a_text_by_its_header() -> None:
    server = Server()
    assert server.receive(client_frame(BINARY, b"one") + client_frame(TEXT, b"text")[:2]) == [b"one"]
    assert closed_with(server) == 1003
    assert (server.state, server.sent_code, server.received_code) == (State.CLOSED, 1003, None)
    assert server.failure is not None
    assert "binary" in server.failure.text


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a length over the limit", b"\x82\xfe\x04\x01", 1009),
        ("a 64-bit length over the limit", b"\x82\xff\0\0\0\0\0\x10\0\0", 1009),
        ("a lying 64-bit length", b"\x82\xff\x7f" + b"\xff" * 7, 1009),
        ("the highest bit of a length", b"\x82\xff\x80" + bytes(7), 1002),
        ("fragments that sum up", client_frame(BINARY, bytes(600), fin=False) + b"\x80\xfe\x01\xa9", 1009),
        ("a reserved opcode, by one octet", b"\x83", 1002),
        ("a reserved bit, by one octet", b"\xc2", 1002),
        ("no mask", b"\x82\x00", 1002),
        ("a long ping, by two octets", b"\x89\xfe", 1002),
        ("a ping in fragments", b"\x09\x80", 1002),
        ("a continuation of nothing, before its payload", b"\x80\xfd", 1002),
        ("a message within a message", client_frame(BINARY, b"a", fin=False) + b"\x82\x85", 1002),
    ],
)
def test_what_is_refused_from_the_header(name: str, data: bytes, code: int) -> None:
    server = Server(message_bytes_max=1024)
    assert server.receive(data) == []
    assert (closed_with(server), server.state) == (code, State.CLOSED), name
    assert server.failure is not None
    assert server.failure.code == code
    assert server.receive(client_frame(BINARY, b"late")) == []


def test_the_limit_can_be_lifted_and_has_a_floor() -> None:
    server = Server(message_bytes_max=200)
    assert server.receive(client_frame(BINARY, bytes(200))) == [bytes(200)]
    server.message_bytes_max = 70_000
    assert server.receive(client_frame(BINARY, bytes(70_000))) == [bytes(70_000)]
    with pytest.raises(LocalProtocolError, match="at least 125"):
        Server(message_bytes_max=124)


def test_fragments_are_counted() -> None:
    pieces = fragments(BINARY, bytes(L.WEBSOCKET_FRAGMENTS_MAX), 1)
    assert Server().receive(b"".join(pieces)) == [bytes(L.WEBSOCKET_FRAGMENTS_MAX)]
    server = Server(fragments_max=3)
    assert server.receive(b"".join(fragments(BINARY, b"abc", 1) * 2)) == [b"abc"] * 2
    assert server.receive(b"".join(fragments(BINARY, b"abcd", 1))) == []
    assert closed_with(server) == 1009


def test_empty_fragments_are_counted_too() -> None:
    server = Server(fragments_max=10)
    server.receive(client_frame(BINARY, fin=False) + client_frame(CONTINUATION, fin=False) * 9)
    assert server.state is State.OPEN
    server.receive(client_frame(CONTINUATION, fin=False))
    assert closed_with(server) == 1009


def test_memory_follows_what_came_not_what_was_announced() -> None:
    server = Server()
    server.receive(b"\x82\xff" + (L.MESSAGE_BYTES_MAX).to_bytes(8, "big") + b"keyy" + b"x")
    assert sys.getsizeof(server._message) < 200


def test_pongs_and_the_count_of_control_frames() -> None:
    server = Server()
    assert server.receive(client_frame(PING, b"1") + client_frame(PONG, b"2") + client_frame(PING, b"3")) == []
    assert list(server_frames(server.outgoing())) == [(PONG, b"1"), (PONG, b"3")]
    assert (server.control_frames, server.last_pong, server.outgoing()) == (3, b"2", b"")


def test_pongs_that_nobody_sends_do_not_pile_up() -> None:
    server = Server()
    for number in range(1000):
        server.receive(client_frame(PING, b"%03d" % number + bytes(122)))
        assert len(server._out or b"") <= L.WEBSOCKET_PONG_BYTES_MAX + 127
    assert list(server_frames(server.outgoing()))[-1][1][:3] == b"999"


def test_a_flood_of_control_frames_in_one_chunk() -> None:
    server = Server()
    for _ in range(2):  # the bound is on a chunk, not on the connection
        server.receive(client_frame(PING) * L.WEBSOCKET_CONTROL_FRAMES_MAX)
        assert server.state is State.OPEN
    server.outgoing()
    server.receive(client_frame(PONG) * (L.WEBSOCKET_CONTROL_FRAMES_MAX + 1))
    assert (closed_with(server), server.state) == (1008, State.CLOSED)


def test_our_close_then_theirs() -> None:
    server = Server()
    server.close(4001, "slow")
    server.close(1000)  # without effect: only the first is sent
    assert server.outgoing() == close_frame(4001, "slow")
    assert (server.state, server.sent_code) == (State.CLOSING, 4001)
    server.receive(close(4001))
    assert (server.state, server.outgoing(), server.received_code) == (State.CLOSED, b"", 4001)


@pytest.mark.parametrize("chop", [1, 3, 100_000])
def test_what_comes_after_our_close_is_not_kept(chop: int) -> None:
    server = Server(message_bytes_max=1000, fragments_max=2, accepts_text=True)
    begun = client_frame(TEXT, "beg€".encode()[:-1], fin=False)
    assert server.receive(begun) == []
    server.close(1012)
    server.outgoing()
    late = client_frame(CONTINUATION, b"\xff" * 50, fin=False) * 3 + client_frame(CONTINUATION, b"end")
    late += client_frame(BINARY, bytes(70_000)) + client_frame(TEXT, b"\xff") + client_frame(PING, b"late")
    for at in range(0, len(late), chop):
        assert server.receive(late[at : at + chop]) == []
        assert len(server._message or b"") == 0
    assert (server.outgoing(), server.state) == (b"", State.CLOSING)
    server.receive(close(1001, b"bye") + b"\xff\xff")
    assert (server.state, server.sent_code, server.received_code) == (State.CLOSED, 1012, 1001)
    assert (server.received_reason, server.outgoing(), server.failure) == ("bye", b"", None)


def test_a_mistake_after_our_close_ends_it_without_another_frame() -> None:
    server = Server()
    server.close()
    server.outgoing()
    server.receive(b"\x83\x80")
    assert (server.state, server.outgoing(), server.sent_code) == (State.CLOSED, b"", 1000)
    assert server.failure is not None


@pytest.mark.parametrize(("sent", "code"), [(close(None), None), (close(1000), 1000), (close(4999, b"bye"), 4999)])
def test_a_close_is_answered_with_its_code(sent: bytes, code: int | None) -> None:
    server = Server()
    assert server.receive(client_frame(BINARY, b"last") + sent + client_frame(BINARY, b"late")) == [b"last"]
    assert closed_with(server) == code
    assert (server.state, server.received_code) == (State.CLOSED, code or CloseCode.NONE)


def test_the_end_of_the_stream() -> None:
    server = Server()
    server.receive_eof()
    assert (server.state, server.received_code, server.outgoing()) == (State.CLOSED, 1006, b"")
    answered = Server()
    answered.receive(close(1001))
    answered.receive_eof()
    assert answered.received_code == 1001


def test_a_code_that_may_not_be_sent_changes_nothing() -> None:
    server = Server()
    with pytest.raises(LocalProtocolError, match="1006 may not be sent"):
        server.close(1006)
    assert server.state is State.OPEN


def test_a_client_and_a_server_talk() -> None:
    server, client = Server(), Client(counting, accepts_text=True)
    assert server.receive(client.frame(b"up") + client.frame(bytes(70_000))) == [b"up", bytes(70_000)]
    assert client.receive(frame(b"down") + text_frame(b"text") + frame(bytes(70_000))) == [
        b"down",
        b"text",
        bytes(70_000),
    ]
    client.receive(ping_frame(b"there?"))
    assert server.receive(client.outgoing()) == []
    assert server.last_pong == b"there?"
    client.close(1001, "bye")
    server.receive(client.outgoing())
    client.receive(server.outgoing())
    assert (server.state, client.state) == (State.CLOSED, State.CLOSED)
    assert (server.received_code, server.received_reason, client.received_code) == (1001, "bye", 1001)
    with pytest.raises(LocalProtocolError, match="the connection is closed"):
        client.frame(b"late")


def test_a_client_refuses_a_masked_frame() -> None:
    client = Client(counting)
    assert client.receive(client_frame(BINARY, b"x")) == []
    assert (client.sent_code, client.state) == (1002, State.CLOSED)
    answer = client.outgoing()
    assert answer[:2] == bytes((0x88, 0x80 | len(answer) - 6))


@given(control_and_data(), st.data())
def test_any_cut_of_a_stream_gives_the_same(stream: list[tuple[int, bytes, list[bytes]]], data: st.DataObject) -> None:
    joined = b"".join(frame for _, _, frames in stream for frame in frames)
    cuts = data.draw(st.lists(st.integers(0, len(joined)), max_size=12))
    server = Server(accepts_text=True)
    messages: list[bytes] = []
    for chunk in in_chunks(joined, cuts):
        messages += server.receive(chunk)
    assert [(type(message) is Text, message) for message in messages] == messages_of(stream)
    assert list(server_frames(server.outgoing())) == [(PONG, body) for kind, body, _ in stream if kind == PING]
    assert server.state is State.OPEN
    assert server.control_frames == sum(kind in (PING, PONG) for kind, _, _ in stream)


@given(st.binary(max_size=200), st.booleans(), st.integers(1, 50))
def test_any_bytes_have_one_of_the_documented_outcomes(data: bytes, text: bool, chop: int) -> None:
    server, other = Server(message_bytes_max=125, accepts_text=text), Server(message_bytes_max=125, accepts_text=text)
    whole = server.receive(data)
    pieces = [message for at in range(0, len(data), chop) for message in other.receive(data[at : at + chop])]
    out = server.outgoing()
    assert (whole, out, server.state) == (pieces, other.outgoing(), other.state)
    assert all(len(message) <= 125 for message in whole)
    frames = list(server_frames(out))
    if server.state is State.CLOSED:
        assert frames[-1][0] == CLOSE
        assert server.failure is not None or server.received_code is not None
        assert server.sent_code is None or server.sent_code == CloseCode.NONE or may_be_sent(server.sent_code)
    else:
        assert all(opcode == PONG for opcode, _ in frames)


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=40))
def test_any_header_has_one_of_the_documented_outcomes(first: int, second: int, rest: bytes) -> None:
    server = Server(message_bytes_max=125)
    server.receive(bytes((first, second)) + rest)
    if server.failure is not None:
        assert server.failure.code in (1002, 1003, 1007, 1009)  # never more than 19 frames, so no flood
        assert closed_with(server) == server.failure.code
