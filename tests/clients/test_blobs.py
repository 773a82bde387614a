"""Blobs to and from a relay that is away, forgets tickets, is full, or lies."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio

from clients import blobs as module
from clients.blobs import BlobLane, BlobTransport, FileRefused
from clients.connection import LinkDown, Refusal
from clients.http import Answer, HttpConnection, Unreachable
from protocol.frames import Err
from protocol.limits import BLOB_RENEW_MAX, TICKET_LIFE_MS
from protocol.requests import RenewBlobs, Ticket

DATA = b"sealed bytes"
DIGEST = hashlib.sha256(DATA).digest()


class Desk:
    """A link of a client, and what the relay answers on it."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.tickets = 0
        self.asked: list[int] = []
        self.troubles: deque[Exception] = deque()

    async def ask(self, method: str, params: Any, result: type[Any]) -> Any:
        await trio.lowlevel.checkpoint()
        if self.troubles:
            raise self.troubles.popleft()
        if isinstance(params, Ticket):
            self.tickets += 1
            return (b"%032d" % self.tickets, self.now_ms + TICKET_LIFE_MS)
        assert isinstance(params, RenewBlobs)
        self.asked.append(len(params.hashes))
        return [digest != bytes(32) for digest in params.hashes]

    async def connected(self) -> Any:
        await trio.lowlevel.checkpoint()
        return self


def transport(desk: Desk) -> BlobTransport:
    return BlobTransport("ws://relay.test/ws", desk.connected, lambda: desk.now_ms)


class Script:
    """In place of ``HttpConnection.exchange``: answers from a list."""

    def __init__(self, *answers: Answer | Unreachable | Callable[[bytearray], Answer | Unreachable]) -> None:
        self.answers = deque(answers)
        self.heard: list[tuple[str, dict[str, str]]] = []

    async def exchange(
        self, connection: HttpConnection, method: str, path: str, headers: dict[str, str], body: bytes = b"",
        into: bytearray | None = None,
    ) -> Answer:  # fmt: skip
        await trio.lowlevel.checkpoint()
        self.heard.append((method, headers))
        answer = self.answers.popleft()
        if not isinstance(answer, (Answer, Unreachable)):
            assert into is not None
            answer = answer(into)
        if isinstance(answer, Unreachable):
            raise answer
        return answer


def gives(data: bytes, outcome: Answer | Unreachable) -> Callable[[bytearray], Answer | Unreachable]:
    """An answer whose body begins with ``data``."""

    def act(into: bytearray) -> Answer | Unreachable:
        into += data
        return outcome

    return act


GOOD, PART, STORED, BROKEN = Answer(200, {}), Answer(206, {}), Answer(204, {}), Unreachable("away")
MISSING, UNKNOWN_TICKET = Answer(404, {}, "no such blob"), Answer(401, {})


@pytest.fixture
def desk(autojump_clock: trio.testing.MockClock) -> Desk:
    return Desk()


def lane_of(desk: Desk, script: Script, monkeypatch: pytest.MonkeyPatch) -> BlobLane:
    async def exchange(self: HttpConnection, *args: Any, **options: Any) -> Answer:
        return await script.exchange(self, *args, **options)

    monkeypatch.setattr(HttpConnection, "exchange", exchange)
    return BlobLane(transport(desk))


async def test_a_ticket_serves_until_its_last_minute(desk: Desk) -> None:
    here = transport(desk)
    first = await here.ticket()
    assert await here.ticket() == first
    here.forget(b"another")
    assert await here.ticket() == first
    desk.now_ms = TICKET_LIFE_MS - 60_000
    second = await here.ticket()
    here.forget(second)
    assert len({first, second, await here.ticket()}) == 3


async def test_questions_are_asked_again_or_refused(desk: Desk) -> None:
    here = transport(desk)
    desk.troubles += [LinkDown("gone"), Refusal(Err(1, 429, "slower", retry_ms=100))]
    assert await here.renew([bytes(32)] + [DIGEST] * BLOB_RENEW_MAX) == [False] + [True] * BLOB_RENEW_MAX
    assert desk.asked == [BLOB_RENEW_MAX, 1]
    desk.troubles.append(Refusal(Err(1, 405, "no such method here")))
    with pytest.raises(FileRefused, match="no such method") as refusal:
        await here.renew([DIGEST])
    assert refusal.value.code == 405
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(RenewBlobs(())), type=RenewBlobs) == RenewBlobs(())


async def test_an_upload_asks_before_it_sends_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(BROKEN, BROKEN, MISSING, STORED, BROKEN, Answer(200, {}), STORED)
    lane = lane_of(desk, script, monkeypatch)
    assert await lane.put(DIGEST, DATA) == 2
    assert [method for method, _ in script.heard] == ["PUT", "HEAD", "HEAD", "PUT"]
    assert await lane.put(DIGEST, DATA) == 1  # the one whose answer was lost had come
    assert await lane.put(DIGEST, DATA) == 1
    await lane.aclose()


async def test_a_forgotten_ticket_and_a_busy_relay(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Answer(503, {"retry-after": "1"})
    script = Script(UNKNOWN_TICKET, MISSING, busy, MISSING, Answer(429, {}), MISSING, STORED)
    lane = lane_of(desk, script, monkeypatch)
    await lane.put(DIGEST, DATA)
    assert desk.tickets == 2
    assert script.heard[0][1]["Authorization"] != script.heard[-1][1]["Authorization"]
    script.answers += [Answer(507, {}, "no room")]
    with pytest.raises(FileRefused, match="no room") as refusal:
        await lane.put(DIGEST, DATA)
    assert refusal.value.code == 507
    script.answers += [Answer(418, {})]
    with pytest.raises(FileRefused, match="answers 418"):
        await lane.put(DIGEST, DATA)


async def test_a_download_goes_on_where_it_broke(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(gives(DATA[:5], BROKEN), gives(DATA[5:9], BROKEN), gives(DATA[9:], PART))
    lane = lane_of(desk, script, monkeypatch)
    assert await lane.get(DIGEST, len(DATA)) == DATA
    assert [headers.get("Range") for _, headers in script.heard] == [None, "bytes=5-", "bytes=9-"]
    script.answers += [gives(DATA[:5], BROKEN), gives(DATA, GOOD)]  # the whole, though a part was asked for
    assert await lane.get(DIGEST, len(DATA)) == DATA


async def test_a_relay_that_lies(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    lie = gives(b"other bytes!", GOOD)
    script = Script(lie, gives(DATA, GOOD), lie, gives(b"", GOOD), lie)
    lane = lane_of(desk, script, monkeypatch)
    assert await lane.get(DIGEST, len(DATA)) == DATA
    with pytest.raises(FileRefused, match="other bytes than the file has"):
        await lane.get(DIGEST, len(DATA))
    assert module.RETRY_S_MIN < module.RETRY_S_MAX
