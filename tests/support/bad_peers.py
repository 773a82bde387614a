"""Peers that misbehave on the bytes of the wire, each with the answer that is documented for it."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import msgpack
import trio
from trio_websocket import ConnectionClosed

from protocol import frames as F
from protocol.codec import encode_batch
from protocol.errors import Close
from protocol.frames import SUBPROTOCOL
from protocol.limits import WEBSOCKET_FRAGMENTS_MAX as FRAGMENTS_MAX
from relay.demo.processes import RelayProcess
from tests.support.people import Person
from tests.support.wire import Wire, open_wire

WAIT_S = 15.0
Outcome = int | str
Attack = Callable[[str], Awaitable[Outcome]]


def head(host: str, *extra: str, version: str = "13", key: str | None = None, protocol: str = SUBPROTOCOL) -> bytes:
    """A websocket handshake, right but for what is asked."""
    lines = [
        "GET /ws HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode() if key is None else key}",
        f"Sec-WebSocket-Version: {version}", f"Sec-WebSocket-Protocol: {protocol}", *extra, "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode("latin-1")


def ws(opcode: int, payload: bytes, *, fin: bool = True, claim: int | None = None, rsv: int = 0) -> bytes:
    """A masked frame of a client; ``claim`` is the length that it says it has."""
    size = len(payload) if claim is None else claim
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if size < 126:
        start = bytes((first, 0x80 | size))
    elif size < 65536:
        start = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        start = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    return start + bytes(4) + payload


class Raw:
    """A TCP connection to a relay."""

    def __init__(self, stream: trio.SocketStream, host: str) -> None:
        self.stream = stream
        self.host = host
        self.got = b""

    async def send(self, data: bytes) -> None:
        """Send, unless the relay has gone."""
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def handshake(self) -> None:
        """Become a websocket; INFO is left in ``got``."""
        await self.send(head(self.host))
        with trio.fail_after(WAIT_S):
            while b"\r\n\r\n" not in self.got:
                part = await self.stream.receive_some()
                assert part, "the handshake was refused"
                self.got += part
        self.got = self.got.partition(b"\r\n\r\n")[2]

    async def end(self) -> Outcome:
        """Wait for the end or the close frame: the close code, "HTTP" and a status, or "eof"."""
        with trio.fail_after(WAIT_S):
            try:
                while part := await self.stream.receive_some():
                    self.got += part
                    if not self.got.startswith(b"HTTP/1.1 ") and _close_code(self.got) != "eof":
                        break  # that the socket is dropped afterwards is shown in tests/relay/test_listener.py
            except trio.BrokenResourceError:
                pass
        if self.got.startswith(b"HTTP/1.1 "):
            return f"HTTP {self.got[9:12].decode()}"
        return _close_code(self.got)


def _close_code(data: bytes) -> Outcome:
    while len(data) >= 2:
        size, start = data[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        if data[0] == 0x88 and len(data) >= start + 2:
            return int.from_bytes(data[start : start + 2], "big")
        data = data[start + size :]
    return "eof"


async def connect(url: str) -> Raw:
    """A TCP connection."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    return Raw(await trio.open_tcp_stream(parts.hostname, parts.port or 80), parts.netloc)


def http(make: Callable[[str], bytes]) -> Attack:
    """An attack on the handshake."""

    async def attack(url: str) -> Outcome:
        raw = await connect(url)
        async with raw.stream:
            await raw.send(make(raw.host))
            return await raw.end()

    return attack


def framed(*parts: bytes, then_close: bool = False) -> Attack:
    """An attack with websocket frames."""

    async def attack(url: str) -> Outcome:
        raw = await connect(url)
        async with raw.stream:
            await raw.handshake()
            for part in parts:
                await raw.send(part)
            return await raw.end()

    return attack


def logged_in(data: bytes) -> Attack:
    """An attack with one message after a login: the close code, or "ERR" and its code."""

    async def attack(url: str) -> Outcome:
        async with open_wire(url) as wire:
            await wire.register(Person("attacker " + data[:8].hex(), _now()))
            await wire.send_raw(data)
            return await _outcome(wire)

    return attack


def _now() -> int:
    return time.time_ns() // 1_000_000


async def _outcome(wire: Wire) -> Outcome:
    try:
        while True:
            frame = await wire.receive()
            if isinstance(frame, F.Err):
                return f"ERR {frame.code}"
    except ConnectionClosed as closed:
        return closed.reason.code if closed.reason else 1006


async def replayed_login(url: str) -> Outcome:
    """A login that was proven on one connection is shown on another."""
    async with open_wire(url) as one, open_wire(url) as other:
        person = Person("replayed", _now())
        proof = person.connect(await one.expect(F.Info))
        await other.expect(F.Info)
        await other.send(proof)
        bye, _ = await other.end()
        return bye.code if bye else "no BYE"


async def small_order(url: str) -> Outcome:
    """A device key of small order, under which anything verifies."""
    key = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
    async with open_wire(url) as wire:
        info = await wire.expect(F.Info)
        await wire.send(Person("small", _now()).connect(info, device=key, signature=bytes(64)))
        bye, _ = await wire.end()
        return bye.code if bye else "no BYE"


async def cross_protocol(url: str) -> Outcome:
    """A signature of the device over something that is no login."""
    async with open_wire(url) as wire:
        person = Person("cross", _now())
        info = await wire.expect(F.Info)
        signature = person.key.sign(b"chappe/v1/another purpose\0", info.nonce)
        await wire.send(person.connect(info, signature=signature))
        bye, _ = await wire.end()
        return bye.code if bye else "no BYE"


async def flooding(url: str) -> Outcome:
    """Frames that nothing answers, as fast as they go, and no stop."""
    async with open_wire(url) as wire, trio.open_nursery() as nursery:
        await wire.register(Person("flooding", _now()))
        nursery.start_soon(_send_for_ever, wire)
        with trio.fail_after(WAIT_S):
            bye, _ = await wire.end()
        nursery.cancel_scope.cancel()
    return bye.code if bye else "no BYE"


async def _send_for_ever(wire: Wire) -> None:
    data = encode_batch([F.Ack(1, 1) for _ in range(256)])
    try:
        while True:
            await wire.send_raw(data)
    except ConnectionClosed:
        return


async def counters(relay: RelayProcess) -> dict[str, float]:
    """All samples of /metrics; those with labels are summed under their name and kept under name{labels}."""
    stream = await trio.open_tcp_stream("127.0.0.1", relay.ops_port)
    async with stream:
        await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        text = b"".join([part async for part in stream]).partition(b"\r\n\r\n")[2].decode()
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
            plain = name.partition("{")[0]
            if plain != name:
                found[plain] = found.get(plain, 0.0) + float(value)
    return found


def _deep(depth: int) -> bytes:
    return b"\x91" * depth + b"\x01"


SMUGGLED = b"POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"
REFUSALS = 'chappe_refusals_total{reason="%s"}'
CLOSES, ERRORS, HANDSHAKES = "chappe_closes_total", "chappe_errors_total", "chappe_refused_handshakes_total"
CLASSES: dict[str, tuple[Attack, tuple[Outcome, ...], str | None]] = {
    "handshake smuggled behind another": (
        http(lambda h: SMUGGLED + head(h)),
        ("HTTP 400", "HTTP 405", "HTTP 404", "HTTP 426"), HANDSHAKES,
    ),
    "oversized headers": (http(lambda h: head(h, "Cookie: " + "x" * 20_000)), ("HTTP 431",), REFUSALS % "oversize"),
    "endless headers": (
        http(lambda h: head(h)[:-2] + b"X: " + b"y" * 200_000), ("HTTP 431",), REFUSALS % "oversize",
    ),
    "a malformed key": (http(lambda h: head(h, key="short")), ("HTTP 400",), HANDSHAKES),
    "another origin": (http(lambda h: head(h, "Origin: https://evil.example")), ("HTTP 403",), HANDSHAKES),
    "no subprotocol": (http(lambda h: head(h, protocol="other")), ("HTTP 400",), HANDSHAKES),
    "a handshake that stops": (http(lambda h: head(h)[:-10]), ("HTTP 408",), HANDSHAKES),
    "a length that lies": (framed(ws(2, b"x", claim=1 << 40)), (1009,), REFUSALS % "oversize"),
    "a frame that stops": (framed(ws(2, b"x", claim=1000)), (int(Close.PARTIAL),), REFUSALS % "partial"),
    "endless fragments": (
        framed(ws(2, b"", fin=False), *[ws(0, b"", fin=False)] * (FRAGMENTS_MAX + 1)), (1009,), REFUSALS % "oversize",
    ),
    "text": (framed(ws(1, b"hello")), (1003,), CLOSES),
    "text that is no UTF-8": (framed(ws(1, b"\xff\xfe")), (1007,), None),
    "a long ping": (framed(ws(9, b"x" * 126)), (1002,), None),
    "a fragmented ping": (framed(ws(9, b"x", fin=False)), (1002,), None),
    "a reserved opcode": (framed(ws(3, b"x")), (1002,), None),
    "a compressed frame": (framed(ws(2, b"x", rsv=4)), (1002,), None),
    "a close with half a code": (framed(ws(8, b"\x03")), (1002,), None),
    "a frame without a mask": (framed(b"\x82\x01x"), (1002,), None),
    "a message before the login": (framed(ws(2, msgpack.packb([14, 1, 1]))), (int(Close.PROTOCOL),), CLOSES),
    "a login that is too large": (framed(ws(2, bytes(5000))), (int(Close.TOO_LARGE),), CLOSES),
    "deep MessagePack": (logged_in(_deep(20_000)), (int(Close.PROTOCOL),), CLOSES),
    "a MessagePack bomb": (logged_in(b"\xdd\xff\xff\xff\xff"), (int(Close.PROTOCOL),), CLOSES),
    "wrong types": (logged_in(msgpack.packb([15, 9, 5, None])), ("ERR 400",), ERRORS),
    "NaN": (logged_in(msgpack.packb([14, float("nan"), 1])), (int(Close.PROTOCOL),), CLOSES),
    "an integer of 64 bits": (
        logged_in(msgpack.packb([15, 2**63, "topics.heads", [[]]])), (int(Close.PROTOCOL),), CLOSES,
    ),
    "duplicate keys": (logged_in(b"\x93\x0f\x09\x82\xa1a\x01\xa1a\x02"), ("ERR 400",), ERRORS),
    "a name with CR, LF and ANSI": (logged_in(msgpack.packb([15, 9, "a\r\n\x1b[31mb", None])), ("ERR 405",), ERRORS),
    "an unknown frame": (logged_in(msgpack.packb([63, 1])), (int(Close.PROTOCOL),), CLOSES),
    "a login replayed": (replayed_login, (int(Close.LOGIN_FAILED),), "chappe_failed_logins_total"),
    "a key of small order": (small_order, (int(Close.LOGIN_FAILED),), "chappe_failed_logins_total"),
    "a signature of something else": (cross_protocol, (int(Close.LOGIN_FAILED),), "chappe_failed_logins_total"),
    "a flood": (flooding, (int(Close.FLOOD),), REFUSALS % "flood"),
}  # fmt: skip
