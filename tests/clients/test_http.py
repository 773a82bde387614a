"""The HTTP client against a server that answers what a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from clients.http import HttpConnection, Unreachable
from protocol import limits
from protocol.limits import SEALED_CHUNK_BYTES_MAX


@asynccontextmanager
async def serving(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server on loopback: the n-th request of all gets the n-th answer; an empty one: the connection ends."""
    left, heard = list(answers), list[bytes]()

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            while left:
                data = b""
                while b"\r\n\r\n" not in data:
                    part = await stream.receive_some()
                    if not part:
                        return
                    data += part
                heard.append(data)
                answer = left.pop(0)
                if answer == b"-":
                    await trio.sleep_forever()
                await stream.send_all(answer)
                if not answer or answer.endswith(b"!"):
                    return

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}/ws", heard
        nursery.cancel_scope.cancel()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Odd: \xff\r\n\r\nblob"


async def test_requests_share_a_connection_while_it_lasts() -> None:
    gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nConnection: close\r\n\r\nnone!"
    async with serving(b"HTTP/1.1 100 Continue\r\n\r\n" + OK, gone, OK) as (url, heard):
        connection, into = HttpConnection(url), bytearray(b"have ")
        answer = await connection.exchange("PUT", "/a", {"X-One": "1"}, b"body", into)
        assert (answer.status, bytes(into), answer.headers["x-odd"]) == (200, b"have blob", "\xff")
        assert b"Content-Length: 4\r\n" in heard[0]
        assert b"X-One: 1\r\n" in heard[0]
        answer = await connection.exchange("GET", "/b", {}, into=into)
        assert (answer.status, answer.text, bytes(into)) == (404, "none!", b"have blob")
        assert (await connection.exchange("GET", "/c", {})).status == 200  # over a new connection
        await connection.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no HTTP at all\r\n\r\n!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort!",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 24) + bytes(SEALED_CHUNK_BYTES_MAX + 1) + b"!",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 9999\r\n\r\n" + b"x" * 9998 + b"!",
    ],
)
async def test_answers_that_are_none(answer: bytes) -> None:
    async with serving(answer, OK) as (url, _):
        connection, into = HttpConnection(url), bytearray()
        with pytest.raises(Unreachable):
            await connection.exchange("GET", "/", {}, into=into)
        into.clear()
        assert (await connection.exchange("GET", "/", {}, into=into)).status == 200
        assert into == b"blob"
        await connection.aclose()


async def test_a_relay_that_is_not_there_or_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable):
        await HttpConnection("ws://127.0.0.1:1/ws").exchange("GET", "/", {})
    with pytest.raises(Unreachable):
        await HttpConnection("wss://127.0.0.1:1").exchange("GET", "/", {})
    monkeypatch.setattr(limits, "STALLED_MS", 1)
    async with serving(b"-") as (url, _):
        with pytest.raises(Unreachable, match="too slow"):
            await HttpConnection(url).exchange("GET", "/", {})


async def test_a_plain_server_behind_a_tls_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HANDSHAKE_MS", 100)
    async with serving(OK) as (url, _):
        with pytest.raises(Unreachable):
            await HttpConnection(url.replace("ws:", "wss:")).exchange("GET", "/", {})
