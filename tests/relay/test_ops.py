"""Health and metrics over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from relay.broker.memory import Bus
from relay.node import Node, open_node
from relay.ops import answer, readiness, serve_request
from relay.testing import small
from storage.memory import MemoryStore


@asynccontextmanager
async def node() -> AsyncIterator[Node]:
    """A node that listens to nobody."""
    store = MemoryStore(clock_ms=lambda: 0)
    async with (
        Bus().open(lambda c, d: None, lambda: None) as broker,
        open_node(small(origins=("*",)), store, broker, bytes(16)) as made,
    ):
        yield made


async def ask(made: Node, request: bytes) -> bytes:
    """The whole answer to some bytes."""
    mine, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_request, made, theirs)
        await mine.send_all(request)
        return b"".join([bytes(chunk) async for chunk in mine])
    raise AssertionError("unreachable")


@pytest.mark.parametrize(
    ("request_", "status", "text"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, b"ok"),
        (b"GET /healthz?x HTTP/1.0\r\n\r\n", 200, b"ok"),
        (b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, b"\r\n\r\n"),
        (b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 200, b'"ready": true'),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200, b"chappe_connections 0.0"),
        (b"GET /etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404, b"/healthz"),
        (b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405, b"GET"),
        (b"\x16\x03\x01\r\n\r\n", 400, b"not a request"),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400, b"not a request"),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 431, b"not a request"),
    ],
)
async def test_requests(autojump_clock: trio.testing.MockClock, request_: bytes, status: int, text: bytes) -> None:
    async with node() as made:
        said = await ask(made, request_)
        assert said.startswith(b"HTTP/1.1 %d" % status), said[:100]
        assert text in said


async def test_a_request_that_never_comes(autojump_clock: trio.testing.MockClock) -> None:
    async with node() as made:
        begin = trio.current_time()
        assert await ask(made, b"GET /hea") == b""
        assert trio.current_time() - begin == 5
        mine, theirs = trio.testing.memory_stream_pair()
        await mine.aclose()
        await serve_request(made, theirs)


async def test_readiness_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async with node() as made:
        ready = readiness(made)
        assert ready["ready"]
        assert ready["insecure"] == list(made.insecure)
        assert len(made.insecure) == 1
        made.relay.is_draining = True
        statistics = made.relay.broker.statistics()
        monkeypatch.setattr(made.relay.broker, "statistics", lambda: type(statistics)(False, 0, 0, 0, 0))
        status, _, body = answer(made, b"GET", b"/readyz")
        assert status == 503
        said = json.loads(body)
        assert (said["ready"], len(said["reasons"])) == (False, 2)
        assert said["store"].keys() == {"queued", "commits", "commit_ms_p99", "bytes"}
