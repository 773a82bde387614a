"""One connection over a real websocket: the login, requests, batches, signs of life, and how it ends."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from clients import connection
from clients.connection import Link, LinkDown, Refusal, open_link
from protocol import frames as F
from protocol import limits
from protocol.codec import decode_frames, encode_struct
from protocol.errors import Close, Code, Reason
from protocol.identity import SigningKey
from protocol.requests import GetHandle, LoginResult, PublishList
from relay.testing import open_relay
from tests.support.people import Person

KEY = SigningKey(b"k" * 32)
ACCOUNT = SigningKey(b"a" * 32).public
INFO = F.Info((F.VERSION,), b"c" * 16, b"n" * 32)
OK = F.Ok(1, msgspec.Raw(encode_struct(LoginResult(True, 1, 9, 5))))
Serve = Callable[[WebSocketConnection], Awaitable[None]]


def now_ms() -> int:
    """A clock that goes forward."""
    return time.monotonic_ns() // 1_000_000


@asynccontextmanager
async def open_server(serve: Serve) -> AsyncIterator[str]:
    """A websocket server that does what a test says; its address."""

    async def handle(request: WebSocketRequest) -> None:
        socket = await request.accept(subprotocol=F.SUBPROTOCOL)
        try:
            await serve(socket)
        except ConnectionClosed:
            return

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_websocket, handle, "127.0.0.1", 0, ssl_context=None))
        yield f"ws://127.0.0.1:{server.port}/ws"
        nursery.cancel_scope.cancel()


async def log_in(link: Link, number: int = 0) -> LoginResult:
    """Log KEY in."""
    return await link.log_in(KEY, ACCOUNT, 1, "test", os.urandom, number)


async def frames_of(socket: WebSocketConnection) -> list[F.AnyFrame]:
    """The frames of the next message."""
    message = await socket.get_message()
    assert isinstance(message, bytes)
    return decode_frames(message, from_client=True)


async def greet(socket: WebSocketConnection) -> F.Connect:
    """INFO, and the CONNECT that answers it."""
    await socket.send_message(encode_struct(INFO))
    (frame,) = await frames_of(socket)
    assert isinstance(frame, F.Connect)
    return frame


async def say(socket: WebSocketConnection, *frames: F.Frame) -> None:
    """Send frames, one a message."""
    for frame in frames:
        await socket.send_message(encode_struct(frame))


async def use(url: str, *, log: bool = True, seen: list[Any] | None = None) -> None:
    """Open a link, log in and serve it until it ends."""
    async with open_link(url, now_ms) as link:
        if log:
            await log_in(link)

        async def on_frames(frames: list[F.AnyFrame]) -> None:
            if seen is not None:
                seen.extend(frames)

        await link.run(on_frames)


# -- against the relay -------------------------------------------------------------------------------------------------
async def test_a_login_and_requests_at_a_real_relay() -> None:
    async with open_relay() as relay, open_link(relay.url, now_ms) as link:
        ann = Person("ann", relay.clock_ms())
        login = await link.log_in(ann.key, ann.account, 0, "test", os.urandom)
        assert not login.registered

        async def ignore(frames: list[F.AnyFrame]) -> None:
            assert frames is not None

        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.run, ignore)
            assert await link.ask("devices.publish", PublishList(ann.signed()), int) == 1
            with pytest.raises(Refusal) as refused:
                await link.ask("handles.get", GetHandle("nobody"), bytes)
            assert refused.value.code == Code.NOT_FOUND
            assert link.statistics().unanswered == 0
            nursery.cancel_scope.cancel()


# -- logins that fail --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("answer", "final", "retry_ms", "last"),
    [
        (F.Err(1, Code.UNAUTHENTICATED, "no"), True, None, 0),
        (F.Err(1, Code.STORE_AWAY, "later", 700), False, 700, 0),
        (F.Err(1, Code.CONFLICT, "late", 0, F.ErrDetail(Reason.SUPERSEDED, offset=77)), False, 0, 77),
        (F.Bye(Close.RESTART, "restarting", 900), False, 900, 0),
        (F.Bye(Close.BANNED, "go away", -1), True, 0, 0),
    ],
    ids=["refused", "later", "late", "restart", "banned"],
)
async def test_a_login_that_is_not_answered_by_ok(
    answer: F.Frame, final: bool, retry_ms: int | None, last: int
) -> None:
    async def serve(socket: WebSocketConnection) -> None:
        await greet(socket)
        await say(socket, answer)
        await socket.get_message()

    async with open_server(serve) as url:
        with pytest.raises(LinkDown) as down:
            await use(url)
    assert (down.value.final, down.value.retry_ms, down.value.last_login) == (final, retry_ms, last)


async def test_a_relay_of_another_version_is_final() -> None:
    async def serve(socket: WebSocketConnection) -> None:
        await say(socket, F.Info((99,), b"c" * 16, b"n" * 32))
        await socket.get_message()

    async with open_server(serve) as url:
        with pytest.raises(LinkDown, match="update") as down:
            await use(url)
    assert down.value.final


@pytest.mark.parametrize("message", ["text", b"\xc1", b"\x91\x02"], ids=["text", "garbage", "a frame of a client"])
async def test_a_relay_that_breaks_the_protocol_at_the_login(message: str | bytes) -> None:
    async def serve(socket: WebSocketConnection) -> None:
        await socket.send_message(message)
        await socket.get_message()

    async with open_server(serve) as url:
        with pytest.raises(LinkDown):
            await use(url)


async def test_a_relay_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOGIN_MS", 50)

    async def serve(socket: WebSocketConnection) -> None:
        await socket.get_message()

    async with open_server(serve) as url:
        with pytest.raises(LinkDown, match="in time"):
            await use(url)


@pytest.mark.parametrize("url", ["ws://127.0.0.1:9/ws", "http://127.0.0.1/", "nonsense"])
async def test_an_address_where_no_relay_is(url: str) -> None:
    with pytest.raises(LinkDown, match=r"cannot be reached|no address"):
        await use(url)


async def test_a_server_of_another_protocol() -> None:
    async def handle(request: WebSocketRequest) -> None:
        socket = await request.accept()
        try:
            await socket.get_message()
        except ConnectionClosed:
            return

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_websocket, handle, "127.0.0.1", 0, ssl_context=None))
        with pytest.raises(LinkDown, match="no Chappe relay"):
            await use(f"ws://127.0.0.1:{server.port}/ws")
        nursery.cancel_scope.cancel()


# -- a link at work ----------------------------------------------------------------------------------------------------
async def test_frames_are_handed_on_and_pings_answered() -> None:
    seen: list[Any] = []
    heard: list[F.AnyFrame] = []

    async def serve(socket: WebSocketConnection) -> None:
        await greet(socket)
        await say(socket, OK, F.Ping(7), F.Live(3, 9), F.Evt("devices"))
        heard.extend(await frames_of(socket))
        await say(socket, F.Bye(Close.SUPERSEDED, "again elsewhere", -1))
        await socket.get_message()

    async with open_server(serve) as url:
        with pytest.raises(LinkDown, match="again elsewhere") as down:
            await use(url, seen=seen)
    assert [type(frame) for frame in seen] == [F.Live, F.Evt]
    assert heard == [F.Pong(7)]
    assert down.value.superseded
    assert down.value.final


async def test_what_queues_up_goes_out_as_batches_in_order() -> None:
    got: list[list[F.AnyFrame]] = []

    async def serve(socket: WebSocketConnection) -> None:
        await greet(socket)
        await say(socket, OK)
        while sum(map(len, got)) < 600:
            got.append(await frames_of(socket))
        await socket.aclose(1012, "restart")

    async def run(url: str) -> None:
        async with open_link(url, now_ms) as link:
            await log_in(link)
            for number in range(600):
                link.submit(F.Ack(number, 1))
            await link.run(_ignore)

    async with open_server(serve) as url:
        with pytest.raises(LinkDown, match="restart") as down:
            await run(url)
    assert not down.value.final
    assert [frame.tid for batch in got for frame in batch if isinstance(frame, F.Ack)] == list(range(600))
    assert max(map(len, got)) > 1
    assert all(len(batch) <= limits.BATCH_FRAMES_MAX for batch in got)


async def _ignore(frames: list[F.AnyFrame]) -> None:
    assert frames is not None


async def test_large_frames_do_not_share_a_message() -> None:
    sizes: list[int] = []

    async def serve(socket: WebSocketConnection) -> None:
        await greet(socket)
        await say(socket, OK)
        for _ in range(3):
            sizes.append(len(await socket.get_message()))
        await say(socket, F.Bye(Close.RESTART, "", 0))
        await socket.get_message()

    async def run(url: str) -> None:
        async with open_link(url, now_ms) as link:
            await log_in(link)
            for _ in range(3):
                params = msgspec.Raw(encode_struct(bytes(400_000)))
                link.request(F.Req(0, "blobs.put", params), lambda reply: None)
            bundle = F.Bundle(welcomes=(F.Welcome(ACCOUNT, bytes(1000)),))
            assert connection._size(F.Pub(0, ACCOUNT, b"i" * 16, bundle=bundle)) > 1000
            await link.run(_ignore)

    async with open_server(serve) as url:
        with pytest.raises(LinkDown):
            await run(url)
    assert len(sizes) == 3
    assert all(size < limits.MESSAGE_BYTES_MAX for size in sizes)


async def test_requests_learn_that_the_connection_went() -> None:
    async def serve(socket: WebSocketConnection) -> None:
        await greet(socket)
        await say(socket, OK)
        await socket.get_message()
        await socket.aclose(1001)

    async def run(url: str) -> None:
        async with open_link(url, now_ms) as link:
            await log_in(link)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_down, link)
                with pytest.raises(LinkDown, match="before the answer"):
                    await link.ask("topics.members", None, int)

    async with open_server(serve) as url:
        await run(url)


async def _until_down(link: Link) -> None:
    with pytest.raises(LinkDown):
        await link.run(_ignore)


async def test_silence_is_asked_about_and_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PING_INTERVAL_MS", 20)
    monkeypatch.setattr(limits, "PONG_TIMEOUT_MS", 30)
    heard: list[F.AnyFrame] = []

    async def serve(socket: WebSocketConnection) -> None:
        await greet(socket)
        await say(socket, OK)
        heard.extend(await frames_of(socket))
        await socket.get_message()

    async with open_server(serve) as url:
        with pytest.raises(LinkDown, match="sign of life"):
            await use(url)
    assert isinstance(heard[0], F.Ping)


async def test_a_relay_that_takes_nothing_costs_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "QUEUE_MAX", 2)

    async def serve(socket: WebSocketConnection) -> None:
        await greet(socket)
        await say(socket, OK)
        await socket.get_message()

    async def run(url: str) -> None:
        async with open_link(url, now_ms) as link:
            await log_in(link)
            for offset in range(3):
                link.submit(F.Ack(1, offset))
            assert link.crowded
            assert link.statistics().queued == 2
            await link.run(_ignore)

    async with open_server(serve) as url:
        with pytest.raises(LinkDown, match="takes none"):
            await run(url)
