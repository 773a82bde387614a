"""Circles that admitted the ranker: three members, two circles, and what comes and goes with membership."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from clients.events import Changed, KeyChanged, Unreadable
from clients.feed.asking import RankError
from clients.vault import VaultError
from extensions.ranking import bounds as B
from extensions.ranking import circle as rows
from extensions.ranking import events as E
from extensions.ranking import worker
from extensions.ranking.circles import Circles, said, tags_in
from extensions.ranking.ranker import Settings
from extensions.rows import Item
from extensions.store import WorkerBatch, WorkerVault, Write
from protocol.ids import entry_key
from protocol.messages import compose
from protocol.messages import feed as F
from protocol.messages import rank as K
from protocol.messages.feed import Target
from protocol.messages.rank import RefusedCode, SignalKind
from protocol.scoring.score import Slider
from tests.extensions.ranking.test_circle import Database
from tests.support.feeds import patiently
from tests.support.ranking import start
from tests.support.ranking_circles import Club, bodies, open_club
from tests.support.workers import until

ANN, BOB, TOPIC = b"a" * 32, b"b" * 32, b"t" * 32


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_S", 0.03)


async def test_each_circle_has_a_ranker_of_its_own(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        await club.admit(club.circle, club.bob)
        posts = await club.says(club.circle, "the #sea is calm", "a #hill")
        theirs = club.of(club.bob, club.circle)
        assert "learns" in await theirs.ranked.opt_in()
        assert theirs.rankers == [club.ranker]
        first = await theirs.ranked.page(explore=False)
        assert {item.item.entry.key for item in first.items} == {post.key for post in posts}
        ranked = theirs.ranked
        ranked.note(first.items[0], SignalKind.DWELL, 4000)
        await ranked.less(first.items[1])
        page = await ranked.page(explore=False)
        assert first.items[1].placed.post not in {item.placed.post for item in page.items}

        events = club.log(club.circle)  # the same events in this process give the same page
        replayed = club.replayed(club.circle)
        served = [event for event in events if isinstance(event, E.Served)][-1]
        before = [event for event in events if event is not served]
        assert [event.ranking for event in events if isinstance(event, E.Served)] == [
            first.page.ranking, page.page.ranking
        ]  # fmt: skip
        assert replayed.statistics().readers == 1
        local = type(replayed)()
        for event in before:
            local.apply(event)
        same = local.page(club.bob.account, page.page.made_ms, Settings(Slider(500, 0), 20, explore=False))
        assert same.items == page.page.items

        assert club.town.shop.places == {}  # nothing of it is public
        public = club.vault.query("SELECT event FROM rank_log")
        assert not [row for (row,) in public if any(post.key in row or post.account in row for post in posts)]
        assert club.town.ranking.statistics(club.town.stage.clock_ms()).circles == 1


async def test_who_may_ask(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        await club.admit(club.circle, club.bob)
        await club.says(club.circle, "one", "two")
        mine, theirs = club.circle.ranked, club.of(club.bob, club.circle).ranked
        with pytest.raises(RankError, match="admit it first") as error:
            await club.of(club.cem, club.other).ranked.opt_in()
        assert error.value.code == RefusedCode.NO_CIRCLE
        await theirs.opt_in()
        whole = await theirs.page(1, explore=False)
        with pytest.raises(RankError, match="not opted in to this circle"):
            await mine.page()

        await patiently(club.cem.feed.rank.opt_in)
        cem, home = club.cem.feed.rank, club.cem.feed.rank.home
        assert home is not None
        texts = set()
        for topic in (club.circle.topic, club.other.topic, bytes(32), home.topic):  # hers, not hers, nobody's, no group
            page = K.Request(count=5, bridging=500, circle=topic)
            for body in (page, K.Consent(circle=topic), K.Export(circle=topic)):
                with pytest.raises(RankError) as error:
                    await cem.asking.ask(body, K.Page, home.account, home.topic)
                assert error.value.code == RefusedCode.NO_CIRCLE
                texts.add(str(error.value))
        assert len(texts) == 1  # who is no member does not learn whether there is such a circle
        cem.asking.say(K.Signals(items=(), circle=club.circle.topic), home.topic)  # not even answered
        await cem.page()

        await club.admit(club.other, club.cem)
        await club.says(club.other, "four")
        elsewhere = club.of(club.cem, club.other).ranked
        await elsewhere.opt_in()
        with pytest.raises(RankError, match="gone") as error:  # a cursor of the other circle, and of somebody else
            await elsewhere._ask(
                K.Request(count=5, bridging=500, ranking=whole.page.ranking, place=1, circle=elsewhere.circle), K.Page
            )
        assert error.value.code == RefusedCode.GONE
        (four,) = (await elsewhere.page(explore=False)).items
        assert four.item.text == "four"
        elsewhere.note(replace(four, ranking=whole.page.ranking), SignalKind.VIEW)  # nor is that a context here
        await elsewhere.page()
        refused = club.replayed(club.other).statistics().refused
        assert sum(refused.values()) == 1, refused

        await club.of(club.bob, club.circle)._say(K.Export())  # asked where all members listen
        await until(lambda: _answered(club, club.circle.topic, RefusedCode.NOT_HERE), "the refusal")
        await club.of(club.bob, club.circle)._say(K.Signals(items=()))
        await theirs.page()  # after it: nothing was said to it


def _answered(club: Club, topic: bytes, code: RefusedCode) -> bool:
    return any(isinstance(body, K.Refused) and body.code == code for body in bodies(club.ann, topic))


async def test_nothing_stays_when_the_ranker_is_put_out(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        for circle, other in ((club.circle, club.bob), (club.other, club.cem)):
            await club.admit(circle, other)
            posts = await club.says(circle, *(f"post {n} #tag" for n in range(30)))
            ranked = club.of(other, circle).ranked
            await ranked.opt_in()
            await ranked.shown((await ranked.page(50)).items)
            await ranked.page(50)
        secrets = [post.key for post in await club.circle.entries()] + [club.bob.account]
        assert all(secret in club.files() for secret in secrets)
        await club.circle.dismiss()
        await club.gone(club.circle)
        assert not [secret for secret in secrets if secret in club.files()]
        talk = club.town.running.process.engine.shelf.conversations[club.circle.topic]
        assert (talk.roster, talk.title) == ({}, "")
        assert {post.key for post in posts} <= club.posts(club.other)  # the other circle is as it was
        with pytest.raises(RankError, match="admit it first"):
            await club.of(club.bob, club.circle).ranked.page()

        await club.says(club.circle, "among ourselves")
        await club.admit(club.circle, club.bob)  # again: with nothing of before
        assert club.log(club.circle) == []
        (late,) = await club.says(club.circle, "welcome back")
        ranked = club.of(club.bob, club.circle).ranked
        with pytest.raises(RankError, match="opted in"):
            await ranked.page()
        await ranked.opt_in()
        assert [item.item.entry.key for item in (await ranked.page()).items] == [late.key]


async def test_what_a_member_told_goes_with_the_member(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        await club.admit(club.circle, club.bob)
        (post,) = await club.says(club.circle, "one")
        mine, theirs = club.circle.ranked, club.of(club.bob, club.circle).ranked
        for ranked in (mine, theirs):
            await ranked.opt_in()
        await theirs.page()
        await club.of(club.bob, club.circle).like(post)
        readers = f"SELECT account FROM rank_circle_{club.number(club.circle)}_readers"
        await until(lambda: any(isinstance(event, E.Signal) for event in club.log(club.circle)), "the like")
        await club.circle._circles.conversation(club.circle.topic).remove([club.bob.account])
        await until(lambda: club.vault.query(readers) == [(club.ann.account,)], "one consent less")
        assert not [event for event in club.log(club.circle) if isinstance(event, E.Served | E.Signal)]
        assert {type(event) for event in club.log(club.circle)} == {E.Post, E.Tick}
        home = theirs.home
        assert home is not None
        with pytest.raises(RankError) as error:
            await theirs.asking.ask(K.Export(circle=club.circle.topic), K.Known, home.account, home.topic)
        assert error.value.code == RefusedCode.NO_CIRCLE


async def test_a_crash_at_any_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_club(tmp_path) as club:
        await club.admit(club.circle, club.bob)
        posts = await club.says(club.circle, "one", "two")
        ranked = club.of(club.bob, club.circle).ranked
        await ranked.opt_in()
        page = await ranked.page(explore=False)
        log = club.log(club.circle)
        await club.again()  # after everything was written: it goes on from its log
        assert club.log(club.circle) == log
        assert {item.placed.post for item in (await ranked.page(explore=False)).items} == {post.key for post in posts}
        with pytest.raises(RankError, match="gone"):
            await ranked.page(below=_endless(page))  # rankings are not kept over a restart

        commit = WorkerVault.commit
        running = club.town.running

        def fails(vault: WorkerVault, batches: Sequence[Any]) -> None:  # in the very transaction that drops the circle
            names = [write.__qualname__ for batch in batches for write in batch.writes]
            commit(vault, batches)
            if any("dropped" in name for name in names):
                raise VaultError("killed right after the transaction")

        def dies(vault: WorkerVault, batches: Sequence[Any]) -> None:
            if any("dropped" in write.__qualname__ for batch in batches for write in batch.writes):
                raise VaultError("killed before the transaction")
            commit(vault, batches)

        monkeypatch.setattr(WorkerVault, "commit", dies)
        await club.circle.dismiss()
        await running.ended.wait()
        monkeypatch.setattr(WorkerVault, "commit", fails)
        path = tmp_path / "worker" / "worker.db"
        with sqlite3.connect(path) as db:  # nothing of the removal was written: neither half
            assert db.execute("SELECT count(*) FROM rank_circles").fetchall() == [(1,)]
        db.close()
        again = await start_until_ended(club)
        with sqlite3.connect(path) as db:  # and now both
            assert db.execute("SELECT count(*) FROM rank_circles").fetchall() == [(0,)]
        db.close()
        assert again
        monkeypatch.setattr(WorkerVault, "commit", commit)
        club.town = await start(club.town.stage)
        await club.gone(club.circle)
        assert not [post for post in posts if post.key in club.files()]
        assert not [account for account in (club.ann.account, club.bob.account) if account in club.files()]


async def start_until_ended(club: Club) -> bool:
    """Start the worker; return when it has died."""
    running = await club.town.stage.start(worker.make_worker())
    await running.ended.wait()
    return running.error is not None


def _endless(page: Any) -> Any:
    return replace(page, page=msgspec.structs.replace(page.page, next=1))


async def test_there_is_no_room_for_ever_more_circles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(B, "CIRCLES_OF_ONE", 1)
    async with open_club(tmp_path) as club:
        await club.admit(club.circle, club.bob)
        await patiently(club.other.admit)
        await until(lambda: _answered(club, club.other.topic, RefusedCode.FULL), "the refusal")
        await until(lambda: club.ranker not in club.other.members, "the ranker's leaving")
        assert club.ranker in club.circle.members
        (post,) = await club.says(club.circle, "here it is")
        assert post.key in club.posts(club.circle)


# -- without a relay ---------------------------------------------------------------------------------------------------
def item(body: Any, account: bytes = ANN, number: int = 1) -> Item:
    return Item(number, TOPIC, number, number.to_bytes(16, "big"), account, b"d" * 32, 1000 + number, compose(body))


def test_what_is_said_becomes_events() -> None:
    post = F.Post(text="the #sea, and a #hill. #sea #a#b #")
    key = entry_key(ANN, (1).to_bytes(16, "big"))
    assert list(said(item(post), post)) == [E.Post(key, ANN, 1001, ("sea", "hill"), "post", None, 0, 8)]
    target = Target(ANN, (1).to_bytes(16, "big"), 1)
    edit, gone = F.Edit(of=target, text="a #lake"), F.Delete(of=target)
    assert list(said(item(edit), edit)) == [E.Edited(key, 1001, ("lake",), 0, 2)]
    assert list(said(item(gone), gone)) == [E.Deleted(key, 1001)]
    for body in (edit, gone):
        assert list(said(item(body, BOB), body)) == []  # of what somebody else said
    like = F.Like(of=target)
    assert list(said(item(like, BOB), like)) == [E.Signal(BOB, key, "like", 1.0, 1001)]
    assert tags_in(" ".join(f"#{n}" for n in range(20))) == tuple(str(n) for n in range(8))
    assert tags_in(f"#{'x' * 40}") == ()


async def test_memory_is_bounded_and_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(B, "CIRCLES_LOADED", 2)
    database = Database()
    topics = [bytes([n]) * 32 for n in range(4)]
    circles = Circles(database.query)
    for topic in topics:
        database.write([rows.made(topic, ANN)])
        circles.begin()
        circle = await circles.open(topic)
        assert circle is not None
        assert await circles.open(topic) is circle
        database.write(circle.apply([E.Post(topic, ANN, 1_000)]))
        circles.settle(written=True)
    assert circles.loaded == 2
    back = await circles.open(topics[0])
    assert back is not None
    assert back.ranker.statistics().posts == 1
    back.apply([E.Post(b"lost", ANN, 1_000)])  # and that write fails
    circles.settle(written=False)
    assert circles.loaded == 0
    back = await circles.open(topics[0])
    assert back is not None
    assert back.ranker.statistics().posts == 1
    assert await circles.open(b"?" * 32) is None
    assert await circles.is_homeless(b"?" * 32)
    assert not await circles.is_homeless(topics[0])


async def test_tables_that_go_while_they_are_read() -> None:
    database = Database()
    circles = Circles(database.query)
    database.write([rows.made(TOPIC, ANN)])
    read = circles._read
    steps: list[Write] = [rows.dropped(TOPIC)]

    def goes(topic: bytes) -> Any:
        if steps:
            circles._drops += 1
            database.write([steps.pop()])
            raise VaultError("no such table")
        return read(topic)

    circles._read = goes  # type: ignore[method-assign]
    assert await circles.open(TOPIC) is None

    def fails(topic: bytes) -> Any:
        raise VaultError("the disk is broken")

    circles._read = fails  # type: ignore[method-assign]
    with pytest.raises(VaultError, match="broken"):
        await circles.open(TOPIC)


async def test_likes_of_who_is_out_by_now(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        await club.admit(club.circle, club.bob)
        (post,) = await club.says(club.circle, "one")
        shelf = club.town.running.process.engine.shelf
        reply, like = F.Reply(to=post.target, text="late"), F.Like(of=post.target)
        for account, wanted in ((club.bob.account, [E.Post, E.Signal, E.Signal]), (club.cem.account, [E.Post])):
            before = len(club.log(club.circle))
            for number, body in enumerate((reply, like), 1):
                late = msgspec.structs.replace(item(body, account, number), topic=club.circle.topic)
                club.vault.commit([WorkerBatch(writes=await club.circles.hear(shelf, late, body))])
            assert [type(event) for event in club.log(club.circle)[before:]] == wanted


async def test_news_of_no_group(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        shelf = club.town.running.process.engine.shelf
        await patiently(club.bob.feed.rank.opt_in)
        home = club.bob.feed.rank.home
        assert home is not None
        seen = Unreadable(topic=club.circle.topic, offset=1, account=ANN, reason="x")  # nobody came or went
        for event in (KeyChanged(topic=ANN, text="x"), Changed(topic=home.topic, by=ANN), seen):
            assert club.circles.witness(shelf, event) == []
        await club.ann.conversation(club.circle.topic).send("chat is no post")
        club.bob.feed.rank.asking.say(F.Post(text="to the ranker alone"), home.topic)
        await club.bob.feed.rank.page()
        assert club.circles.loaded == 0
        await trio.lowlevel.checkpoint()
