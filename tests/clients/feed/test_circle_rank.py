"""A member's side of a circle's ranking: what it is told, believes and shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from clients.client import Client
from clients.feed.asking import RankError
from extensions.ranking import worker
from extensions.ranking.events import Follow
from protocol.messages import rank as K
from protocol.messages.rank import RefusedCode
from protocol.scoring.page import open_page, sign_page
from tests.support.ranking_circles import open_club
from tests.support.workers import until


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_S", 0.03)


async def test_pages_are_of_this_circle_and_shown_from_this_device(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        await club.admit(club.circle, club.bob)
        one, two = await club.says(club.circle, "one #a", "two #b")
        theirs = club.of(club.bob, club.circle)
        ranked = theirs.ranked
        assert club.of(club.bob, club.circle).ranked is ranked
        for follows in (club.ann, club.cem):
            await club.bob.feed.follow(follows.account, secretly=True)
        with pytest.raises(RankError, match="you have not opted in to this circle"):
            await ranked.page()
        await ranked.opt_in()
        assert [event for event in club.log(club.circle) if isinstance(event, Follow)] == [
            Follow(club.bob.account, club.ann.account, _at(club.log(club.circle)))
        ]  # whom bob follows elsewhere is nobody's business here
        assert ranked.home is not None
        assert club.bob.feed.rank.home is None
        await club.circle.edit(one, "one, better")
        await club.circle.note(two, "of which I know more", sources=["https://example.org"])
        await until(lambda: len(club.log(club.circle)) >= 5, "the edit and the note")
        await _hears(club.bob, club.circle.topic, 4)
        page = await ranked.page(explore=False)
        assert {item.item.text: item.item.edits for item in page.items} == {"one, better": 1, "two #b": 0}
        assert {item.circle for item in page.items} == {club.circle.topic}
        assert page.items[0].why[0].startswith(f"{page.items[0].placed.score} points")
        await club.bob.feed.hide_word("better")
        await club.circle.delete(two)
        await _hears(club.bob, club.circle.topic, 5)
        page = await ranked.page(explore=False)
        assert page.items == ()
        assert await ranked.why_not(two)
        brief = await ranked.briefing()
        assert brief.items == ()
        assert b"follows" in await ranked.export()
        assert "forgotten" in await ranked.forget()
        assert "forgotten" in await ranked.opt_out()
        assert ranked.home is None


def _at(events: list[Any]) -> int:
    return next(event.at_ms for event in events if isinstance(event, Follow))


async def _hears(client: Client, topic: bytes, count: int) -> None:
    circle = client.feed.circles.get(topic)
    await until(lambda: len(circle._entries()) >= count, "what was said")


async def test_what_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_club(tmp_path) as club:
        await club.admit(club.circle, club.bob)
        await club.says(club.circle, "one", "two")
        ranked = club.of(club.bob, club.circle).ranked
        await ranked.opt_in()
        good = await ranked._ask(K.Request(count=5, bridging=500, plain=True, circle=ranked.circle), K.Page)
        assert set(good.offsets) == {0}
        assert set(good.notes) <= {None}
        key = next(iter(club.town.ranking._answers.values()))._key
        page = open_page(good.signed, club.ranker)
        item = page.items[0]
        asked: list[bytes] = []

        async def ask(body: object, wanted: object) -> K.Page:
            return structs.replace(good, signed=asked.pop())

        monkeypatch.setattr(ranked, "_ask", ask)
        asked.append(sign_page(structs.replace(page, reader=club.ann.account), key))
        with pytest.raises(RankError, match="somebody else"):
            await ranked.page(explore=False)
        asked.append(sign_page(structs.replace(page, items=(structs.replace(item, score=item.score + 1),)), key))
        with pytest.raises(RankError, match="cannot be believed"):
            await ranked.page(explore=False)
        for forged in (structs.replace(item, post=b"?" * 32), structs.replace(item, author=club.bob.account)):
            asked.append(sign_page(structs.replace(page, items=(forged,)), key))
            shown = await ranked.page(explore=False)
            assert (shown.items, shown.left_out) == ((), 1)


async def test_only_while_the_ranker_is_a_member(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        theirs = club.of(club.bob, club.circle)
        await club.admit(club.circle, club.bob)
        await theirs.ranked.opt_in()
        await club.circle.dismiss()
        await until(lambda: club.ranker not in theirs.members, "the end of it")
        for refused in (theirs.ranked.page(), theirs.ranked.opt_in(), theirs.ranked.forget()):
            with pytest.raises(RankError, match="admit it first") as error:
                await refused
            assert error.value.code == RefusedCode.NO_CIRCLE
        assert "put out" in await theirs.ranked.opt_out()
        with pytest.raises(RankError, match="you have not opted in"):
            await theirs.ranked.opt_out()
