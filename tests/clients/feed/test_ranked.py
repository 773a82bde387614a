"""A reader's side of ranking: what is believed of a page, and what goes to the ranker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from clients.client import Client
from clients.events import Received
from clients.feed import asking, ranked
from clients.feed.ranked import RankError
from extensions.ranking import worker
from protocol.ids import tagged_hash
from protocol.messages import compose
from protocol.messages import rank as K
from protocol.messages.rank import SignalKind
from protocol.scoring.page import open_page, sign_page
from tests.support.feeds import said
from tests.support.ranking import open_ranking
from tests.support.workers import until


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_S", 0.03)


async def test_what_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_ranking(tmp_path) as town:
        ann = (await town.stage.person("ann")).client
        posts = [await said(ann, text) for text in ("one", "two")]
        bob = await town.reader("bob", ann)
        await town.knows(*posts)
        asked: list[K.Page] = []

        async def ask(body: object, wanted: object) -> Any:
            return asked.pop()

        good = await _answer(bob)
        rank, account = bob.feed.rank, town.running.process.engine.shelf.account
        key = next(iter(town.ranking._answers.values()))._key
        page = open_page(good.signed, account)
        monkeypatch.setattr(rank, "_ask", ask)
        item = page.items[0]
        forged = {
            "cannot be believed": [
                sign_page(page, type(key)(tagged_hash("x", ()))),
                sign_page(structs.replace(page, items=(structs.replace(item, score=item.score + 1),)), key),
                b"\xc1",
            ],
            "somebody else": [sign_page(structs.replace(page, reader=ann.account), key)],
        }
        for why, signed in forged.items():
            for data in signed:
                asked.append(structs.replace(good, signed=data, offsets=good.offsets[: len(page.items)]))
                with pytest.raises(RankError, match=why):
                    await rank.page(explore=False)
        asked.append(structs.replace(good, offsets=()))
        with pytest.raises(RankError, match="does not say"):
            await rank.page(explore=False)
        asked.append(structs.replace(good, offsets=tuple(9 for _ in good.offsets)))
        assert (await rank.page(explore=False)).left_out == len(page.items)  # nothing is there
        asked.append(structs.replace(good, offsets=good.offsets[::-1]))
        assert (await rank.page(explore=False)).left_out == 2  # something else is
        await bob.feed.hide_word("one")
        asked.append(good)
        assert [shown.item.text for shown in (await rank.page(explore=False)).items] == ["two"]


async def _answer(client: Client) -> K.Page:
    """A page as the ranker sends it."""
    return await client.feed.rank._ask(K.Request(count=5, bridging=500, plain=True), K.Page)


async def test_signals_go_with_the_next_message(tmp_path: Path) -> None:
    async with open_ranking(tmp_path) as town:
        ann = (await town.stage.person("ann")).client
        post = await said(ann, "one")
        bob = await town.reader("bob", ann)
        await town.knows(post)
        rank = bob.feed.rank
        page = await rank.page(explore=False)
        rank.note(post, SignalKind.OPEN)
        await rank.page(explore=False)
        assert town.signals() == ["open"]
        await rank.shown(page.items)
        await rank.more(page.items[0])
        await rank.hide(page.items[0])
        await rank.page(explore=False)  # after all of those
        assert town.signals() == ["open", "view", "like", "hide"]
        for _ in range(ranked.WAITING_MAX + 5):
            rank.note(post, SignalKind.VIEW)
        assert len(rank._signals) == ranked.WAITING_MAX
        ann.feed.rank.note(post, SignalKind.VIEW)  # who has not opted in tells nothing
        assert ann.feed.rank._signals == []
        await ann.feed.rank.flush()


async def test_a_ranker_that_refuses_or_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_ranking(tmp_path) as town:
        bob = await town.reader("bob")
        rank = bob.feed.rank
        with pytest.raises(RankError, match="something else"):
            await rank._ask(K.Export(), K.Page)
        await bob.block(b"x" * 32)
        town.shop.readers.clear()
        with pytest.raises(RankError, match="not opted in"):
            await rank.page(explore=False)
        home = rank.home
        assert home is not None
        for content in (b"rank.", compose(K.Because(text="x"))):
            event = Received(topic=b"t", offset=1, id=b"i", account=home.account, device=b"d", ts=1, content=content)
            rank.asking._heard(event)
        await town.running.crash()
        monkeypatch.setattr(asking, "ANSWER_S", 0.01)
        with pytest.raises(RankError, match="does not answer"):
            await rank.export()


async def test_pages_go_on_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_ranking(tmp_path) as town:
        posts = []
        for name in ("ann", "cem", "dan"):
            author = (await town.stage.person(name)).client
            posts += [await said(author, f"{name} {n}", f"{name}{n}") for n in range(2)]
        bob = await town.reader("bob")
        await town.knows(*posts)
        first = await bob.feed.rank.page(3, explore=False)
        second = await bob.feed.rank.page(3, below=first)
        assert [item.place for item in (*first.items, *second.items)] == [1, 2, 3, 4, 5, 6]
        assert {item.item.entry.key for item in (*first.items, *second.items)} == {post.key for post in posts}
        with pytest.raises(RankError, match="whole ranking"):
            await bob.feed.rank.page(3, below=second)


async def test_the_newest_version_of_somebody_whom_one_does_not_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_ranking(tmp_path) as town:
        ann, cem = [(await town.stage.person(name)).client for name in ("ann", "cem")]
        first, second = await said(ann, "one"), await said(ann, "two")
        other = await said(cem, "three")
        bob = await town.reader("bob")
        await town.knows(first, second, other)
        changed = [await ann.feed.stored(await ann.feed.edit(first, text)) for text in ("one!", "one!!")]
        await until(lambda: town.shop.edits.get(first.key) == changed[1].offset, "the edit")
        page = await bob.feed.rank.page(explore=False)
        assert {item.item.text: item.item.edits for item in page.items} == {"one!!": 1, "two": 0, "three": 0}
        assert {item.item.text for item in (await bob.feed.rank.briefing()).items} == {"one!!", "two", "three"}
        await bob.feed.hide_word("!!")
        assert {item.item.text for item in (await bob.feed.rank.page(explore=False)).items} == {"two", "three"}
        await bob.feed.hide_word("!!", undo=True)

        log = bob.feed.timelines.log(ann.account)  # as far as this device knows the feed itself
        log.add(changed[0])
        page = await bob.feed.rank.page(explore=False)
        assert {item.item.text: item.item.edits for item in page.items}["one!!"] == 2
        log.add(changed[1])
        again = await bob.feed.rank.page(explore=False)
        assert [item.item for item in again.items] == [item.item for item in page.items]

        good = await _answer(bob)
        asked: list[K.Page] = []

        async def ask(body: object, wanted: object) -> Any:
            return asked.pop()

        monkeypatch.setattr(bob.feed.rank, "_ask", ask)
        log.begin(1, 0)
        place = [item.item.entry.key for item in page.items].index(second.key)
        lies = [(structs.replace(good, edits=tuple(first.offset if n == place else 0 for n in range(3))), "two"),
                (structs.replace(good, edits=tuple(changed[1].offset if n == place else 0 for n in range(3))), "two"),
                (structs.replace(good, edits=()), "two")]  # fmt: skip
        for lie, text in lies:  # no edit, one of another post, none
            asked.append(lie)
            shown = await bob.feed.rank.page(explore=False)
            assert text in {item.item.text for item in shown.items}
        asked.append(structs.replace(good, edits=(1,)))
        with pytest.raises(RankError, match="does not say"):
            await bob.feed.rank.page(explore=False)


async def test_ones_rights_and_settings(tmp_path: Path) -> None:
    async with open_ranking(tmp_path) as town:
        ann = (await town.stage.person("ann")).client
        posts = [await said(ann, text, "sea") for text in ("one", "two")]
        bob = await town.reader("bob", ann)
        await town.knows(*posts)
        rank = bob.feed.rank
        await bob.feed.mute(ann.account)
        assert (await rank.page(explore=False)).items == ()
        await bob.feed.unmute(ann.account)
        page = await rank.page(explore=False)
        first = page.items[0]
        assert sum(int(line.split()[0]) for line in first.why[1:]) == first.placed.score
        tried = replace(first, placed=structs.replace(first.placed, explored=50_000))
        assert "at odds of 5.00 %" in tried.why[0]
        await rank.set_slider(fresh=100)
        await rank.set_slider(bridging=700)
        assert rank.home is not None
        assert (rank.home.bridging, rank.home.fresh) == (700, 100)
        with pytest.raises(RankError, match="0 to 1000"):
            await rank.set_slider(bridging=-1)
        assert await rank.why_not(posts[0])
        brief = await rank.briefing()
        assert {item.item.text for item in brief.items} <= {"one", "two"}
        assert all(item.agreement is not None for item in brief.items)
        await rank.less(first)
        assert first.placed.post.hex() in (await rank.export()).decode()
        assert "forgotten" in await rank.forget()
        again = ranked.Rank(bob.engine, bob.feed.timelines, bob._pair_topic, bob.find)  # as after a restart
        assert again.home == rank.home
        assert "forgotten" in await rank.opt_out()
        for refused in (rank.page(), rank.less(first), rank.briefing()):
            with pytest.raises(RankError, match="not opted in"):
                await refused


async def test_a_briefing_that_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_ranking(tmp_path) as town:
        bob = await town.reader("bob")

        async def ask(body: object, wanted: object) -> Any:
            return K.Brief(signed=b"\xc1", offsets=())

        monkeypatch.setattr(bob.feed.rank, "_ask", ask)
        with pytest.raises(RankError, match="briefing cannot be believed"):
            await bob.feed.rank.briefing()
