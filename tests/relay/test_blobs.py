"""Blobs over HTTP, on the port of the websocket: every request that may come, good or bad."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import h11
import pytest
import trio
from trio.testing import memory_stream_pair

from protocol import requests as R
from protocol.limits import SEALED_CHUNK_BYTES_MAX
from relay import bounds
from relay.blobs import BlobService, Sentence, Span, wanted_span
from relay.testing import TestRelay, open_relay, small
from storage.base import StoreAway
from tests.support.people import Person
from tests.support.wire import open_wire

BLOB = bytes(range(256)) * 1000
DIGEST = hashlib.sha256(BLOB).digest()
PATH = f"/blob/{DIGEST.hex()}"


#: A request whose body ends early.
HALF = f"PUT {PATH} HTTP/1.1\r\nHost: r\r\nContent-Length: 9\r\nAuthorization: Bearer {{}}\r\n\r\n1234"


class Browser:
    """One HTTP connection, and a ticket."""

    def __init__(self, relay: TestRelay, stream: trio.abc.Stream, ticket: bytes) -> None:
        self.relay = relay
        self.stream = stream
        self.ticket = ticket
        self.http = h11.Connection(h11.CLIENT)

    async def ask(
        self, method: str, path: str = PATH, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request; status, headers and body of the answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named = {"Host": "relay", "Authorization": f"Bearer {self.ticket.hex()}"} | named
        if body and "Transfer-Encoding" not in named:
            named.setdefault("Content-Length", str(len(body)))
        await self.send(h11.Request(method=method, target=path, headers=list(named.items())))
        if body:
            await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())
        return await self.answer()

    async def send(self, event: Any) -> None:
        """Part of a request."""
        data = self.http.send(event)
        if data:
            await self.stream.send_all(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer."""
        data, response = b"", await self.event()
        while isinstance(response, h11.InformationalResponse):
            response = await self.event()
        assert isinstance(response, h11.Response), response
        while isinstance(event := await self.event(), h11.Data):
            data += bytes(event.data)
        if self.http.our_state is h11.DONE and self.http.their_state is h11.DONE:
            self.http.start_next_cycle()
        return response.status_code, {n.decode(): v.decode() for n, v in response.headers}, data

    async def event(self) -> Any:
        """The next event."""
        while (event := self.http.next_event()) is h11.NEED_DATA:
            with trio.fail_after(10):
                self.http.receive_data(bytes(await self.stream.receive_some()))
        return event

    async def is_closed(self) -> bool:
        """Wait until the relay has closed."""
        with trio.fail_after(10):
            while await self.stream.receive_some():
                pass
        return True


@asynccontextmanager
async def open_browser(relay: TestRelay) -> AsyncIterator[Browser]:
    """Register somebody over the websocket, take a ticket there, and connect for HTTP."""
    host, _, port = relay.node.address.rpartition(":")
    async with open_wire(relay.url) as wire:
        await wire.register(Person("ann", relay.clock_ms()))
        ticket, until_ms = await wire.request("blobs.ticket", R.Ticket(), tuple[bytes, int])
        assert until_ms > relay.clock_ms()
        stream = await trio.open_tcp_stream(host, int(port))
        yield Browser(relay, stream, ticket)
        await stream.aclose()


async def test_a_blob_goes_up_and_comes_down_over_one_connection() -> None:
    async with open_relay() as relay, open_browser(relay) as browser:
        assert (await browser.ask("HEAD"))[0] == 404
        assert (await browser.ask("PUT", body=BLOB))[::2] == (204, b"")
        assert (await browser.ask("PUT", body=BLOB, Transfer_Encoding="chunked"))[0] == 204
        status, headers, data = await browser.ask("GET")
        assert (status, data, headers["content-length"]) == (200, BLOB, str(len(BLOB)))
        assert headers["etag"] == f'"{DIGEST.hex()}"'
        status, headers, data = await browser.ask("HEAD")
        assert (status, data, headers["content-length"]) == (200, b"", str(len(BLOB)))
        status, headers, data = await browser.ask("GET", Range="bytes=70000-140000")
        assert (status, data) == (206, BLOB[70_000:140_001])
        assert headers["content-range"] == f"bytes 70000-140000/{len(BLOB)}"
        status, headers, _ = await browser.ask("GET", Range=f"bytes={len(BLOB)}-")
        assert (status, headers["content-range"]) == (416, f"bytes */{len(BLOB)}")
        counters = relay.node.counters
        assert (counters.blobs_put, counters.blobs_got, counters.blob_bytes_in) == (2, 2, 2 * len(BLOB))
        assert counters.blob_bytes_out == len(BLOB) + 70_001


async def test_an_empty_blob() -> None:
    digest = hashlib.sha256(b"").hexdigest()
    async with open_relay() as relay, open_browser(relay) as browser:
        assert (await browser.ask("PUT", f"/blob/{digest}"))[0] == 204
        assert (await browser.ask("GET", f"/blob/{digest}"))[::2] == (200, b"")


async def test_bad_requests_get_a_sentence_and_the_connection_goes_on() -> None:
    async with open_relay() as relay, open_browser(relay) as browser:
        for path in ("/blob/", "/blob/abc", PATH + "0", "/blob/" + "A" * 64):
            assert (await browser.ask("GET", path))[0] == 404
        status, headers, text = await browser.ask("DELETE")
        assert (status, headers["allow"]) == (405, "PUT, GET, HEAD")
        assert b"PUT, GET" in text
        for value in ("", "Bearer", f"Bearer {'0' * 64}", f"Basic {browser.ticket.hex()}"):
            status, headers, _ = await browser.ask("PUT", body=BLOB, Authorization=value)
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
        status, _, text = await browser.ask("PUT", body=BLOB[1:])
        assert (status, text) == (400, b"the bytes do not have the hash they came under\n")
        assert (await browser.ask("PUT", body=BLOB))[0] == 204


async def test_what_is_no_http_is_answered_and_ended() -> None:
    async with open_relay() as relay, open_browser(relay) as browser:
        await browser.stream.send_all(b"GET /blob/x HTTP/1.1\r\nno header\r\n\r\n")
        status, _, text = await browser.answer()
        assert (status, text) == (400, b"not a request that can be understood\n")
        assert await browser.is_closed()


@pytest.mark.parametrize("how", ["declared", "chunked"])
async def test_a_body_that_is_too_large(how: str) -> None:
    async with open_relay() as relay, open_browser(relay) as browser:
        more = {"Content_Length": "9999999"} if how == "declared" else {"Transfer_Encoding": "chunked"}
        names = {name.replace("_", "-"): value for name, value in more.items()}
        names |= {"Host": "relay", "Authorization": f"Bearer {browser.ticket.hex()}"}
        await browser.send(h11.Request(method="PUT", target=PATH, headers=list(names.items())))
        if how == "chunked":
            await browser.send(h11.Data(data=bytes(SEALED_CHUNK_BYTES_MAX + 1)))
        status, headers, _ = await browser.answer()
        assert (status, headers["connection"]) == (413, "close")


async def test_expect_100_continue() -> None:
    async with open_relay() as relay, open_browser(relay) as browser:
        names = {"Host": "relay", "Content-Length": str(len(BLOB)), "Expect": "100-continue"}
        ticket = {"Authorization": f"Bearer {browser.ticket.hex()}"}
        await browser.send(h11.Request(method="PUT", target=PATH, headers=list((names | ticket).items())))
        assert isinstance(await browser.event(), h11.InformationalResponse)
        await browser.send(h11.Data(data=BLOB))
        await browser.send(h11.EndOfMessage())
        assert (await browser.answer())[0] == 204
        await browser.send(h11.Request(method="PUT", target=PATH, headers=list(names.items())))
        assert (await browser.answer())[0] == 401  # and the body, which nobody asked for, is not waited for
        assert await browser.is_closed()


async def test_the_quota_and_the_reserve_of_trees() -> None:
    async with open_relay(small(blob_quota_bytes=len(BLOB))) as relay, open_wire(relay.url) as wire:
        await wire.register(Person("ann", relay.clock_ms()))
        host, _, port = relay.node.address.rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            browser = Browser(relay, stream, (await wire.request("blobs.ticket", R.Ticket(), tuple[bytes, int]))[0])
            assert (await browser.ask("PUT", body=BLOB))[0] == 204
            other = BLOB + b"!"
            status, _, text = await browser.ask("PUT", f"/blob/{hashlib.sha256(other).hexdigest()}", body=other)
            assert status == 507
            assert b"files are in use" in text
        tree = b"tree"
        await wire.request("blobs.put", R.PutBlob(hashlib.sha256(tree).digest(), tree), type(None))
        assert await wire.request("blobs.renew", R.RenewBlobs((DIGEST, bytes(32))), list[bool]) == [True, False]


async def test_uploads_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "BLOB_UPLOADS_MAX", 2)
    monkeypatch.setattr(bounds, "BLOB_UPLOADS_PER_ACCOUNT_MAX", 1)
    async with open_relay() as relay:
        service = BlobService(relay.node.relay)
        with service.upload(b"ann") as ann, service.upload(b"ann") as again:
            assert ann is None
            assert isinstance(again, Sentence)
            assert (again.status, again.retry_s, service.uploads) == (429, 1, 1)
            with service.upload(b"bob") as bob, service.upload(b"cem") as cem:
                assert bob is None
                assert isinstance(cem, Sentence)
                assert cem.status == 503
        assert service.uploads == 0


async def test_an_upload_without_room_is_told_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "BLOB_UPLOADS_MAX", 0)
    async with open_relay() as relay, open_browser(relay) as browser:
        status, headers, _ = await browser.ask("PUT", body=BLOB)
        assert (status, headers["retry-after"]) == (503, "1")


async def test_a_store_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(digest: bytes) -> int:
        raise StoreAway("the disk is full")

    async with open_relay() as relay, open_browser(relay) as browser:
        monkeypatch.setattr(relay.store.blobs, "size", away)
        status, headers, text = await browser.ask("GET")
        assert (status, headers["retry-after"], text) == (503, "1", b"the disk is full; try again\n")


async def test_a_draining_relay_takes_no_more() -> None:
    async with open_relay() as relay, open_browser(relay) as browser:
        relay.node.relay.is_draining = True
        assert (await browser.ask("GET"))[0] == 503


async def test_a_blob_that_is_freed_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[bytes | None] = [BLOB[: bounds.HTTP_BYTES], None, None]

    async def read(digest: bytes, start: int, count: int) -> bytes | None:
        return parts.pop(0)

    async with open_relay() as relay, open_browser(relay) as browser:
        await browser.ask("PUT", body=BLOB)
        monkeypatch.setattr(relay.store.blobs, "read", read)
        with pytest.raises(h11.RemoteProtocolError):
            await browser.ask("GET")
    async with open_relay() as relay, open_browser(relay) as browser:
        await browser.ask("PUT", body=BLOB)
        monkeypatch.setattr(relay.store.blobs, "read", read)
        assert (await browser.ask("GET"))[0] == 404
    assert parts == []


async def test_a_peer_that_leaves_in_the_middle_or_says_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with open_relay() as relay:
        service = BlobService(relay.node.relay)
        assert service.wants(b"GET /blob/x HTTP/1.1\r\n")
        assert not service.wants(b"GET /ws HTTP/1.1\r\n")
        ticket, _ = relay.node.relay.tickets.issue(b"a" * 32, b"d" * 32)
        head = HALF.format(ticket.hex())
        for gone in (True, False):
            here, there = memory_stream_pair()
            if gone:
                await there.aclose()
            await service.serve(here, head.encode())  # ends: by the end of the stream, or by its deadline
            await service.serve(here, b"GET ")
        assert (service.uploads, relay.node.counters.blobs_put, relay.node.counters.failures) == (0, 0, 0)


async def test_a_slow_request_ends_at_its_deadline(autojump_clock: trio.testing.MockClock) -> None:
    async with open_relay(small(stalled_ms=600_000)) as relay:
        ticket, _ = relay.node.relay.tickets.issue(b"a" * 32, b"d" * 32)
        head = HALF.format(ticket.hex())
        here, _there = memory_stream_pair()
        before = trio.current_time()
        await BlobService(relay.node.relay).serve(here, head.encode())
        assert trio.current_time() - before == pytest.approx(bounds.BLOB_REQUEST_MS / 1000)


async def test_the_websocket_beside_it_is_as_before() -> None:
    async with open_relay() as relay, open_browser(relay) as browser, open_wire(relay.url) as wire:
        await wire.login(Person("bob", relay.clock_ms()))
        assert (await browser.ask("PUT", body=BLOB))[0] == 204
        assert relay.node.statistics().connections == 2  # the HTTP connection is no websocket
        assert relay.node.listener.statistics().connections == 3


WHOLE = Span(0, 100, 100, False)


@pytest.mark.parametrize(
    ("value", "span"),
    [
        (None, WHOLE),
        (b"lines=1-2", WHOLE),
        (b"bytes=0-1,5-6", WHOLE),
        (b"bytes=0-", Span(0, 100, 100, True)),
        (b"bytes=10-19", Span(10, 10, 100, True)),
        (b"bytes=90-500", Span(90, 10, 100, True)),
        (b"bytes=-7", Span(93, 7, 100, True)),
        (b"bytes=-700", Span(0, 100, 100, True)),
    ],
)
def test_ranges(value: bytes | None, span: Span) -> None:
    assert wanted_span(value, 100) == span


@pytest.mark.parametrize("value", [b"bytes=100-", b"bytes=20-10", b"bytes=-0", b"bytes=x-", b"bytes="])
def test_ranges_that_are_not_there(value: bytes) -> None:
    answer = wanted_span(value, 100)
    assert isinstance(answer, Sentence)
    assert answer.status == 416
