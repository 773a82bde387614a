"""The plane: turns, fairness, what it survives, and sockets that leave it."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

import pytest
import trio
import trio.testing

from protocol.websocket import frame
from relay import bounds as B
from relay.dataplane.driver import Stage
from relay.dataplane.plane import Plane
from tests.support.certificates import certificate
from tests.support.fronts import Socket, bench, everything, head
from tests.support.waiting import until


class Hello:
    """A service of HTTP that says what it was given."""

    def wants(self, head: bytes) -> bool:
        """Everything under /hello."""
        return head.startswith(b"GET /hello")

    async def serve(self, stream: trio.abc.Stream, head: bytes) -> None:
        """One answer, once the client has sent a line more."""
        await stream.send_all(b"what else?\n")
        more = bytes(await stream.receive_some())
        await stream.send_all(head.partition(b"\r")[0] + b" and " + more)


async def test_a_service_takes_a_socket_over() -> None:
    async with bench("epoll", http=Hello(), connections_max=1) as b:
        stream = await b.tcp()
        await stream.send_all(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert bytes(await stream.receive_some()) == b"what else?\n"
        assert b.front.statistics().connections == 1
        assert (await everything(await b.tcp())).startswith(b"HTTP/1.1 503 ")  # it still counts
        await stream.send_all(b"more")
        assert await everything(stream) == b"GET /hello HTTP/1.1 and more"
        await until(lambda: b.front.statistics().connections == 0)
        assert b.front.statistics().addresses == 0


async def test_a_service_takes_a_secure_socket_over(tmp_path: Path) -> None:
    cert_file, key_file = certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert_file, key_file)
    client = ssl.create_default_context(cafile=str(cert_file))
    async with bench("epoll", http=Hello(), tls=server) as b:
        stream = trio.SSLStream(await b.tcp(), client, server_hostname="127.0.0.1", https_compatible=True)
        await stream.send_all(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert bytes(await stream.receive_some()) == b"what else?\n"
        await stream.send_all(b"more")
        assert await everything(stream) == b"GET /hello HTTP/1.1 and more"


async def test_other_requests_are_told_where_the_websocket_is() -> None:
    async with bench("epoll", http=Hello()) as b:
        for target, status in ((b"/ws?x", b"426"), (b"/other", b"404")):
            stream = await b.tcp()
            await stream.send_all(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = await everything(stream)
            assert answer.startswith(b"HTTP/1.1 " + status)
            assert b"websocket" in answer


async def test_a_bug_ends_one_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    async with bench("epoll") as b:
        good, bad = await b.websocket(), await b.websocket()
        with caplog.at_level(logging.ERROR, "chappe.relay"):
            await bad.send(b"fail")
            assert (await bad.end())[0] == []
        await good.send(b"fine")
        assert await good.receive() == b"fine"
        assert b.counters.failures == 1
        assert "told to" in caplog.text


async def test_a_bug_in_what_was_put_off(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    def fail() -> None:
        raise RuntimeError("put off")

    async with bench("epoll") as b:
        with caplog.at_level(logging.ERROR, "chappe.relay"):
            for do in (fail, lambda: done.append(1), fail, lambda: done.append(2)):
                b.plane.later(do)
            await until(lambda: done == [1, 2])
        assert b.counters.failures == 2


async def test_a_fan_out_waits_for_its_turn_and_an_answer_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(B, "SLICE", 2)
    async with bench("epoll") as b:
        sockets = [await b.websocket() for _ in range(7)]
        peers = list(b.plane._peers.values())
        turns = b.plane.statistics().turns
        for peer in peers:
            peer.send_shared_nowait(frame(b"all"))
        assert b.plane.statistics().bulk == 7
        peers[-1].send_nowait(b"you")  # takes what waits for it along
        assert await sockets[-1].receive() == b"all"
        assert await sockets[-1].receive() == b"you"
        for socket in sockets[:-1]:
            assert await socket.receive() == b"all"
        assert b.plane.statistics().turns - turns >= 3
        assert b.plane.statistics().bulk == 0


async def test_certificates_are_replaced_while_it_serves(tmp_path: Path) -> None:
    contexts = []
    for name in ("old", "new"):
        folder = tmp_path / name
        folder.mkdir()
        cert_file, key_file = certificate(folder)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(cert_file, key_file)
        contexts.append((server, ssl.create_default_context(cafile=str(cert_file))))
    (old, trusts_old), (new, trusts_new) = contexts
    async with bench("epoll", tls=old) as b:
        first = await Socket.open(trio.SSLStream(await b.tcp(), trusts_old, server_hostname="127.0.0.1"))
        b.front.tls = new
        second = await Socket.open(trio.SSLStream(await b.tcp(), trusts_new, server_hostname="127.0.0.1"))
        for socket in (first, second):
            await socket.send(b"secure")
            assert await socket.receive() == b"secure"
        b.pass_ms(1)
        strangers = trio.SSLStream(await b.tcp(), trusts_old, server_hostname="127.0.0.1")
        with pytest.raises(trio.BrokenResourceError):
            await strangers.do_handshake()
        await trio.aclose_forcefully(strangers)
        await until(lambda: b.front.statistics().connections == 2)
        assert b.counters.refused_handshakes == 1


async def test_a_tls_handshake_that_does_not_come(tmp_path: Path) -> None:
    cert_file, key_file = certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert_file, key_file)
    async with bench("epoll", tls=server, handshake_ms=1000, connections_max=1) as b:
        stream = await b.tcp()
        await until(lambda: len(b.plane._peers) == 1)
        (peer,) = b.plane._peers.values()
        assert peer.stage is Stage.HANDSHAKE
        assert await everything(await b.tcp()) == b""  # full: nothing can be said before TLS
        b.pass_ms(1000)
        assert await everything(stream) == b""
        assert b.counters.refused_handshakes == 2


async def test_everything_is_closed_at_the_end() -> None:
    async with bench("epoll") as b:
        socket = await b.websocket()
        plane: Plane = b.plane
        await socket.send(b"x")
        assert await socket.receive() == b"x"
        spare, bell = plane._acceptor._spare, plane._bell
    assert not plane._peers
    assert b.handlers[0].events == [b"x", "closed"]
    for descriptor in (spare, bell):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


async def test_a_head_in_pieces() -> None:
    async with bench("epoll") as b:
        stream = await b.tcp()
        for piece in (head()[:7], head()[7:50], head()[50:]):
            await stream.send_all(piece)
            await trio.testing.wait_all_tasks_blocked()
        assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 101 ")


async def test_a_bug_in_the_end_of_a_pause(caplog: pytest.LogCaptureFixture) -> None:
    async with bench("epoll") as b:
        good, bad = await b.websocket(), await b.websocket()
        peer = list(b.plane._peers.values())[-1]
        peer.pause_nowait(10)
        with caplog.at_level(logging.ERROR, "chappe.relay"):
            await bad.send(b"fail")
            await trio.testing.wait_all_tasks_blocked()
            b.now_ms += 10
            b.plane.turn()
            b.plane.turn()
            await until(lambda: b.counters.failures == 1)
        await good.send(b"fine")
        assert await good.receive() == b"fine"


async def test_a_turn_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench("epoll") as b:
        sockets = [await b.websocket() for _ in range(5)]
        monkeypatch.setattr(B, "TURN_MS", -1000)  # always over: one turn serves nobody, and nobody is lost
        for socket in sockets:
            await socket.send(b"x")
        for _ in range(50):
            await trio.lowlevel.checkpoint()
        assert [handler.events for handler in b.handlers] == [[]] * 5
        monkeypatch.undo()
        for socket in sockets:
            assert await socket.receive() == b"x"


async def test_what_tls_holds_back_is_read_in_the_next_turns(tmp_path: Path) -> None:
    cert_file, key_file = certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert_file, key_file)
    client = ssl.create_default_context(cafile=str(cert_file))
    async with bench("epoll", tls=server) as b:
        stream = trio.SSLStream(await b.tcp(), client, server_hostname="127.0.0.1", https_compatible=True)
        socket = await Socket.open(stream)
        await socket.send(b"login")
        await socket.send(bytes(200_000))  # a dozen records, more than one read takes
        assert await socket.receive() == bytes(200_000)
        await trio.aclose_forcefully(stream)
        await until(lambda: b.front.statistics().connections == 0)


async def test_without_tls_words_at_the_tls_port_end_the_connection(tmp_path: Path) -> None:
    cert_file, key_file = certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert_file, key_file)
    async with bench("epoll", tls=server) as b:
        plain = await b.tcp()
        await plain.send_all(head())
        assert b"101" not in await everything(plain)
        await until(lambda: b.counters.refused_handshakes == 1)
