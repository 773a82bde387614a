"""Reading many feeds: long absences stay bounded, older parts come when they are wanted, and what is missing shows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import trio

from clients.client import Client, open_client
from clients.connection import LinkDown
from clients.feed import Gap, Item, timeline
from clients.vault import Secret, Vault
from protocol import limits as L
from protocol.frames import Msg
from protocol.ids import feed_topic
from tests.support.feeds import open_town, people, said, texts
from tests.support.workers import Stage, until


async def many(client: Client, count: int, first: int = 0) -> None:
    """Post so many."""
    ids = [await client.feed.post(f"{n}") for n in range(first, first + count)]
    await client.feed.stored(ids[-1])


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is read unasked."""
    monkeypatch.setattr(timeline, "LOADED", 5)


@pytest.mark.usefixtures("short")
async def test_a_long_feed_is_read_as_far_as_somebody_reads(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        await many(ann, 32)
        bob.engine.shelf.save_follow(ann.account, follows=True)
        page = await bob.feed.timeline(limit=3)
        assert texts(page) == ["31", "30", "29"]
        assert bob.feed.timelines.log(ann.account).low == 27  # no more than that was read
        everything = texts(page)
        while page:
            page = await bob.feed.timeline(before=page[-1].cursor, limit=3)
            everything += texts(page)
        assert everything == [str(n) for n in range(31, -1, -1)]


@pytest.mark.usefixtures("short")
async def test_what_is_not_read_is_a_gap_that_can_be_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "ROUNDS_MAX", 0)
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        await many(ann, 12)
        bob.engine.shelf.save_follow(ann.account, follows=True)
        page = await bob.feed.timeline(limit=9)
        assert texts(page) == ["11", "10", "9", "8", "7", "gap 1-7"]
        gap = page[-1]
        assert isinstance(gap, Gap)
        await bob.feed.fill(gap)
        await bob.feed.fill(gap)  # nothing is left of it
        assert texts(await bob.feed.timeline(limit=20)) == [str(n) for n in range(11, -1, -1)]


@pytest.mark.usefixtures("short")
async def test_a_week_away(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        (ann,) = await people(town, "ann")
        await many(ann, 3)
        with closing(Vault(tmp_path / "bob.db", Secret.key_file(tmp_path / "bob.key"))) as vault:
            async with open_client(town.relay.url, vault) as bob:
                await bob.feed.follow(ann.account)
                await bob.feed.seen(await bob.feed.timeline())
            await many(ann, 30, 3)
            async with open_client(town.relay.url, vault) as bob:
                await until(lambda: bob.feed.timelines.log(ann.account).high == 33, "what is new")
                log = bob.feed.timelines.log(ann.account)
                assert (log.low, len(log.entries)) == (28, 5)
                assert texts(bob.feed.timelines.page(None, 9))[-1] == "gap 4-28"
                assert texts(await bob.feed.timeline(limit=40)) == [str(n) for n in range(32, -1, -1)]


async def test_more_feeds_than_are_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L, "FEED_LIVE_MAX", 1)
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        await said(ann, "one")
        await bob.feed.follow(ann.account)
        assert feed_topic(ann.account) not in bob.engine.tids.values()
        assert texts(await bob.feed.timeline()) == ["one"]
        await said(ann, "two")
        assert texts(await bob.feed.timeline()) == ["two", "one"]
        await bob.feed.unfollow(ann.account)


async def test_what_retention_removed_is_gone(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        await many(ann, 2)
        await _retain(town)
        await said(ann, "left")
        await bob.feed.follow(ann.account)
        page = await bob.feed.timeline()
        assert texts(page) == ["left", "gap 1-2"]
        assert isinstance(page[1], Gap)
        assert page[1].gone
        await bob.feed.fill(page[1])
        await bob.feed.seen(page)


async def _retain(town: Stage) -> None:
    relay = town.relay.node.relay
    await relay.retain(relay.clock_ms() + 1)


async def test_a_forged_entry_has_an_offset_and_no_more(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        entry = await said(ann, "true")
        await bob.feed.follow(ann.account)
        await until(lambda: texts(bob.feed.timelines.page(None, 9)) == ["true"], "it")
        lines = bob.feed.timelines
        forged = Msg(9, 2, entry.id, ann.account, b"d" * 32, entry.ts, 8, 0, 0, b"\x91\xa4post", b"lies")
        lines.entry(feed_topic(ann.account), forged)
        lines.entry(feed_topic(b"x" * 32), forged)  # of a feed that we do not read
        await until(lambda: lines.log(ann.account).high == 2, "the offset")
        assert bob.feed.reader.bad == 1
        lines.arrive(ann.account, 5, None)  # two are missing
        assert texts(lines.page(None, 9)) == ["gap 3-4", "true"]


async def test_a_restored_feed_is_read_anew(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        await said(ann, "one")
        await bob.feed.follow(ann.account)
        await bob.feed.timeline()
        log = bob.feed.timelines.log(ann.account)
        log.generation, log.high = 0, 7  # of a history that was lost
        page = await bob.feed.timeline()
        assert texts(page) == ["one"]
        assert isinstance(page[0], Item)


async def test_threads(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        post = await said(ann, "one")
        reply = await bob.feed.stored(await bob.feed.reply(post, "two"))
        await ann.feed.stored(await ann.feed.reply(reply, "three"))
        await bob.feed.stored(await bob.feed.like(post))
        await ann.feed.stored(await ann.feed.edit(post, "one, edited"))
        for entry in (post, reply):
            found = await bob.feed.timelines.thread(entry)
            assert [(depth, item.text) for depth, item in found] == [(0, "one, edited"), (1, "two"), (2, "three")]
        await ann.feed.stored(await ann.feed.delete(post))
        assert await bob.feed.timelines.thread(post) == []
        assert [item.text for _, item in await bob.feed.timelines.thread(reply)] == ["two", "three"]
        await bob.feed.timeline()
        assert bob.feed.timelines.likes() == {post.key}
        await bob.feed.stored(await bob.feed.like(post, undo=True))
        assert bob.feed.timelines.likes() == set()


async def test_what_cannot_be_checked_now_is_read_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        await said(ann, "one")
        await bob.feed.follow(ann.account)
        await until(lambda: texts(bob.feed.timelines.page(None, 9)) == ["one"], "it")
        asked = trio.Event()

        async def down(raws: object) -> None:
            asked.set()
            raise LinkDown("gone")

        monkeypatch.setattr(bob.feed.reader, "checked", down)
        await said(ann, "two")
        await asked.wait()
        monkeypatch.undo()
        assert texts(await bob.feed.timeline()) == ["two", "one"]
