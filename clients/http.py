"""A small HTTP/1.1 client for ``/blob/``: one connection, one request at a time, kept open in between."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import h11
import trio

from protocol import limits as L
from protocol.errors import ChappeError

_RECEIVE_BYTES: Final = 64 * 1024
_TEXT_BYTES_MAX: Final = 4096  # of a refusal's sentence
_BROKEN: Final = (OSError, ssl.SSLError, trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError)


class Unreachable(ChappeError):
    """The relay could not be reached, or the connection broke before the answer was whole."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and headers (names in lower case) of an answer, and the sentence of a refusal."""

    status: int
    headers: dict[str, str]
    text: str = ""


class HttpConnection:
    """To the relay that ``url`` (``ws://`` or ``wss://``) names. Connects when it must."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._secure = parts.scheme == "wss"
        self._port = parts.port or (443 if self._secure else 80)
        self._authority = parts.netloc.rpartition("@")[2]
        self._stream: trio.abc.Stream | None = None
        self._http = h11.Connection(h11.CLIENT)

    async def exchange(
        self, method: str, path: str, headers: dict[str, str], body: bytes = b"", into: bytearray | None = None
    ) -> Answer:
        """One request. The body of a good answer is appended to ``into`` as it comes, however it ends; it has at most
        ``SEALED_CHUNK_BYTES_MAX`` bytes. Raises ``Unreachable``."""
        try:
            return await self._exchange(method, path, headers, body, bytearray() if into is None else into)
        except _BROKEN as error:
            raise Unreachable(f"{self._authority}: {str(error) or type(error).__name__}") from None
        except trio.TooSlowError:
            raise Unreachable(f"{self._authority} is too slow") from None
        finally:
            if self._http.our_state is not h11.IDLE:
                with trio.CancelScope(shield=True):
                    await self.aclose()

    async def aclose(self) -> None:
        """Drop the connection; the next request makes another."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)

    async def _connected(self) -> trio.abc.Stream:
        if self._stream is None:
            with trio.fail_after(L.HANDSHAKE_MS / 1000):
                stream: trio.abc.Stream = await trio.open_tcp_stream(self._host, self._port)
                self._http = h11.Connection(h11.CLIENT)
                if self._secure:
                    stream = await secured(stream, self._host)
                self._stream = stream
        return self._stream

    async def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: bytes, into: bytearray
    ) -> Answer:  # fmt: skip
        stream = await self._connected()
        if body:
            headers = {**headers, "Content-Length": str(len(body))}
        request = h11.Request(method=method, target=path, headers=[("Host", self._authority), *headers.items()])
        events = [request, *([h11.Data(data=body)] if body else []), h11.EndOfMessage()]
        data = b"".join(self._http.send(event) or b"" for event in events)
        for start in range(0, len(data), _RECEIVE_BYTES):
            with trio.fail_after(L.STALLED_MS / 1000):
                await stream.send_all(data[start : start + _RECEIVE_BYTES])
        response = await self._event(stream)
        if not isinstance(response, h11.Response):
            raise trio.BrokenResourceError("the connection ended before the answer")
        good = response.status_code in (200, 206)
        text = bytearray()
        while isinstance(event := await self._event(stream), h11.Data):
            sink, most = (into, L.SEALED_CHUNK_BYTES_MAX) if good else (text, _TEXT_BYTES_MAX)
            sink += event.data
            if len(sink) > most:
                raise trio.BrokenResourceError("the answer is larger than it may be")
        if not isinstance(event, h11.EndOfMessage):
            raise trio.BrokenResourceError("the connection ended before the answer was whole")
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        found = {name.decode("ascii"): value.decode("latin-1") for name, value in response.headers}
        return Answer(response.status_code, found, text.decode("utf-8", "replace").strip())

    async def _event(self, stream: trio.abc.Stream) -> h11.Event | type[h11.PAUSED] | type[h11.NEED_DATA]:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.InformationalResponse):
                continue
            if event is not h11.NEED_DATA:
                return event
            with trio.fail_after(L.STALLED_MS / 1000):
                self._http.receive_data(bytes(await stream.receive_some(_RECEIVE_BYTES)))


async def secured(stream: trio.abc.Stream, host: str, context: ssl.SSLContext | None = None) -> trio.abc.Stream:
    """TLS over a stream, which is closed where that fails. Raises ``BrokenResourceError``."""
    context = context or ssl.create_default_context()
    secure = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
    try:
        await secure.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secure
