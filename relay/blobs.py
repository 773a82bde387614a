"""Sealed blobs over HTTP/1.1 on the public listener: ``PUT``, ``GET`` (with Range) and ``HEAD`` of ``/blob/<hash>``.

The websocket carries messages; what is large goes here, where a slow transfer holds up nobody's conversation. Whoever
asks shows a ticket (``relay.tickets``). Which account a blob belongs to matters for the quota only: who knows the hash
of a sealed blob may read it, and has learnt it inside the encryption.

At most ``BLOB_UPLOADS_MAX`` bodies are in memory, each at most a chunk; answers are read from the store and written to
the socket piece by piece. A body counts when its hash was checked and it is durable.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import h11
import trio

from protocol.limits import SEALED_CHUNK_BYTES_MAX, TICKET_BYTES
from relay import bounds as B
from relay.context import Relay
from relay.tickets import Holder
from storage.base import StoreAway

PATH: Final = b"/blob/"
_NAME: Final = re.compile(rb"/blob/([0-9a-f]{64})")
_RANGE: Final = re.compile(rb"bytes=(\d{1,18})-(\d{0,18})")
_SUFFIX: Final = re.compile(rb"bytes=-(\d{1,18})")
_BEARER: Final = re.compile(rb"[Bb]earer +([0-9a-f]{%d})" % (2 * TICKET_BYTES))
_ENDS: Final = (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, h11.ProtocolError)


@dataclass(frozen=True, slots=True)
class Sentence:
    """An answer in words. ``retry_s``: when to try again; ``last``: the connection ends with it."""

    status: int
    text: str
    retry_s: int | None = None
    last: bool = False
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """Which bytes of a blob are wanted; ``partial``: a Range was given."""

    start: int
    count: int
    size: int
    partial: bool


def wanted_span(value: bytes | None, size: int) -> Span | Sentence:
    """What a Range header asks of a blob (RFC 9110 section 14). One range only; other units are ignored."""
    whole = Span(0, size, size, False)
    if value is None or not value.startswith(b"bytes="):
        return whole
    suffix, plain = _SUFFIX.fullmatch(value), _RANGE.fullmatch(value)
    if suffix is not None:
        start, end = max(size - int(suffix[1]), 0), size - 1
        if not int(suffix[1]):
            start = size
    elif plain is not None:
        start, end = int(plain[1]), min(int(plain[2] or size - 1), size - 1)
    elif b"," in value:
        return whole  # several ranges may be answered with the whole
    else:
        start, end = size, size - 1
    if start >= size or end < start:
        headers = (("Content-Range", f"bytes */{size}"),)
        return Sentence(416, f"the blob has {size} bytes; this range is not in it", headers=headers)
    return Span(start, end - start + 1, size, True)


class BlobService:
    """``listener.HttpService`` for ``/blob/``."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._uploads: Counter[bytes] = Counter()  # account → bodies under way

    @property
    def uploads(self) -> int:
        """Bodies under way."""
        return self._uploads.total()

    def wants(self, head: bytes) -> bool:
        """Whether the first line asks for a blob; everything else is for the websocket's handshake to judge."""
        return head.partition(b"\n")[0].partition(b" ")[2].startswith(PATH)

    async def serve(self, stream: trio.abc.Stream, head: bytes) -> None:
        """Answer requests until one side has enough."""
        exchange = _Exchange(self._relay, self, stream, head)
        with self._relay.boundary("blob"), suppress(*_ENDS):
            while await exchange.one():
                pass

    @contextmanager
    def upload(self, account: bytes) -> Iterator[Sentence | None]:
        """Room for one body in memory; a sentence: there is none."""
        if self.uploads >= B.BLOB_UPLOADS_MAX:
            yield Sentence(503, "too many uploads at once; try again in a moment", retry_s=1, last=True)
            return
        if self._uploads[account] >= B.BLOB_UPLOADS_PER_ACCOUNT_MAX:
            text = f"{B.BLOB_UPLOADS_PER_ACCOUNT_MAX} uploads of this account are under way; wait for one to end"
            yield Sentence(429, text, retry_s=1, last=True)
            return
        self._uploads[account] += 1
        try:
            yield None
        finally:
            self._uploads[account] -= 1
            if not self._uploads[account]:
                del self._uploads[account]


class _Exchange:
    """The requests of one connection, one after the other."""

    def __init__(self, relay: Relay, service: BlobService, stream: trio.abc.Stream, head: bytes) -> None:
        self._relay = relay
        self._store = relay.store.blobs
        self._service = service
        self._stream = stream
        self._stalled_s = relay.settings.stalled_ms / 1000
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=B.HANDSHAKE_BYTES_MAX)
        self._http.receive_data(head)

    async def one(self) -> bool:
        """One request and its answer; False: the connection is over."""
        request: h11.Request | None = None
        with trio.move_on_after(B.HTTP_IDLE_MS / 1000):
            try:
                request = await self._request()
            except h11.RemoteProtocolError as error:
                await self._say(Sentence(error.error_status_hint, "not a request that can be understood", last=True))
        if request is None:
            return False
        with trio.move_on_after(B.BLOB_REQUEST_MS / 1000):
            return await self._answer(request)
        return False

    async def _answer(self, request: h11.Request) -> bool:
        try:
            sentence = await self._act(request)
        except StoreAway as error:
            sentence = Sentence(503, f"{error}; try again", retry_s=1)
        if sentence is not None:
            last = sentence.last or not await self._skip_body()
            await self._say(sentence, end=last, head_only=request.method == b"HEAD")
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            await self._linger()
            return False
        self._http.start_next_cycle()
        return True

    async def _act(self, request: h11.Request) -> Sentence | None:
        """Answer a good request; a sentence: what is to be said instead."""
        if self._relay.is_draining:
            return Sentence(503, "the relay is restarting; connect again", retry_s=1, last=True)
        name = _NAME.fullmatch(request.target)
        if name is None:
            return Sentence(404, "a blob is at /blob/ and its SHA-256 in 64 lower-case hex digits")
        if request.method not in (b"PUT", b"GET", b"HEAD"):
            return Sentence(405, "a blob is PUT, GET or asked for by HEAD", headers=(("Allow", "PUT, GET, HEAD"),))
        headers: dict[bytes, bytes] = dict(request.headers)
        holder = self._holder(headers)
        if holder is None:
            text = "show a ticket: 'Authorization: Bearer' and what blobs.ticket answers on the websocket, in hex"
            return Sentence(401, text, headers=(("WWW-Authenticate", "Bearer"),))
        digest = bytes.fromhex(name[1].decode())
        if request.method == b"PUT":
            return await self._put(headers, digest, holder)
        if not await self._skip_body():  # there should be none, and the request must be over for the next to begin
            return Sentence(413, "a request to read has no body", last=True)
        return await self._get(headers, digest, head_only=request.method == b"HEAD")

    def _holder(self, headers: dict[bytes, bytes]) -> Holder | None:
        bearer = _BEARER.fullmatch(headers.get(b"authorization", b""))
        return None if bearer is None else self._relay.tickets.holder(bytes.fromhex(bearer[1].decode()))

    # -- PUT -----------------------------------------------------------------------------------------------------------
    async def _put(self, headers: dict[bytes, bytes], digest: bytes, holder: Holder) -> Sentence | None:
        too_large = Sentence(413, f"a blob has at most {SEALED_CHUNK_BYTES_MAX} bytes; cut the file smaller", last=True)
        if int(headers.get(b"content-length", b"0")) > SEALED_CHUNK_BYTES_MAX:
            return too_large
        with self._service.upload(holder.account) as full:
            if full is not None:
                return full
            data = await self._body(SEALED_CHUNK_BYTES_MAX)
            if data is None:
                return too_large
            quota = self._relay.settings.blob_quota_bytes
            try:
                refusal = await self._store.put(digest, data, account=holder.account, quota_bytes=quota)
            except ValueError:
                return Sentence(400, "the bytes do not have the hash they came under")
        if refusal is not None:
            return Sentence(int(refusal.code), refusal.text)
        self._relay.counters.blobs_put += 1
        self._relay.counters.blob_bytes_in += len(data)
        await self._send(h11.Response(status_code=204, headers=[]), h11.EndOfMessage())
        return None

    async def _body(self, bytes_max: int) -> bytes | None:
        """The whole body; None: it is larger than it may be."""
        if self._http.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        data = bytearray()
        while True:
            event = await self._event()
            if isinstance(event, h11.EndOfMessage):
                return bytes(data)
            if not isinstance(event, h11.Data):
                raise trio.BrokenResourceError("the body ended early")
            data += event.data
            if len(data) > bytes_max:
                return None

    async def _skip_body(self) -> bool:
        """Read what of a refused request's body is still to come, so that the answer is heard; False: too much."""
        if self._http.their_state is not h11.SEND_BODY:
            return True
        if self._http.they_are_waiting_for_100_continue:
            return False
        return await self._body(SEALED_CHUNK_BYTES_MAX) is not None

    # -- GET, HEAD -----------------------------------------------------------------------------------------------------
    async def _get(self, headers: dict[bytes, bytes], digest: bytes, *, head_only: bool) -> Sentence | None:
        missing = Sentence(404, "no such blob; it was never uploaded, or the relay does not keep it any more")
        size = await self._store.size(digest)
        if size is None:
            return missing
        span = wanted_span(headers.get(b"range"), size)
        if isinstance(span, Sentence):
            return span
        answer = _head_of(digest, span)
        if head_only:
            await self._send(answer, h11.EndOfMessage())
            return None
        place, end = span.start, span.start + span.count
        while True:
            part = await self._store.read(digest, place, min(B.HTTP_BYTES, end - place))
            if place == span.start:
                if part is None:
                    return missing
                await self._send(answer)
            if not part and place < end:
                raise trio.BrokenResourceError("the blob was freed while it was read")
            place += len(part or b"")
            self._relay.counters.blob_bytes_out += len(part or b"")
            await self._send(h11.Data(data=part or b""))
            if place >= end:
                break
        await self._send(h11.EndOfMessage())
        self._relay.counters.blobs_got += 1
        return None

    # -- HTTP ----------------------------------------------------------------------------------------------------------
    async def _request(self) -> h11.Request | None:
        event = await self._event()
        return event if isinstance(event, h11.Request) else None

    async def _event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while True:
            event = self._http.next_event()
            if not isinstance(event, type) or event is h11.PAUSED:
                return event
            with trio.fail_after(self._stalled_s):
                self._http.receive_data(bytes(await self._stream.receive_some(B.HTTP_BYTES)))

    async def _send(self, *events: h11.Event) -> None:
        data = b"".join(self._http.send(event) or b"" for event in events)
        if data:
            with trio.fail_after(self._stalled_s):
                await self._stream.send_all(data)

    async def _say(self, sentence: Sentence, *, end: bool = True, head_only: bool = False) -> None:
        body = f"{sentence.text}\n".encode()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        headers += sentence.headers
        if sentence.retry_s is not None:
            headers.append(("Retry-After", str(sentence.retry_s)))
        if end:
            headers.append(("Connection", "close"))
        response = h11.Response(status_code=sentence.status, headers=headers)
        data = [] if head_only else [h11.Data(data=body)]
        await self._send(response, *data, h11.EndOfMessage())

    async def _linger(self) -> None:
        """Read on for a moment: closing a socket with unread bytes resets it, and the answer may be lost."""
        with trio.move_on_after(B.CLOSE_MS / 1000):
            if isinstance(self._stream, trio.abc.HalfCloseableStream):
                await self._stream.send_eof()
            while await self._stream.receive_some(B.HTTP_BYTES):
                pass


def _head_of(digest: bytes, span: Span) -> h11.Response:
    """The head of a good answer: a blob never changes, so whoever has it may keep it."""
    headers = [
        ("Content-Type", "application/octet-stream"),
        ("Content-Length", str(span.count)),
        ("Accept-Ranges", "bytes"),
        ("ETag", f'"{digest.hex()}"'),
        ("Cache-Control", "private, max-age=31536000, immutable"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if span.partial:
        headers.append(("Content-Range", f"bytes {span.start}-{span.start + span.count - 1}/{span.size}"))
    return h11.Response(status_code=206 if span.partial else 200, headers=headers)
