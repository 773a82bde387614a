"""The ranker as a worker: it reads what is public, answers readers, and comes back as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients.feed.ranked import RankError
from extensions.ranking import bounds
from extensions.ranking import worker as module
from extensions.ranking.shadow import FILE
from protocol.messages import feed as F
from protocol.messages import rank as K
from protocol.messages.rank import RefusedCode, SignalKind
from tests.support.feeds import patiently, said
from tests.support.ranking import open_ranking, start
from tests.support.ranking_circles import bodies, open_club
from tests.support.workers import until


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.03)


async def test_a_reader_and_the_ranker(tmp_path: Path) -> None:
    async with open_ranking(tmp_path) as town:
        ann, cem = [(await town.stage.person(name)).client for name in ("ann", "cem")]
        sea, hill = await said(ann, "the sea", "sea"), await said(cem, "a hill", "hill")
        bob = await town.reader("bob", ann)
        await town.knows(sea, hill)
        page = await bob.feed.rank.page(explore=False)
        assert {item.item.text for item in page.items} == {"the sea", "a hill"}
        assert page.left_out == 0
        first = page.items[0]
        assert first.why[0].startswith(f"{first.placed.score} points, from ")
        await bob.feed.rank.shown(page.items)
        await bob.feed.rank.less(first)
        following = await bob.feed.rank.page(explore=False)
        assert first.item.entry.key not in {item.placed.post for item in following.items}
        assert await bob.feed.rank.why_not(first.item.entry)
        known = json.loads(await bob.feed.rank.export())
        assert known
        assert "forgotten" in await bob.feed.rank.forget()
        briefing = await bob.feed.rank.briefing()
        assert len(briefing.items) <= 7
        assert "forgotten" in await bob.feed.rank.opt_out()
        with pytest.raises(RankError, match="chronological"):
            await bob.feed.rank.page(explore=False)


async def test_a_shadow_learns_beside_and_is_never_served(tmp_path: Path) -> None:
    data = tmp_path / "worker"
    data.mkdir()
    (data / FILE).write_text('{"head_rate": 0.5}')
    async with open_ranking(tmp_path) as town:
        authors = [(await town.stage.person(name)).client for name in ("ann", "cem")]
        posts = [await said(author, "words", "sea") for author in authors]
        bob = await town.reader("bob", *authors)
        await town.knows(*posts)
        page = await bob.feed.rank.page(explore=False)
        bob.feed.rank.note(page.items[1], SignalKind.LIKE, 1000)
        await bob.feed.rank.page(explore=False)
        shop, now_ms = town.shop, town.stage.clock_ms()
        told = town.ranking.statistics(now_ms)
        assert shop.shadow is not None
        assert shop.shadow.ranker.learner.heads.rate == 0.5
        assert told.shadow is not None
        assert told.shadow.compared == 1
        assert 0.5 <= told.shadow.live <= 1
        assert told.ranker.events == shop.shadow.ranker.statistics().events == shop.number
        assert told.lag_ms >= 0
        town.ranking.lag.waits("readers", now_ms - 90_000)
        assert town.ranking.statistics(now_ms).lag_ms == 90_000
        await bob.feed.rank.page(explore=False)  # what waited is dealt with
        assert town.ranking.statistics(town.stage.clock_ms()).lag_ms < 90_000
        await town.running.crash()
        with pytest.raises(LookupError, match="not read"):
            town.ranking.statistics(now_ms)
        (data / FILE).write_text('{"speed": 9}')
        again = await start(town.stage)
        assert again.shop.shadow is None
        assert again.ranking.statistics(now_ms).shadow is None


async def test_a_restart_goes_on_from_the_log(tmp_path: Path) -> None:
    async with open_ranking(tmp_path) as town:
        ann = (await town.stage.person("ann")).client
        post = await said(ann, "the sea", "sea")
        bob = await town.reader("bob", ann)
        await town.knows(post)
        page = await bob.feed.rank.page(explore=False)
        bob.feed.rank.note(page.items[0], SignalKind.DWELL, 4000)
        await bob.feed.rank.flush()
        await bob.feed.rank.page(explore=False)  # what was said before it is learned
        number, places, shards = town.shop.number, dict(town.shop.places), dict(town.shop.shards)
        before = town.shop.ranker.statistics()
        await town.running.crash()
        again = await start(town.stage)
        assert again.shop.places == places
        assert all(again.shop.shards[shard] >= place for shard, place in shards.items())  # bob's follow may come last
        assert again.shop.number >= number  # it may have ticked again
        assert again.shop.ranker.statistics().posts == before.posts
        assert bob.account in again.shop.readers
        other = await said(ann, "the tide")
        await again.knows(other)
        await ann.feed.stored(await ann.feed.delete(other))
        await until(lambda: other.key not in again.shop.places, "the end of it")


async def test_circles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "CIRCLES_OF_ONE", 1)
    async with open_club(tmp_path) as club:
        await club.admit(club.circle, club.bob)
        (post,) = await club.says(club.circle, "among us")
        ranked = club.of(club.bob, club.circle).ranked
        await ranked.opt_in()
        home = ranked.home
        assert home is not None
        assert [item.item.entry.key for item in (await ranked.page()).items] == [post.key]
        talks = ranked.asking
        with pytest.raises(RankError) as error:
            await talks.ask(K.Request(count=1, bridging=0, circle=club.other.topic), K.Page, home.account, home.topic)
        assert error.value.code == RefusedCode.NO_CIRCLE
        talks.say(K.Signals(items=(), circle=club.other.topic), home.topic)
        talks.say(F.Post(text="to the ranker alone"), home.topic)
        for body in (K.Export(), K.Signals(items=())):  # asked where all members listen
            await club.of(club.bob, club.circle)._say(body)
        await until(lambda: any(isinstance(body, K.Refused) for body in bodies(club.ann, club.circle.topic)), "that")

        await patiently(club.other.admit)  # one too many
        await until(lambda: any(isinstance(body, K.Refused) for body in bodies(club.ann, club.other.topic)), "that")
        await until(lambda: club.ranker not in club.other.members, "its leaving")

        await club.town.running.crash()  # and while it is away it is put out
        await club.circle.dismiss()
        await until(lambda: club.ranker not in club.circle.members, "the end of it")
        club.town = await start(club.town.stage)
        await club.gone(club.circle)
        with pytest.raises(RankError, match="no such circle"):
            await talks.ask(K.Export(circle=club.circle.topic), K.Known, home.account, home.topic)
