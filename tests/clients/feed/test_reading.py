"""Questions about public topics: what the relay may answer, and what of it is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from clients.connection import LinkDown, Refusal
from clients.feed.reading import Reader
from protocol import limits as L
from protocol.errors import Code, RemoteProtocolError
from protocol.frames import Err, SubResult
from protocol.ids import about_topic, feed_topic
from protocol.messages import feed as F
from protocol.requests import FeedEntry, FeedPage
from tests.clients.feed.entries import ANN, BOB, NOW_MS, at, raw
from tests.support.feeds import open_town, people, said


class Answers:
    """A link with answers that were prepared: values to give, errors to raise."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    async def ask(self, method: str, params: object, result: object) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Known:
    """A directory in which Ann's device is listed."""

    def __init__(self) -> None:
        self.fetched: set[bytes] = set()

    def doubt(self, account: bytes, device: bytes) -> str:
        return "" if device == ANN.device else "no device list of this account is known"

    async def fetch(self, link: object, accounts: set[bytes]) -> None:
        self.fetched |= accounts


def reader(*answers: Any) -> Reader:
    link = Answers(*answers)

    async def wait_connected() -> Any:
        return link

    return Reader(Known(), wait_connected)  # type: ignore[arg-type]


def refusal(code: int, retry_ms: int | None = None) -> Refusal:
    return Refusal(Err(1, code, "no", retry_ms))


async def test_questions_wait_for_the_relay(autojump_clock: object) -> None:
    page = FeedPage(1, 0, 0)
    found = await reader(LinkDown("gone"), refusal(Code.RATE, 500), page).page(b"t" * 32)
    assert found == page


async def test_heads_are_asked_for_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L, "HEADS_TOPICS_MAX", 2)
    heads = [SubResult(0, 1, number) for number in range(5)]
    found = await reader(heads[:2], heads[2:4], heads[4:]).heads([bytes([number]) * 32 for number in range(5)])
    assert found == heads
    assert await reader().heads([]) == []


async def test_a_feed_that_nobody_has_begun_is_empty() -> None:
    assert (await reader(refusal(Code.NOT_FOUND)).page(b"t" * 32, 7)).next == 7
    with pytest.raises(Refusal):
        await reader(refusal(Code.FRAME)).page(b"t" * 32)


async def test_answers_in_parts_and_answers_that_are_none() -> None:
    one, two = raw(ANN, F.Post(text="one")), raw(ANN, F.Post(text="two"), 2)
    places = [(feed_topic(ANN.account), n) for n in (1, 2)]
    assert await reader([one], [two]).raw(places) == [one, two]
    assert await reader([one, two, one]).raw(places) == [one, two]
    with pytest.raises(RemoteProtocolError, match="nothing"):
        await reader([]).raw(places)


async def test_doubt_and_what_is_no_entry() -> None:
    good, other, bad = raw(ANN, F.Post(text="one")), raw(BOB, F.Post(text="two")), raw(ANN, F.Post(text="three"))
    asks = reader()
    found = await asks.checked([good, other, structs.replace(bad, ts=NOW_MS, body=b"lies")])
    assert [entry.doubt if entry else None for entry in found] == ["", "no device list of this account is known", None]
    assert asks._directory.fetched == {BOB.account}  # type: ignore[attr-defined]
    assert asks.bad == 1


async def test_references_that_lead_elsewhere() -> None:
    answer: list[FeedEntry | None] = [raw(ANN, F.Post(text="one")), None]
    assert [e is None for e in await reader(answer).entries([at(ANN, 1), at(ANN, 2)])] == [False, True]
    assert await reader(answer[:1]).entries([structs.replace(at(ANN, 1), hash=b"h" * 32)]) == [None]
    assert await reader(answer[:1]).entries([structs.replace(at(ANN, 1), id=bytes(16))]) == [None]


async def test_pointers_that_point_nowhere(tmp_path: Path) -> None:
    pointer = structs.replace(raw(ANN, F.Post(text="one")), body=b"\xc1")
    page = FeedPage(1, 1, 1, (pointer,))
    assert await reader(page, [None]).pointed(b"t" * 32) == []
    assert await reader(page, [raw(BOB, F.Post(text="x"))]).pointed(b"t" * 32) == []
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        post = await said(ann, "x")
        assert await bob.feed.reader.pointed(about_topic(post.key)) == []
        like = await ann.feed.stored(await ann.feed.like(post))
        assert await bob.feed.reader.pointed(about_topic(post.key)) == [like]
