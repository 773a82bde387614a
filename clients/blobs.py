"""Sealed blobs to and from the relay, again and again until it works or the relay refuses for good.

Tickets are asked for over the websocket; the bytes go over HTTP connections of their own, one per task that moves some.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import trio

from clients.connection import Link, Refusal, asked
from clients.http import Answer, HttpConnection, Unreachable
from protocol import limits as L
from protocol.errors import ChappeError, Code
from protocol.requests import RenewBlobs, Ticket

T = TypeVar("T")
RETRY_S_MIN: Final = 0.1
RETRY_S_MAX: Final = 5.0
_EARLY_MS: Final = 60_000  # a ticket is not used in its last minute: a request takes time
_LIES_MAX: Final = 3  # answers with other bytes than the hash promises, before it is the relay's fault


class FileRefused(ChappeError):
    """The relay will not take or give a blob, whenever asked; ``code`` is its own."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class BlobTransport:
    """What all transfers of one client share: where the relay is, and the present ticket."""

    def __init__(self, url: str, wait_connected: Callable[[], Awaitable[Link]], clock_ms: Callable[[], int]) -> None:
        self.url = url
        self._wait_connected = wait_connected
        self._clock_ms = clock_ms
        self._ticket: tuple[bytes, int] | None = None
        self._asking = trio.Lock()

    async def renew(self, hashes: Sequence[bytes]) -> list[bool]:
        """Which blobs the relay has; it keeps them for another hour. Raises ``FileRefused``."""
        found: list[bool] = []
        for start in range(0, len(hashes), L.BLOB_RENEW_MAX):
            part = RenewBlobs(tuple(hashes[start : start + L.BLOB_RENEW_MAX]))
            found += await self._ask(lambda link, part=part: link.ask("blobs.renew", part, list[bool]))  # type: ignore[misc]
        return found

    async def ticket(self) -> bytes:
        """A ticket that is good for a while yet. Raises ``FileRefused``."""
        async with self._asking:
            if self._ticket is None or self._ticket[1] - _EARLY_MS <= self._clock_ms():
                self._ticket = await self._ask(lambda link: link.ask("blobs.ticket", Ticket(), tuple[bytes, int]))
            return self._ticket[0]

    def forget(self, ticket: bytes) -> None:
        """The relay does not know a ticket (any more): it was started anew."""
        if self._ticket is not None and self._ticket[0] == ticket:
            self._ticket = None

    async def _ask(self, question: Callable[[Link], Awaitable[T]]) -> T:
        try:
            return await asked(self._wait_connected, question)
        except Refusal as error:
            raise FileRefused(error.code, error.text) from None


class BlobLane:
    """One connection for blobs. Use it in one task, and close it."""

    def __init__(self, transport: BlobTransport) -> None:
        self._transport = transport
        self._http = HttpConnection(transport.url)

    async def put(self, digest: bytes, sealed: bytes) -> int:
        """Store a blob; how often its bytes were sent for that, whole or in part.

        After an attempt whose outcome is unknown, it is asked for before it is sent again. Raises ``FileRefused``.
        """
        path, sent = f"/blob/{digest.hex()}", 0

        async def attempt(headers: dict[str, str]) -> Answer:
            nonlocal sent
            if sent:
                answer = await self._http.exchange("HEAD", path, headers)
                if answer.status != Code.NOT_FOUND:
                    return answer
            sent += 1
            return await self._http.exchange("PUT", path, headers, sealed)

        await self._until_good(attempt)
        return sent

    async def get(self, digest: bytes, size: int) -> bytes:
        """A blob of ``size`` bytes; what has come before a break is kept. Raises ``FileRefused``."""
        path, data = f"/blob/{digest.hex()}", bytearray()

        async def attempt(headers: dict[str, str]) -> Answer:
            if data:
                headers = {**headers, "Range": f"bytes={len(data)}-"}
            have = len(data)
            answer = await self._http.exchange("GET", path, headers, into=data)
            if answer.status == 200 and have:
                del data[:have]  # the whole came, not the rest
            return answer

        for _ in range(_LIES_MAX):
            await self._until_good(attempt)
            if len(data) == size and hashlib.sha256(data).digest() == digest:
                return bytes(data)
            data.clear()
        raise FileRefused(Code.INTERNAL, "the relay gives other bytes than the file has; tell its operator")

    async def aclose(self) -> None:
        """Drop the connection."""
        await self._http.aclose()

    async def _until_good(self, attempt: Callable[[dict[str, str]], Awaitable[Answer]]) -> None:
        wait_s = RETRY_S_MIN
        while True:
            ticket = await self._transport.ticket()
            try:
                answer = await attempt({"Authorization": f"Bearer {ticket.hex()}"})
            except Unreachable:
                pass
            else:
                if answer.status < 300:
                    return
                if answer.status == Code.UNAUTHENTICATED:
                    self._transport.forget(ticket)
                elif answer.status not in (Code.RATE, Code.DRAINING):
                    raise FileRefused(answer.status, answer.text or f"the relay answers {answer.status}")
            await trio.sleep(wait_s)
            wait_s = min(wait_s * 2, RETRY_S_MAX)
