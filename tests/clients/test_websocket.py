"""Websockets that come about, and those that do not: in every outcome the TCP stream is closed."""

from __future__ import annotations

import gc
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    ConnectionTimeout,
    HandshakeError,
    WebSocketRequest,
    serve_websocket,
)

from clients.connection import LinkDown, open_link
from clients.websocket import open_websocket
from tests.support.certificates import certificate

Serve = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    """A server that is no websocket; its address."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await serve(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        yield f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}/ws"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_server(
    handle: Callable[[WebSocketRequest], Awaitable[None]], context: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A websocket server; host, port and path of its address."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_websocket, handle, "127.0.0.1", 0, ssl_context=context))
        yield f"127.0.0.1:{server.port}/ws"
        nursery.cancel_scope.cancel()


async def echo(request: WebSocketRequest) -> None:
    """Send back what comes, beginning with the path that was asked for."""
    socket = await request.accept()
    try:
        await socket.send_message(request.path)
        while True:
            await socket.send_message(await socket.get_message())
    except ConnectionClosed:
        return


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[trio.SocketStream]]:
    """The TCP streams that a test has opened as a client; none may be left open."""
    opened: list[trio.SocketStream] = []
    really = trio.open_tcp_stream

    async def open_stream(*arguments: Any) -> trio.SocketStream:
        opened.append(await really(*arguments))
        return opened[-1]

    monkeypatch.setattr(trio, "open_tcp_stream", open_stream)
    yield opened
    assert opened
    assert [stream.socket.fileno() for stream in opened] == [-1] * len(opened)


async def hang_up(stream: trio.SocketStream) -> None:
    """Go at once."""


async def babble(stream: trio.SocketStream) -> None:
    """Speak another protocol."""
    await stream.send_all(b"220 mail.test ESMTP\r\n\r\n")
    with suppress(trio.BrokenResourceError):
        await say_nothing(stream)


async def say_nothing(stream: trio.SocketStream) -> None:
    """Listen only."""
    while await stream.receive_some():
        pass


async def test_a_relay_that_drops_the_connection_leaves_no_socket_to_the_collector() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with listening(hang_up) as url:
            with pytest.raises(LinkDown, match="cannot be reached: the connection ended in the middle"):
                async with open_link(url, lambda: 0):
                    raise AssertionError("it was opened")
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize(("serve", "why"), [(hang_up, "in the middle"), (babble, "no websocket")])
async def test_what_is_no_websocket_is_known_at_once(
    serve: Serve, why: str, streams: list[trio.SocketStream]
) -> None:  # fmt: skip
    async with listening(serve) as url:
        with pytest.raises(HandshakeError, match=why):
            async with open_websocket(url):
                raise AssertionError("it was opened")


async def test_a_server_that_says_nothing(streams: list[trio.SocketStream]) -> None:
    async with listening(say_nothing) as url:
        with pytest.raises(ConnectionTimeout):
            async with open_websocket(url, connect_timeout_s=0.01):
                raise AssertionError("it was opened")


async def test_a_server_that_refuses(streams: list[trio.SocketStream]) -> None:
    async def refuse(request: WebSocketRequest) -> None:
        await request.reject(503, body=b"full")

    async with open_server(refuse) as where:
        with pytest.raises(ConnectionRejected) as rejected:
            async with open_websocket(f"ws://{where}"):
                raise AssertionError("it was opened")
    assert (rejected.value.status_code, rejected.value.body) == (503, b"full")


async def test_nobody_listens_and_nobody_answers_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HandshakeError) as refused:
        async with open_websocket("ws://127.0.0.1:9/"):
            raise AssertionError("it was opened")
    assert isinstance(refused.value.__cause__, OSError)

    async def never(host: str, port: int) -> trio.SocketStream:
        await trio.sleep_forever()
        raise AssertionError((host, port))

    monkeypatch.setattr(trio, "open_tcp_stream", never)
    with pytest.raises(ConnectionTimeout):
        async with open_websocket("ws://127.0.0.1/", connect_timeout_s=0.01):
            raise AssertionError("it was opened")


@pytest.mark.parametrize("asked", ["?slow=1", ""])
async def test_messages_go_both_ways(asked: str, streams: list[trio.SocketStream]) -> None:
    async with open_server(echo) as where, open_websocket(f"ws://{where}{asked}") as socket:
        assert await socket.get_message() == f"/ws{asked}"
        await socket.send_message("again")
        assert await socket.get_message() == "again"


@pytest.mark.parametrize(("url", "host"), [("ws://[::1]:7420", b"[::1]:7420"), ("ws://localhost", b"localhost")])
async def test_the_address_is_written_as_http_wants_it(
    url: str, host: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    heard: list[bytes] = []

    async def listen(stream: trio.SocketStream) -> None:
        heard.append(bytes(await stream.receive_some()))

    async with listening(listen) as where:
        there = await trio.open_tcp_stream("127.0.0.1", int(where.rpartition(":")[2].partition("/")[0]))

        async def open_stream(host: str, port: int) -> trio.SocketStream:
            assert (host, port) in [("::1", 7420), ("localhost", 80)]
            return there

        monkeypatch.setattr(trio, "open_tcp_stream", open_stream)
        with pytest.raises(HandshakeError):
            async with open_websocket(url):
                raise AssertionError("it was opened")
    assert heard[0].startswith(b"GET / HTTP/1.1\r\n")
    assert b"\r\nHost: %s\r\n" % host in heard[0]


async def test_tls(tmp_path: Path, streams: list[trio.SocketStream]) -> None:
    cert_file, key_file = certificate(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(cert_file, key_file)
    trusting = ssl.create_default_context(cafile=str(cert_file))
    async with open_server(echo, server) as where, open_websocket(f"wss://{where}", ssl_context=trusting) as socket:
        assert await socket.get_message() == "/ws"


async def test_a_certificate_that_nobody_trusts(tmp_path: Path, streams: list[trio.SocketStream]) -> None:
    cert_file, key_file = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert_file, key_file)

    async def greet(stream: trio.SocketStream) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await trio.SSLStream(stream, context, server_side=True).do_handshake()

    async with listening(greet) as url:
        with pytest.raises(LinkDown, match="certificate verify failed"):
            async with open_link(url.replace("ws:", "wss:"), lambda: 0):
                raise AssertionError("it was opened")


async def test_a_goodbye_that_is_not_answered(streams: list[trio.SocketStream]) -> None:
    async def accept(request: WebSocketRequest) -> None:
        await request.accept()
        await trio.sleep_forever()

    async with open_server(accept) as where:
        with pytest.raises(LookupError, match="mine"):
            async with open_websocket(f"ws://{where}", disconnect_timeout_s=0.01, message_queue_size=0):
                raise LookupError("mine")


async def test_who_fails_when_the_connection_breaks_says_why(streams: list[trio.SocketStream]) -> None:
    """The reader of the socket and its user fail in one moment: the user's own error is the news."""

    async def vanish(request: WebSocketRequest) -> None:
        socket = await request.accept()
        await trio.aclose_forcefully(socket._stream)

    async with open_server(vanish) as where:
        with pytest.raises(ConnectionClosed):
            async with open_websocket(f"ws://{where}") as socket:
                await socket.get_message()
        with pytest.raises(ExceptionGroup, match="of mine"):
            async with open_websocket(f"ws://{where}"):
                raise ExceptionGroup("of mine", [LookupError("one"), ValueError("two")])


async def test_cancellation_goes_through(streams: list[trio.SocketStream]) -> None:
    async with open_server(echo) as where:
        with trio.CancelScope() as scope:
            async with open_websocket(f"ws://{where}"):
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
