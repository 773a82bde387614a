"""The listener over streams in memory and a virtual clock: handshakes, limits before the login, and how it ends."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from protocol.frames import SUBPROTOCOL
from relay import bounds as B
from relay import socket_peer
from relay.config import Settings
from relay.counters import Counters
from relay.listener import PATH, Listener, refuse_request
from relay.seam import Peer

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 section 1.3


class Echo:
    """A handler that sends back what it gets, and does what it is told to in words."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.events: list[object] = []

    def on_message(self, data: bytes) -> None:
        """One message."""
        self.events.append(data)
        if data == b"close":
            self.peer.close_nowait(4002, "told to", b"goodbye")
        elif data == b"login":
            self.peer.login_decided_nowait()
        elif data.startswith(b"flood"):
            for _ in range(int(data[5:])):
                self.peer.send_nowait(bytes(1000))
        else:
            self.peer.send_nowait(data)

    def on_text(self) -> None:
        """A text."""
        self.events.append("text")

    def on_writable(self) -> None:
        """Room."""
        self.events.append("writable")

    def on_closed(self) -> None:
        """The end."""
        self.events.append("closed")


class Bench:
    """A listener and what its handlers saw."""

    def __init__(self, settings: Settings, nursery: trio.Nursery) -> None:
        self.counters = Counters()
        self.handlers: list[Echo] = []
        self.listener = Listener(settings, self._accept, self.counters)
        self._nursery = nursery

    def _accept(self, peer: Peer) -> Echo:
        self.handlers.append(Echo(peer))
        return self.handlers[-1]

    def stream(self) -> trio.abc.Stream:
        """The client's end of a new connection."""
        mine, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self.listener.run, theirs)
        return mine

    async def websocket(self, **options: object) -> WebSocketConnection:
        """A websocket that was accepted."""
        stream = self.stream()
        return await wrap_client_stream(
            self._nursery, stream, "relay.example", PATH, subprotocols=[SUBPROTOCOL], **options,  # type: ignore[arg-type]
        )  # fmt: skip


@asynccontextmanager
async def bench(**settings: object) -> AsyncIterator[Bench]:
    """A listener for streams in memory."""
    async with trio.open_nursery() as nursery:
        yield Bench(Settings(**settings), nursery)  # type: ignore[arg-type]
        nursery.cancel_scope.cancel()


def head(path: str = PATH, **headers: str) -> bytes:
    """An HTTP request for a websocket."""
    values = {
        "Host": "relay.example", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": SUBPROTOCOL,
    } | {name.replace("_", "-"): value for name, value in headers.items()}  # fmt: skip
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in values.items() if value), "", ""]
    return "\r\n".join(lines).encode()


async def everything(stream: trio.abc.Stream) -> bytes:
    """All bytes until the end."""
    return b"".join([bytes(chunk) async for chunk in stream])


async def test_messages_both_ways(autojump_clock: trio.testing.MockClock) -> None:
    async with bench() as b:
        websocket = await b.websocket()
        for size in (0, 1, 4000):
            await websocket.send_message(bytes(size))
            assert await websocket.get_message() == bytes(size)
        assert websocket.subprotocol == SUBPROTOCOL
        assert b.listener.statistics().connections == 1
        await websocket.ping(b"are you there")
        await websocket.send_message("text")
        await websocket.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert b.handlers[0].events[-2:] == ["text", "closed"]
        await trio.sleep(5)
        assert b.listener.statistics().connections == 0
        assert b.listener.statistics().addresses == 0


async def test_a_close_by_the_relay_is_said(autojump_clock: trio.testing.MockClock) -> None:
    async with bench() as b:
        websocket = await b.websocket()
        await websocket.send_message(b"close")
        assert await websocket.get_message() == b"goodbye"
        with pytest.raises(ConnectionClosed):
            await websocket.get_message()
        assert websocket.closed is not None
        assert (websocket.closed.code, websocket.closed.reason) == (4002, "told to")
        await trio.sleep(5)
        assert b.handlers[0].events == [b"close", "closed"]
        b.handlers[0].peer.send_nowait(b"too late")
        b.handlers[0].peer.close_nowait(4000, "too late")


async def test_a_peer_that_does_not_answer_a_close_is_dropped(autojump_clock: trio.testing.MockClock) -> None:
    async with bench() as b:
        stream = b.stream()
        await stream.send_all(head())
        assert b"101" in await stream.receive_some()
        await trio.testing.wait_all_tasks_blocked()
        b.handlers[0].peer.close_nowait(4000, "bye")
        begin = trio.current_time()
        assert await everything(stream) == b"\x88\x05\x0f\xa0bye"
        assert trio.current_time() - begin <= 2 * B.CLOSE_MS / 1000 + 0.1
        assert b.handlers[0].events == ["closed"]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (head("/"), 404),
        (head("/ws/x"), 404),
        (head("/ws?token=1"), 101),
        (head(Sec_WebSocket_Protocol=""), 400),
        (head(Sec_WebSocket_Protocol="chat"), 400),
        (head(Origin="https://evil.example"), 403),
        (head(Origin="null"), 403),
        (head(Origin="https://relay.example"), 101),
        (head(Origin="https://friend.example"), 101),
        (head(Upgrade=""), 400),
        (head(Sec_WebSocket_Version="8"), 426),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
async def test_handshakes(autojump_clock: trio.testing.MockClock, request_: bytes, status: int) -> None:
    async with bench(origins=("https://friend.example",)) as b:
        stream = b.stream()
        await stream.send_all(request_)
        answer = await stream.receive_some()
        assert answer.startswith(b"HTTP/1.1 %d" % status), answer
        if status == 101:
            await trio.testing.wait_all_tasks_blocked()
            assert len(b.handlers) == 1
        else:
            await everything(stream)
            assert b.handlers == []
            assert b.counters.refused_handshakes == 1


@pytest.mark.parametrize("sent", [b"", head()[:40]])
async def test_a_handshake_has_a_deadline(autojump_clock: trio.testing.MockClock, sent: bytes) -> None:
    async with bench(handshake_ms=3000) as b:
        stream = b.stream()
        if sent:
            await stream.send_all(sent)
        begin = trio.current_time()
        assert b"101" not in await everything(stream)
        assert 3 <= trio.current_time() - begin < 8
        assert b.counters.refused_handshakes == 1


async def test_a_peer_that_leaves_during_the_handshake(autojump_clock: trio.testing.MockClock) -> None:
    async with bench() as b:
        for sent in (b"", head()[:40]):
            stream = b.stream()
            if sent:
                await stream.send_all(sent)
            begin = trio.current_time()
            await stream.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert b.listener.statistics().connections == 0
            assert trio.current_time() - begin < 1


async def test_an_endless_head(autojump_clock: trio.testing.MockClock) -> None:
    async with bench() as b:
        stream = b.stream()
        await stream.send_all(b"GET /ws HTTP/1.1\r\n" + b"X-Junk: " + b"a" * (1 << 20))
        answer = await everything(stream)
        assert answer.startswith(b"HTTP/1.1 4") or answer == b""
        assert b.handlers == []


def masked(opcode: int, payload: bytes, *, length: int | None = None, fin: bool = True) -> bytes:
    """A client's frame with a zero mask; ``length`` may lie."""
    size = len(payload) if length is None else length
    first = (0x80 if fin else 0) | opcode
    if size < 126:
        lead = bytes((first, 0x80 | size))
    elif size < 65536:
        lead = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        lead = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    return lead + bytes(4) + payload


async def opened(b: Bench) -> trio.abc.Stream:
    """A stream whose handshake is over."""
    stream = b.stream()
    await stream.send_all(head())
    assert b"101" in await stream.receive_some()
    return stream


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x82\x05hello", 1002),  # not masked
        (masked(3, b""), 1002),  # a reserved opcode
        (b"\xc2\x80" + bytes(4), 1002),  # a reserved bit
        (masked(0, b"x"), 1002),  # a continuation of nothing
        (masked(9, b"", fin=False), 1002),  # a control frame in parts
        (masked(9, bytes(126)), 1002),  # a control frame that is too long
        (masked(1, b"\xff\xfe"), 1007),  # a text that is no UTF-8
        (masked(8, b"\x03"), 1002),  # half a close code
        (masked(8, b"\x03\xed"), 1002),  # a code that never stands in a frame
        (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" + bytes(4), 1009),  # 2^64-1: too large first
        (masked(2, bytes(200_000)), 1009),  # more than a login may have
        (masked(2, bytes(200_000), length=1 << 40), 1009),
        (masked(2, bytes(50_000), fin=False) + masked(0, bytes(50_000), fin=False) * 3, 1009),
        (masked(9, b"x" * 100) * 2000, 1009),  # pings without end
    ],
)
async def test_bad_frames_end_with_the_right_code(
    autojump_clock: trio.testing.MockClock, data: bytes, code: int
) -> None:
    async with bench() as b:
        stream = await opened(b)
        await stream.send_all(data)
        answer = await everything(stream)
        assert answer[-200:].rpartition(b"\x88")[2][1:3] == code.to_bytes(2, "big"), answer[-100:]
        assert b.handlers[0].events[-1] == "closed"


async def test_after_the_login_messages_may_be_large(autojump_clock: trio.testing.MockClock) -> None:
    async with bench() as b:
        websocket = await b.websocket(max_message_size=1 << 21)
        await websocket.send_message(b"login")
        for _ in range(3):
            await websocket.send_message(bytes(1 << 20))
            assert await websocket.get_message() == bytes(1 << 20)
        await websocket.send_message(bytes((1 << 20) + 1))
        with pytest.raises(ConnectionClosed):
            await websocket.get_message()
        assert websocket.closed is not None
        assert websocket.closed.code == 1009


async def test_one_byte_fragments_are_bounded(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_peer, "_SESSION_BYTES", 40_000)
    async with bench() as b:
        stream = await opened(b)
        await stream.send_all(masked(2, b"login"))
        await stream.send_all(masked(2, b"x", fin=False))
        with contextlib.suppress(trio.BrokenResourceError):
            for _ in range(200):
                await stream.send_all(masked(0, b"x", fin=False) * 1000)
        assert (1009).to_bytes(2, "big") in (await everything(stream))[-80:]
        assert b.handlers[0].events == [b"login", "closed"]


async def test_connections_are_bounded(autojump_clock: trio.testing.MockClock) -> None:
    for bound in ("connections_max", "connections_per_address_max"):
        async with bench(**{bound: 2}) as b:
            kept = [await opened(b) for _ in range(2)]
            turned_away = await everything(b.stream())
            assert turned_away.startswith(b"HTTP/1.1 503")
            assert b"Retry-After" in turned_away
            await kept[0].aclose()
            await trio.sleep(5)
            await opened(b)
            gone = b.stream()
            await gone.aclose()


async def test_a_reader_that_stalls_is_dropped(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(stalled_ms=4000) as b:
        mine, theirs = trio.testing.lockstep_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(b.listener.run, theirs)
            await mine.send_all(head())
            assert b"101" in await mine.receive_some()
            await mine.send_all(masked(2, b"flood3"))
            await trio.sleep(3)
            assert b.handlers[0].events == [b"flood3"]
            await trio.sleep(5)
            assert b.handlers[0].events == [b"flood3", "closed"]
            nursery.cancel_scope.cancel()


async def test_room_is_told_once_it_is_there(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(outbound_bytes_max=100_000) as b:
        mine, theirs = trio.testing.lockstep_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(b.listener.run, theirs)
            await mine.send_all(head())
            assert b"101" in await mine.receive_some()
            await mine.send_all(masked(2, b"flood200"))
            await mine.send_all(masked(2, b"next"))
            await trio.testing.wait_all_tasks_blocked()
            echo = b.handlers[0]
            assert echo.peer.buffered_bytes > 200_000
            assert echo.events == [b"flood200"]  # what follows is not read until this was written down
            received = 0
            while "writable" not in echo.events:
                received += len(await mine.receive_some(10_000))
            assert 150_000 <= received <= 210_000  # a slice at a time
            while b"next" not in echo.events:
                await mine.receive_some(10_000)
            assert echo.events == [b"flood200", "writable", b"next"]
            nursery.cancel_scope.cancel()


async def test_pings_without_reading_wait_instead_of_filling_memory(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(outbound_bytes_max=40_000, stalled_ms=600_000) as b:
        mine, theirs = trio.testing.lockstep_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(b.listener.run, theirs)
            await mine.send_all(head())
            assert b"101" in await mine.receive_some()
            await mine.send_all(masked(2, b"login"))
            with trio.move_on_after(5):
                while True:
                    await mine.send_all(masked(9, b"x" * 100) * 50)
            assert b.handlers[0].peer.buffered_bytes < 40_000 + 2 * B.CONTROL_BYTES_MAX
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"Origin", b"https://a"), (b"origin", b"https://b"), (b"Host", b"a")], 400),
        ([(b"Origin", b"https://\xff")], 403),
        ([(b"origin", b"https://b")], 403),
        ([(b"origin", b"http://Own:8790"), (b"host", b"own:8790")], None),
        ([(b"origin", b"https://A.Example")], None),
        ([], None),
    ],
)
def test_origins(headers: list[tuple[bytes, bytes]], expected: int | None) -> None:
    refusal = refuse_request(PATH, headers, [SUBPROTOCOL], ["https://a.example/"])
    assert (refusal and refusal[0]) == expected


def test_every_origin() -> None:
    assert refuse_request(PATH, [(b"origin", b"https://b")], [SUBPROTOCOL], ["*"]) is None


async def test_a_tls_handshake_that_is_none(autojump_clock: trio.testing.MockClock) -> None:
    counters = Counters()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listener = Listener(Settings(), Echo, counters, context)
    mine, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run, theirs)
        await mine.send_all(head())
        assert b"101" not in await everything(mine)
    assert counters.refused_handshakes == 1
