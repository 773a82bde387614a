"""The link to Redis: greetings, loss, bounds. ``tests/contracts/test_broker.py`` has what every broker promises."""

from __future__ import annotations

import logging

import hiredis
import pytest
import trio
import trio.testing

from relay.broker import redis as module
from relay.broker.base import BrokerAway
from relay.broker.redis import Address, RedisBroker, open_redis, parse_url
from relay.config import ConfigError
from tests.support.servers import RedisServer, free_port
from tests.support.waiting import until


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", Address("h", 6379, 0, False, ())),
        ("redis://h:1/2", Address("h", 1, 2, False, (("SELECT", "2"),))),
        ("rediss://:p%40ss@h", Address("h", 6379, 0, True, (("AUTH", "p@ss"),))),
        ("redis://u:p@h/0", Address("h", 6379, 0, False, (("AUTH", "u", "p"),))),
    ],
)
def test_urls(url: str, expected: Address) -> None:
    assert parse_url(url) == expected
    assert "p@ss" not in repr(parse_url(url))


@pytest.mark.parametrize("url", ["http://h", "redis://", "redis://h:x", "redis://h/x", "redis://h:99999", ""])
def test_bad_urls(url: str) -> None:
    with pytest.raises(ConfigError, match="redis"):
        parse_url(url)


async def test_a_redis_that_dies_and_comes_back(redis_server: RedisServer) -> None:
    heard: list[bytes] = []
    missed: list[int] = []
    async with (
        open_redis(redis_server.url, lambda channel, data: heard.append(data), lambda: missed.append(1)) as one,
        open_redis(redis_server.url, lambda channel, data: None, lambda: None) as other,
    ):
        await until(lambda: one.statistics().connected and other.statistics().connected)
        for number in range(5):
            one.listen_nowait(b"%d" % number)
        await one.listening()
        other.announce_nowait(b"3", b"before")
        await until(lambda: heard == [b"before"])
        redis_server.kill()
        await until(lambda: not one.statistics().connected and not other.statistics().connected)
        with pytest.raises(BrokerAway):
            await one.listening()
        one.listen_nowait(b"later")
        one.ignore_nowait(b"0")
        other.announce_nowait(b"3", b"lost")
        assert other.statistics().dropped == 1
        redis_server.start()
        await until(lambda: one.statistics().connected and other.statistics().connected)
        await one.listening()
        assert missed == [1]
        other.announce_nowait(b"later", b"after")
        await until(lambda: heard == [b"before", b"after"])


async def test_without_redis_a_relay_starts_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    with caplog.at_level(logging.WARNING):
        async with open_redis(url, lambda channel, data: None, lambda: None) as broker:
            broker.announce_nowait(b"c", b"x")
            broker.listen_nowait(b"c")
            with pytest.raises(BrokerAway):
                await broker.listening()
            await until(lambda: sum("redis-away" in record.getMessage() for record in caplog.records) >= 3)
            assert not broker.statistics().connected


async def test_a_queue_that_is_full_drops(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_redis(redis_server.url, lambda channel, data: None, lambda: None) as broker:
        await until(lambda: broker.statistics().connected)
        monkeypatch.setattr(module, "ANNOUNCE_BYTES_MAX", 1000)
        for _ in range(10):
            broker.announce_nowait(b"c", bytes(400))
        now = broker.statistics()
        assert now.announced < 5
        assert now.dropped == 10 - now.announced
        await until(lambda: broker.statistics().queued_bytes == 0)
        broker.announce_nowait(b"c", bytes(400))
        assert broker.statistics().announced == now.announced + 1


async def test_resubscribing_to_nothing_is_a_miss_too(redis_server: RedisServer) -> None:
    missed: list[int] = []
    async with open_redis(redis_server.url, lambda channel, data: None, lambda: missed.append(1)) as broker:
        await until(lambda: broker.statistics().connected)
        assert missed == []
        redis_server.kill()
        redis_server.start()
        await until(lambda: bool(missed))


# -- a Redis that misbehaves ------------------------------------------------------------------------------------------
class Double:
    """A server of ours in Redis' place: says what it is told."""

    def __init__(self, *replies: bytes) -> None:
        self.replies = list(replies)
        self.heard = b""
        self.connections = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection: a reply for each thing heard, then the end."""
        self.connections += 1
        async with stream:
            for reply in self.replies:
                data = bytes(await stream.receive_some())
                self.heard += data
                if not data or not reply:
                    return
                await stream.send_all(reply)
            async for rest in stream:
                self.heard += bytes(rest)


async def linked(nursery: trio.Nursery, double: Double, url: str = "redis://u:pw@127.0.0.1:{}/3") -> RedisBroker:
    """A broker whose publishing link runs against a double."""
    listeners = await nursery.start(trio.serve_tcp, double.serve, 0)
    port = listeners[0].socket.getsockname()[1]
    broker = RedisBroker(parse_url(url.format(port)), lambda channel, data: None, lambda: None, b"")
    nursery.start_soon(broker.publisher.run)
    return broker


async def test_the_greeting_is_said_and_its_refusal_is_not_ignored(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    double = Double(b"-WRONGPASS no\r\n")
    broker = await linked(nursery, double)
    with caplog.at_level(logging.WARNING):
        await until(lambda: double.connections >= 2)
    assert not broker.publisher.is_up
    assert any("Redis refused AUTH" in record.getMessage() for record in caplog.records)
    assert b"AUTH" in double.heard
    assert not any("pw" in record.getMessage() for record in caplog.records)


async def test_a_connection_that_closes_during_the_greeting(nursery: trio.Nursery) -> None:
    double = Double(b"")
    broker = await linked(nursery, double)
    await until(lambda: double.connections >= 2)
    assert not broker.publisher.is_up


async def test_answers_are_counted_never_matched(nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    double = Double(b"+OK\r\n", b"+OK\r\n", b":1\r\n-NOPERM no\r\n:3\r\n")
    broker = await linked(nursery, double)
    await until(lambda: broker.publisher.is_up)
    with caplog.at_level(logging.WARNING):
        broker.announce_nowait(b"c", b"x")
        await until(lambda: broker.statistics().dropped == 1)
    assert any("NOPERM" in record.getMessage() for record in caplog.records)
    assert broker.publisher.is_up


async def test_what_is_no_redis_is_left(nursery: trio.Nursery) -> None:
    double = Double(b"+OK\r\n", b"+OK\r\n", b"HTTP/1.1 400 Bad Request\r\n")
    broker = await linked(nursery, double)
    await until(lambda: broker.publisher.is_up)
    broker.announce_nowait(b"c", b"x")
    await until(lambda: double.connections >= 2)


async def test_silence_is_asked_and_then_left(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_S", 0.02)
    double = Double(b"+OK\r\n", b"+OK\r\n")
    await linked(nursery, double)
    await until(lambda: double.connections >= 2)
    assert b"PING" in double.heard


def test_replies_of_other_kinds_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    broker = RedisBroker(parse_url("redis://h"), lambda channel, data: None, lambda: None, b"")
    with caplog.at_level(logging.WARNING):
        for reply in ([b"pong", b""], b"PONG", None, [], 7, hiredis.ReplyError("NOPERM")):
            broker._receive(reply)
    assert broker.statistics().heard == 0
    assert len(caplog.records) == 1
