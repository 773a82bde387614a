"""Notices of new posts in a chat: few, short, and never of what one does not want to see."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from clients.cli.lines import Lines
from clients.cli.postnews import PostNews
from clients.cli.room import Room
from clients.client import Client
from clients.connection import Refusal
from protocol import limits as L
from protocol.errors import Code
from protocol.frames import Err
from protocol.ids import feed_topic
from tests.support.feeds import open_town, people, said
from tests.support.workers import Stage, until


async def reader_of(town: Stage, *authors: str) -> tuple[Client, list[Client], PostNews, list[str]]:
    """Somebody who follows authors of one post each, and what their chat says of it; nothing is news yet."""
    (bob,) = await people(town, "bob")
    clients = await people(town, *authors)
    for name, client in zip(authors, clients, strict=True):
        await said(client, "before")
        await bob.add_contact(client.account, name)
        await bob.feed.follow(client.account, secretly=True)
    shown: list[str] = []
    return bob, clients, PostNews(Room(bob), shown.append), shown


async def came(bob: Client, author: Client, offset: int) -> None:
    """Wait until an entry has come live."""
    await until(lambda: bob.feed.timelines.log(author.account).high >= offset, "the entry")


async def test_how_much_and_by_whom(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        bob, (ann, cem, dan, eve), news, _ = await reader_of(town, "ann", "cem", "dan", "eve")
        await came(bob, ann, 1)
        await news._look()
        assert news.line() is None
        post = await said(ann, "one")
        await came(bob, ann, 2)
        assert news.line() == "1 new post by ann: /timeline shows what you follow"
        assert news.line() is None
        await said(ann, "two")
        await ann.feed.stored(await ann.feed.like(post))
        await ann.feed.stored(await ann.feed.repost(post))
        for author in (cem, dan, eve):
            await said(author, "three")
            await came(bob, author, 2)
        await came(bob, ann, 5)
        assert news.line() == "5 new posts by ann, cem, dan and 1 more: /timeline shows what you follow"


async def test_what_is_no_news(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        bob, (ann, cem), news, _ = await reader_of(town, "ann", "cem")
        await news._look()
        await said(ann, "sports")
        await said(ann, "seen elsewhere")
        await said(cem, "muted")
        await came(bob, ann, 3)
        await came(bob, cem, 2)
        await bob.feed.mute(cem.account)
        await bob.feed.hide_word("sports")
        await said(bob, "my own")
        bob.engine.shelf.save_read(feed_topic(ann.account), 1, 3)
        assert news.line() is None
        await said(ann, "more sports")
        await said(ann, "the tide")
        await came(bob, ann, 5)
        assert news.line() == "1 new post by ann: /timeline shows what you follow"
        await bob.feed.unmute(cem.account)
        assert news.line() is None
        await bob.feed.unfollow(cem.account)
        await bob.feed.unfollow(ann.account)
        await news._look()
        assert news.line() is None
        assert not news._told


async def test_what_was_said_since_one_has_read_is_news_at_the_start(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        bob, (ann,), _, _ = await reader_of(town, "ann")
        await bob.feed.seen(await bob.feed.timeline())
        await said(ann, "not read")
        await came(bob, ann, 2)
        news = PostNews(Room(bob), pytest.fail)
        await news._look()
        assert news.line() == "1 new post by ann: /timeline shows what you follow"


async def test_two_notices_are_a_while_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_town(tmp_path) as town:
        bob, (ann,), news, shown = await reader_of(town, "ann")
        town.nursery.start_soon(news.run)
        await until(lambda: ann.account in news._told)
        await said(ann, "one")
        await until(lambda: len(shown) == 1, "a notice")
        await said(ann, "two")
        await came(bob, ann, 3)
        await trio.testing.wait_all_tasks_blocked()
        assert len(shown) == 1
        assert news.line() is not None
    assert L.FEED_NEWS_MS >= 60_000
    monkeypatch.setattr(L, "FEED_NEWS_MS", 1)
    async with open_town(tmp_path / "again") as town:
        bob, (ann,), news, shown = await reader_of(town, "ann")
        town.nursery.start_soon(news.run)
        await until(lambda: ann.account in news._told)
        for number in (1, 2):
            await said(ann, "post")
            await until(lambda number=number: len(shown) == number, "a notice")  # type: ignore[misc]


async def test_feeds_that_do_not_come_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L, "FEED_LIVE_MAX", 1)
    monkeypatch.setattr(L, "FEED_NEWS_HEADS_MS", 10)
    async with open_town(tmp_path) as town:
        bob, (ann, cem), news, shown = await reader_of(town, "ann", "cem")
        assert not {feed_topic(one.account) for one in (ann, cem)} & set(bob.engine.tids.values())
        town.nursery.start_soon(news.run)
        await until(lambda: {ann.account, cem.account} == set(news._told))
        await said(ann, "one")
        await until(lambda: shown == ["1 new post by ann: /timeline shows what you follow"], "a notice")
        assert cem.account not in {log.account for log in bob.feed.timelines.logs.values() if log.entries}


async def test_a_refusal_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L, "FEED_NEWS_HEADS_MS", 10)
    async with open_town(tmp_path) as town:
        bob, (ann,), news, shown = await reader_of(town, "ann")
        reader, refused = bob.feed.reader, 0
        really = reader.heads

        async def refuse(topics: list[bytes]) -> object:
            nonlocal refused
            refused += 1
            if refused < 3:
                raise Refusal(Err(1, Code.FORBIDDEN, "not now"))
            return await really(topics)

        monkeypatch.setattr(reader, "heads", refuse)
        town.nursery.start_soon(news.run)
        await until(lambda: ann.account in news._told)
        await said(ann, "one")
        await until(lambda: len(shown) == 1, "a notice")


async def test_a_chat_for_people_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_town(tmp_path) as town:
        bob, (ann,), _, _ = await reader_of(town, "ann")
        face = Lines(bob, town.nursery)
        town.nursery.start_soon(face._personal.posts.run)
        await until(lambda: ann.account in face._personal.posts._told)
        await said(ann, "one")
        shown: list[str] = []

        def is_shown() -> bool:
            shown.append(capsys.readouterr().out)
            return "1 new post by ann" in "".join(shown)

        await until(is_shown, "a notice")
