"""A relay over real sockets and SQLite, spoken to in frames: good and bad input, slow readers, TLS, draining."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio_websocket import ConnectionClosed, wrap_client_stream

from protocol import frames as F
from protocol import limits as L
from protocol import requests as R
from protocol.codec import decode_struct, encode_struct
from relay.listener import PATH
from relay.testing import TestRelay, open_relay, small
from tests.support.certificates import certificate
from tests.support.people import Person, group, message
from tests.support.waiting import until
from tests.support.wire import Wire, open_wire


@pytest.mark.parametrize("durable", [False, True])
async def test_two_people_talk(tmp_path: Path, durable: bool) -> None:
    async with open_relay(data=tmp_path if durable else None) as relay:
        now_ms = relay.clock_ms()
        alice, bob = Person("alice", now_ms), Person("bob", now_ms)
        async with open_wire(relay.url) as a, open_wire(relay.url) as b:
            await a.register(alice)
            await b.register(bob)
            founding = group(alice, bob)
            topic = founding.topic
            assert (await a.ok(founding, F.PubResult)).offset == 1
            (at_b,) = await b.subscribe(F.Subscription(topic, last=0))
            assert (at_b.head, at_b.group, at_b.fence) == (1, 1, 1)
            assert (await b.expect(F.Msg)).body == b"commit"
            assert (await b.expect(F.Live)).offset == 1
            for number in range(2, 12):
                result = await a.ok(message(alice, topic, b"%d" % number), F.PubResult)
                assert result.offset == number
                heard = await b.expect(F.Msg)
                assert (heard.tid, heard.offset, heard.body) == (at_b.tid, number, b"%d" % number)
                assert (heard.account, heard.device) == (alice.account, alice.device)
        async with open_wire(relay.url) as b:
            assert (await b.login(bob)).registered
            await b.subscribe(F.Subscription(topic, start=(1, 6)))
            assert [(await b.expect(F.Msg)).offset for _ in range(5)] == [7, 8, 9, 10, 11]
            assert (await b.expect(F.Live)).offset == 11
            assert await b.request("topics.members", R.GetMembers(topic), list[tuple[bytes, int]])


async def talking(relay: TestRelay, a: Wire) -> tuple[Person, bytes]:
    """Somebody with a group of their own."""
    alice = Person("alice", relay.clock_ms())
    await a.register(alice)
    founding = group(alice)
    await a.ok(founding, F.PubResult)
    return alice, founding.topic


async def answers(relay: TestRelay) -> None:
    """The relay still serves."""
    async with open_wire(relay.url) as wire:
        await wire.login(Person("somebody", relay.clock_ms()))


GARBAGE = [
    b"", b"\x00" * 100, b"GET / HTTP/1.1\r\n\r\n", b"GET /ws HTTP/1.1\r\n" + b"A: b\r\n" * 5000, os.urandom(5000),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"POST /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /ws",
]  # fmt: skip


async def test_garbage_instead_of_websockets() -> None:
    async with open_relay(small(handshake_ms=300)) as relay:
        host, _, port = relay.node.address.partition(":")
        for garbage in GARBAGE:
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                with trio.fail_after(5):
                    try:
                        await stream.send_all(garbage)
                        answer = b"".join([bytes(chunk) async for chunk in stream])
                    except trio.BrokenResourceError:
                        continue
                assert b"101" not in answer[:20]
        await answers(relay)
        assert relay.node.counters.refused_handshakes == len(GARBAGE)
        assert relay.node.counters.failures == 0


BAD_MESSAGES: list[tuple[bytes | str, int, int]] = [  # message, code of BYE, close code
    ("text", 4500, 1003),
    (b"", 4500, 4500),
    (b"\xc1", 4500, 4500),
    (b"\x91" * 3000 + b"\xc0", 4500, 4500),
    (b"\xdd\xff\xff\xff\xff", 4500, 4500),
    (encode_struct((40,)), 4500, 4500),
    (encode_struct(F.Sub(1, ())), 4500, 4500),
    (bytes(L.LOGIN_BYTES_MAX + 1), 4506, 4506),
]


@pytest.mark.parametrize(("data", "bye", "close"), BAD_MESSAGES)
async def test_bad_messages_before_the_login(data: bytes | str, bye: int, close: int) -> None:
    async with open_relay() as relay:
        async with open_wire(relay.url) as wire:
            await wire.receive()
            await wire.send_raw(data)
            said, code = await wire.end()
        assert said is not None
        assert (said.code, code) == (bye, close)
        assert said.text
        await answers(relay)


@asynccontextmanager
async def open_narrow(relay: TestRelay) -> AsyncIterator[Wire]:
    """A client whose kernel takes little at once."""
    host, _, port = relay.node.address.partition(":")
    end = trio.socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    await end.connect((host, int(port)))
    async with trio.SocketStream(end) as stream, trio.open_nursery() as nursery:
        yield Wire(await wrap_client_stream(nursery, stream, relay.node.address, PATH, subprotocols=[F.SUBPROTOCOL]))
        nursery.cancel_scope.cancel()


async def test_a_client_that_never_reads(tmp_path: Path) -> None:
    bound, sent = 1 << 16, 100  # of 64 KiB each: more than the buffers of the kernel hold
    async with open_relay(small(outbound_bytes_max=bound), data=tmp_path) as relay, open_wire(relay.url) as a:
        alice, topic = await talking(relay, a)
        slow = alice.second()
        both = alice.devices(2, slow.device)
        await a.request("devices.publish", R.PublishList(alice.signed(both)), int)
        await a.subscribe(F.Subscription(topic))
        async with open_narrow(relay) as s:
            await s.login(slow)
            await s.subscribe(F.Subscription(topic))
            for _ in range(sent):
                await a.ok(message(alice, topic, bytes(65_536)), F.PubResult)
            assert relay.node.counters.fell_behind == 1
            assert relay.node.statistics().backlog == 1
            assert relay.node.statistics().listener.buffered_bytes < bound + L.CATCHUP_BYTES + 2 * L.BODY_BYTES_MAX
            assert [(await s.expect(F.Msg)).offset for _ in range(sent)] == list(range(2, sent + 2))
            assert (await s.expect(F.Live, lambda live: live.offset > 1)).offset == sent + 1
            await a.ok(message(alice, topic), F.PubResult)
            assert (await s.expect(F.Msg)).offset == sent + 2


async def test_clients_that_vanish_while_they_talk(tmp_path: Path) -> None:
    async with open_relay(data=tmp_path) as relay:
        async with open_wire(relay.url) as a:
            alice, topic = await talking(relay, a)
        for number in range(6):
            async with open_wire(relay.url) as wire:
                await wire.login(alice)
                await wire.send(
                    F.Sub(1, (F.Subscription(topic, last=0),)), *[message(alice, topic) for _ in range(number)]
                )
                await trio.aclose_forcefully(wire.websocket._stream)
        await until(lambda: relay.node.statistics().connections == 0)
        await until(lambda: relay.node.statistics().inflight == 0)
        assert relay.node.statistics().hubs.subscriptions == 0
        assert relay.node.counters.failures == 0
        await answers(relay)


async def test_draining_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged: dict[int, F.PubResult] = {}
    async with open_relay(small(publishes_per_s=100_000), data=tmp_path) as relay, open_wire(relay.url) as a:
        alice, topic = await talking(relay, a)
        rid = 2000

        async def publish() -> None:
            nonlocal rid
            try:
                while True:
                    await a.send(*(message(alice, topic, b"%d" % (rid + n), rid=rid + n) for n in range(20)))
                    rid += 20
            except ConnectionClosed:
                return

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            while len([frame for frame in a.heard if isinstance(frame, F.Ok)]) < 200:
                await a.receive()
            nursery.start_soon(relay.node.drain)
            bye, code = await a.end()
        assert bye is not None
        assert (bye.code, code) == (4000, 1012)
        for frame in a.heard:
            if isinstance(frame, F.Ok) and frame.rid >= 2000:
                acknowledged[frame.rid] = decode_struct(frame.result, F.PubResult)
    assert len(acknowledged) >= 190
    async with open_relay(data=tmp_path) as relay, open_wire(relay.url) as a:
        await a.login(alice)
        await a.subscribe(F.Subscription(topic, last=0))
        live = await a.expect(F.Live)
        stored = {frame.offset: frame.body for frame in a.heard if isinstance(frame, F.Msg)}
    assert sorted(stored) == list(range(1, live.offset + 1))
    for number, result in acknowledged.items():
        assert stored[result.offset] == b"%d" % number


async def test_over_tls(tmp_path: Path) -> None:
    cert_file, key_file = certificate(tmp_path)
    async with open_relay(small(tls_certificate=str(cert_file), tls_key=str(key_file))) as relay:
        assert relay.url.startswith("wss://")
        context = ssl.create_default_context(cafile=str(cert_file))
        async with open_wire(relay.url, ssl_context=context) as wire:
            alice, topic = await talking(relay, wire)
            await wire.subscribe(F.Subscription(topic))
            await wire.ok(message(alice, topic, bytes(70_000)), F.PubResult)
            assert (await wire.expect(F.Msg)).body == bytes(70_000)


async def test_who_was_cut_off_for_flooding_is_not_let_in_at_once() -> None:
    async with open_relay(small(publishes_per_s=1)) as relay:
        async with open_wire(relay.url) as wire:
            flood = Person("flood", relay.clock_ms())
            await wire.register(flood)
            relay.node.relay.rules.cut_off(flood.device, relay.node.relay.tick_ms())
        async with open_wire(relay.url) as again:
            await again.send(flood.connect(await again.expect(F.Info)))
            bye, code = await again.end()
        assert bye is not None
        assert bye.code == code == 4007
        assert bye.reconnect_ms == L.FLOOD_RECONNECT_MS
