"""What both planes promise to the relay's logic and to clients, checked on each over real sockets: ``relay.seam``."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio

from protocol import limits as L
from relay import bounds as B
from tests.support.certificates import certificate
from tests.support.fronts import PLANES, Socket, bench, everything, head
from tests.support.rfc6455 import ALL, Case, client_frame, outcome_of, verdict
from tests.support.rfc6455.case import TEXT
from tests.support.waiting import until


@pytest.fixture(params=PLANES)
def kind(request: pytest.FixtureRequest) -> str:
    """One of the planes."""
    name: str = request.param
    return name


async def test_messages_both_ways(kind: str) -> None:
    async with bench(kind) as b:
        socket = await b.websocket()
        for data in (b"", b"x", bytes(125), bytes(126), bytes(60_000)):
            await socket.send(data)
            assert await socket.receive() == data
        await socket.send(b"login")
        await socket.send(b"decided")
        assert await socket.receive() == b"decided"
        await socket.send(bytes(L.MESSAGE_BYTES_MAX))
        assert await socket.receive() == bytes(L.MESSAGE_BYTES_MAX)
        assert b.front.statistics().connections == 1
        assert b.front.statistics().addresses == 1


async def test_messages_that_come_with_the_handshake() -> None:
    async with bench("epoll") as b:  # wsproto drops them; a client has to wait for the answer (RFC 6455, section 4.1)
        stream = await b.tcp()
        await stream.send_all(head() + client_frame(2, b"at once"))
        answer = bytes(await stream.receive_some())
        while b"at once" not in answer:
            answer += bytes(await stream.receive_some())
        assert answer.startswith(b"HTTP/1.1 101 ")


async def test_the_relay_closes(kind: str) -> None:
    async with bench(kind) as b:
        socket = await b.websocket()
        await socket.send(b"close")
        assert await socket.end() == ([b"goodbye"], 4002)
        await until(lambda: b.handlers[0].events == [b"close", "closed"])
        assert b.front.statistics().connections == 0


async def test_the_client_closes(kind: str) -> None:
    async with bench(kind) as b:
        socket = await b.websocket()
        socket.client.close(1000, "bye")
        await socket.stream.send_all(socket.client.outgoing())
        assert await socket.end() == ([], 1000)
        await until(lambda: b.handlers[0].events == ["closed"])


async def test_the_client_vanishes(kind: str) -> None:
    async with bench(kind) as b:
        socket = await b.websocket()
        await trio.aclose_forcefully(socket.stream)
        await until(lambda: b.handlers[0].events == ["closed"])
        await until(lambda: b.front.statistics().connections == 0)
        assert b.front.statistics().addresses == 0


async def test_a_text_is_refused(kind: str) -> None:
    async with bench(kind) as b:
        socket = await b.websocket()
        await socket.stream.send_all(client_frame(TEXT, b"words"))
        assert await socket.end() == ([], 1003)
        await until(lambda: b.handlers[0].events == ["text", "closed"])


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\xc2\x81\0\0\0\0x", 1002),  # a reserved bit
        (b"\x83\x81\0\0\0\0x", 1002),  # a reserved opcode
        (b"\x89\xfe\0\x7e" + bytes(130), 1002),  # a ping of 126 octets
        (b"\x80\x81\0\0\0\0x", 1002),  # a continuation of nothing
        (client_frame(8, b"\x03\xed"), 1002),  # 1005 in a close frame
        (client_frame(TEXT, b"\xff"), 1007),
        (b"\x82\xff" + (L.MESSAGE_BYTES_MAX + 1).to_bytes(8, "big") + bytes(4), 1009),  # before any of it came
    ],
    ids=["reserved bit", "reserved opcode", "long ping", "continuation", "close code", "utf-8", "length"],
)
async def test_what_the_rfc_forbids_is_answered_with_its_code(
    kind: str, frame: bytes, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(B, "CLOSE_MS", 50)  # trio-websocket does not hear the answer to its close frame
    async with bench(kind) as b:
        socket = await b.websocket()
        await socket.stream.send_all(frame)
        assert (await socket.end())[1] == code
        await until(lambda: b.handlers[0].events[-1:] == ["closed"])


async def test_before_the_login_less_is_taken(kind: str) -> None:
    async with bench(kind) as b:
        socket = await b.websocket()
        await socket.stream.send_all(b"\x82\xff" + (L.LOGIN_BUFFER_BYTES_MAX + 1).to_bytes(8, "big") + bytes(4))
        assert (await socket.end())[1] == 1009


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"40"),
        (head(Sec_WebSocket_Version="12"), b"426"),
        (head(Sec_WebSocket_Key="short"), b"400"),
        (head("/elsewhere"), b"404"),
        (head(Sec_WebSocket_Protocol="chat"), b"400"),
        (head(Origin="https://elsewhere.example"), b"403"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /ws HTTP/1.1\r\nHost: x\r\nX: " + bytes([65]) * B.HANDSHAKE_BYTES_MAX * 2, b"431"),
    ],
    ids=["plain", "version", "key", "path", "subprotocol", "origin", "nonsense", "large"],
)
async def test_a_request_that_opens_no_websocket(kind: str, request_: bytes, status: bytes) -> None:
    async with bench(kind) as b:
        stream = await b.tcp()
        await stream.send_all(request_)
        assert (await everything(stream)).startswith(b"HTTP/1.1 " + status)
        await until(lambda: b.counters.refused_handshakes == 1)
        assert not b.handlers


async def test_origins_that_may(kind: str) -> None:
    async with bench(kind, origins=("https://a.example",)) as b:
        for origin in ("https://a.example", "http://relay.example"):
            stream = await b.tcp()
            await stream.send_all(head(Origin=origin))
            assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 101 ")


async def test_too_many(kind: str) -> None:
    async with bench(kind, connections_per_address_max=2) as b:
        first, _ = await b.websocket(), await b.websocket()
        assert (await everything(await b.tcp())).startswith(b"HTTP/1.1 503 ")
        await trio.aclose_forcefully(first.stream)
        await until(lambda: b.front.statistics().connections == 1)
        await b.websocket()
    async with bench(kind, may_connect=lambda address, now_ms: False) as b:
        assert (await everything(await b.tcp())).startswith(b"HTTP/1.1 503 ")
        assert b.counters.refusals["address_connects"] == 1


async def test_who_does_not_read_is_not_listened_to_and_hears_everything_later(kind: str) -> None:
    async with bench(kind, outbound_bytes_max=1 << 15) as b:
        socket = await b.websocket(receive_bytes=65536)
        for _ in range(40):
            await socket.send(b"flood 100")  # 4 MB in all: far more than the kernel takes
        await until(lambda: b.front.statistics().buffered_bytes > 1 << 16)
        assert b.handlers[0].events.count(b"flood 100") < 40
        heard = [await socket.receive() for _ in range(4000)]
        assert heard == [bytes(1000)] * 4000
        assert "writable" in b.handlers[0].events


async def test_what_is_shared_keeps_its_place(kind: str) -> None:
    async with bench(kind) as b:
        socket = await b.websocket()
        await socket.send(b"shared")
        assert [await socket.receive(), await socket.receive()] == [b"one", b"two"]


async def test_nobody_new_and_everybody_else_goes_on(kind: str) -> None:
    async with bench(kind) as b:
        socket = await b.websocket()
        b.front.stop_accepting()
        with pytest.raises((OSError, trio.BrokenResourceError)):  # refused, or reset by a listener that closes
            await (await b.tcp()).receive_some()
        await socket.send(b"still here")
        assert await socket.receive() == b"still here"


async def test_later_is_soon(kind: str) -> None:
    done: list[str] = []
    async with bench(kind) as b:
        b.front.later(lambda: done.append("done"))
        await until(lambda: done == ["done"])


async def test_tls(kind: str, tmp_path: Path) -> None:
    cert_file, key_file = certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert_file, key_file)
    client = ssl.create_default_context(cafile=str(cert_file))
    async with bench(kind, tls=server) as b:
        stream = trio.SSLStream(await b.tcp(), client, server_hostname="127.0.0.1", https_compatible=True)
        socket = await Socket.open(stream)
        await socket.send(b"login")
        for data in (b"x", bytes(300_000)):
            await socket.send(data)
            assert await socket.receive() == data
        await socket.stream.send_all(b"".join(socket.client.frame(bytes([n])) for n in range(200)))
        assert [await socket.receive() for _ in range(200)] == [bytes([n]) for n in range(200)]
        await socket.send(b"close")
        assert await socket.end() == ([b"goodbye"], 4002)
        plain = await b.tcp()
        await plain.send_all(head())
        assert b"101" not in await everything(plain)


def _is_binary(case: Case) -> bool:
    return all(opcode != TEXT for opcode, _ in case.echoes) and not case.id.startswith(("6.", "5.19", "5.20"))


BINARY = [case for case in ALL.values() if _is_binary(case) and not case.id.startswith("9.")]


async def test_rfc6455_cases_over_sockets() -> None:
    async with bench("epoll") as b:
        wrong = []
        for case in BINARY:
            stream = await b.tcp()
            await stream.send_all(head() + client_frame(2, b"login"))
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += bytes(await stream.receive_some())
            for chunk in case.sent:
                try:
                    await stream.send_all(chunk)
                except trio.BrokenResourceError:
                    break
            found = outcome_of(answer.partition(b"\r\n\r\n")[2] + await everything(stream))
            why = verdict(case, found)
            # A text is no message here: it is refused with 1003, so what the case would see next does not come.
            if why is not None and found.closes != (1003,):
                wrong.append((case.id, why))
        assert wrong == []
        assert len(BINARY) > 70
