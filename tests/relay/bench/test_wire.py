"""The bench's own client, against a real relay and against servers that are none."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from protocol import frames as F
from protocol import requests as R
from protocol.codec import encode_struct
from protocol.websocket import frame
from relay import testing
from relay.bench import wire as wire_module
from relay.bench.wire import MSG, Account, BenchFailed, Where, Wire, connect, req
from relay.config import Settings

INFO = F.Info((1,), bytes(16), bytes(32))


@asynccontextmanager
async def served(answer: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[Where]:
    """Any server at all."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        yield Where("127.0.0.1", listener.socket.getsockname()[1], "/ws", False)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def spoken(*frames: F.Frame) -> AsyncIterator[Where]:
    """A server that opens the websocket, says ``frames`` and waits."""
    from protocol.websocket import Accepted, Opening, Policy

    async def answer(stream: trio.SocketStream) -> None:
        opening = Opening(Policy(b"/ws", F.SUBPROTOCOL))
        outcome = None
        while outcome is None:
            outcome = opening.receive(bytes(await stream.receive_some(4096)))
        assert isinstance(outcome, Accepted)
        await stream.send_all(outcome.response() + b"".join(frame(encode_struct(one)) for one in frames))
        await trio.sleep_forever()

    async with served(answer) as where:
        yield where


@asynccontextmanager
async def wired(where: Where) -> AsyncIterator[Wire]:
    """A connection that ends with the block."""
    async with trio.open_nursery() as nursery:
        wire = await connect(nursery, where)
        try:
            yield wire
        finally:
            with trio.CancelScope(shield=True):
                await wire.aclose()


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("ws://127.0.0.1:8790/ws", Where("127.0.0.1", 8790, "/ws", False)),
        ("wss://relay.example", Where("relay.example", 443, "/ws", True)),
        ("ws://relay.example/other", Where("relay.example", 80, "/other", False)),
    ],
)
def test_addresses(url: str, where: Where) -> None:
    assert Where.of(url) == where


@pytest.mark.parametrize("url", ["http://relay.example/ws", "relay.example", "ws://:1/ws", "ws://a:99999/ws", ""])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(BenchFailed, match="no address"):
        Where.of(url)


async def test_register_follow_publish_and_leave() -> None:
    async with (
        testing.open_relay() as relay,
        wired(Where.of(relay.url)) as one,
        wired(Where.of(relay.url)) as two,
    ):
        account = Account(2)
        await one.register(account, None)
        assert await two.login(account, 1)
        with pytest.raises(BenchFailed, match="refused the subscription"):
            await two.follow(bytes(32))
        heard: list[bytes] = []
        two.on_frame = heard.append
        with pytest.raises(BenchFailed, match=r"the relay refused \(404\)"):
            await one.ok(lambda rid: F.Pub(rid, bytes(32), bytes(16), flags=1), F.PubResult)
        await one.aclose()
        with pytest.raises(BenchFailed, match="closed here"):
            await one.ask(lambda rid: F.Unsub(rid, ()))
        assert not [data for data in heard if data[1] == MSG]


async def test_a_relay_that_says_later_is_asked_again(autojump_clock: trio.testing.MockClock) -> None:
    settings = Settings(port=0, ops_port=0, requests_per_s=1, address_share=1000, account_share=1000)
    async with testing.open_relay(settings, plane="trio") as relay, wired(Where.of(relay.url)) as wire:
        autojump_clock.autojump_threshold = 0.05  # the sockets are real
        await wire.register(Account(), None)
        for _ in range(4):
            await wire.ok(lambda rid: req(rid, "topics.list", R.ListTopics()), object)


async def test_a_goodbye_ends_every_wait() -> None:
    async with spoken(INFO, F.Ping(7), F.Bye(4003, "no more", -1)) as where, wired(where) as wire:
        with pytest.raises(BenchFailed, match=r"goodbye \(4003\): no more"):
            await wire.login(Account())
        with pytest.raises(BenchFailed, match="goodbye"):
            await wire.until(trio.Event())


async def test_what_is_no_frame_ends_it_too() -> None:
    async with spoken(INFO, F.Sub(1, ())) as where, wired(where) as wire:
        with pytest.raises(BenchFailed, match="is no frame"):
            await wire.login(Account())


async def test_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "BENCH_WAIT_S", 0.05)
    async with spoken() as where, wired(where) as wire:
        with pytest.raises(BenchFailed, match="sends no INFO"):
            await wire.greeted()
        with pytest.raises(BenchFailed, match="nothing came"):
            await wire.until(trio.Event())


async def test_a_relay_that_puts_off_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async with spoken(INFO, F.Err(1, 429, "later", 60_000)) as where, wired(where) as wire:
        await wire.greeted()
        monkeypatch.setattr(wire_module, "BENCH_WAIT_S", 0.2)
        wire.expect(1, lambda answer: None)
        with pytest.raises(BenchFailed, match=r"put a request off|nothing came"):
            await wire.ok(lambda rid: F.Unsub(rid, ()), object)


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", r"no websocket at /ws \(404\)"),
        (b"SSH-2.0-x\r\n\r\n", "not HTTP"),
        (b"", "closed the connection before"),
    ],
)
async def test_servers_that_are_no_relay(answer: bytes, want: str) -> None:
    async def say(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(4096)
            await stream.send_all(answer)

    async with served(say) as where, trio.open_nursery() as nursery:
        with pytest.raises(BenchFailed, match=want):
            await connect(nursery, where)
        with pytest.raises(BenchFailed, match=r"TLS with 127\.0\.0\.1 failed"):
            await connect(nursery, Where(where.host, where.port, "/ws", True), ssl.create_default_context())


async def test_nobody_listens() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with trio.open_nursery() as nursery:
        with pytest.raises(BenchFailed, match="cannot be reached"):
            await connect(nursery, Where("127.0.0.1", port, "/ws", False))
