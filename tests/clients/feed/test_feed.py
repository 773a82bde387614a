"""What people say in public and read of each other, through a real relay."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from clients.feed import Item
from clients.feed.media import as_media
from protocol import limits as L
from protocol.feeds import FeedError
from protocol.messages import feed as F
from protocol.messages.feed import Target
from tests.support.feeds import open_town, people, said, texts
from tests.support.workers import until


async def test_following_and_reading(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob, cem = await people(town, "ann", "bob", "cem")
        await said(ann, "first", "sea")
        await bob.feed.follow(ann.account)
        await bob.feed.follow(cem.account, secretly=True)
        await said(cem, "second")
        await said(bob, "mine")
        assert texts(await bob.feed.timeline()) == ["mine", "second", "first"]
        assert texts(await cem.feed.timeline()) == ["second"]
        assert bob.feed.follows == {ann.account, cem.account}
        assert await ann.feed.followers(ann.account) == 1
        assert await ann.feed.followers(cem.account) == 0  # secretly
        await bob.feed.unfollow(ann.account)
        await bob.feed.unfollow(ann.account)
        assert texts(await bob.feed.timeline()) == ["mine", "second"]
        with pytest.raises(FeedError, match="your own"):
            await bob.feed.follow(bob.account)


async def test_news_come_live(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        await said(ann, "before")
        await bob.feed.follow(ann.account)
        await until(lambda: texts(bob.feed.timelines.page(None, 9)) == ["before"])
        await said(ann, "after")
        await until(lambda: texts(bob.feed.timelines.page(None, 9)) == ["after", "before"])
        await bob.feed.seen(bob.feed.timelines.page(None, 9))
        await bob.feed.unfollow(ann.account)
        await said(ann, "unheard")
        await said(bob, "own")
        assert texts(bob.feed.timelines.page(None, 9)) == ["own"]


async def test_who_begins_to_post_later_comes_live_too(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        await bob.feed.follow(ann.account, secretly=True)
        await said(ann, "first")
        assert texts(await bob.feed.timeline()) == ["first"]
        await said(ann, "second")
        await until(lambda: texts(bob.feed.timelines.page(None, 9)) == ["second", "first"])


async def test_answers_likes_and_reposts(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        post = await said(ann, "what is the tide?", "sea")
        reply = await bob.feed.stored(await bob.feed.reply(post, "high at four"))
        again = await ann.feed.stored(await ann.feed.reply(reply, "thank you"))
        await bob.feed.stored(await bob.feed.like(post))
        repost = await bob.feed.stored(await bob.feed.repost(post))
        quote = await bob.feed.stored(await bob.feed.quote(post, "look"))
        label = await bob.feed.stored(await bob.feed.label(post, "question"))
        note = await bob.feed.stored(await bob.feed.note(post, "tides differ", sources=("https://tides.example",)))
        await ann.feed.stored(await ann.feed.rate(note, 2))
        assert repost.tags == ("sea",)
        assert quote.about == label.about == Target(ann.account, post.id, post.offset, post.hash)
        assert await bob.feed.counts([post, again]) == [6, 0]
        for start in (post, reply, again):
            thread = await bob.feed.thread(start)
            whole = [(0, "what is the tide?"), (1, "high at four"), (2, "thank you")]
            assert [(depth, item.text) for depth, item in thread] == whole
        await bob.feed.follow(ann.account)
        assert [item.liked for item in await bob.feed.timeline() if isinstance(item, Item)][-1]
        await bob.feed.stored(await bob.feed.like(post, undo=True))
        assert not [item for item in await bob.feed.timeline() if isinstance(item, Item) and item.liked]


async def test_edited_and_taken_back(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        post, other = await said(ann, "teh tide"), await said(ann, "oops")
        await bob.feed.follow(ann.account)
        await ann.feed.stored(await ann.feed.edit(post, "the tide"))
        await ann.feed.stored(await ann.feed.delete(other))
        page = await bob.feed.timeline()
        assert texts(page) == ["the tide"]
        assert isinstance(page[0], Item)
        assert (page[0].edits, page[0].entry.text) == (1, "teh tide")
        assert [item.text for _, item in await bob.feed.thread(post)] == ["the tide"]
        assert await bob.feed.thread(other) == []
        assert await bob.feed.reader.entries([other.target]) == [None]
        with pytest.raises(FeedError, match="somebody else"):
            await bob.feed.edit(post, "lies")
        with pytest.raises(FeedError, match="somebody else"):
            await bob.feed.delete(post)


async def test_a_profile_and_files(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        assert await bob.feed.profile(ann.account) is None
        picture = tmp_path / "tide.png"
        picture.write_bytes(b"\x89PNG" + bytes(300_000))
        await ann.feed.stored(await ann.feed.set_profile("Ann", "sees the sea", picture))
        await ann.feed.stored(await ann.feed.set_profile("Ann B."))
        assert await bob.feed.profile(ann.account) == F.Profile(name="Ann B.")
        post = await ann.feed.stored(await ann.feed.post("look", media=[picture]))
        await bob.feed.follow(ann.account)
        (item,) = [item for item in await bob.feed.timeline() if isinstance(item, Item)]
        path = await bob.download(as_media(item.media[0]), tmp_path / "copy.png")
        assert path.read_bytes() == picture.read_bytes()
        again = await ann.feed.stored(await ann.feed.quote(post, "again", media=post.media))
        assert again.media == post.media
        with pytest.raises(ValueError, match="at most 4"):
            await ann.feed.post(media=[picture] * 5)


async def test_what_is_not_shown(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob, cem = await people(town, "ann", "bob", "cem")
        post = await said(ann, "Weather and SPORTS")
        await said(cem, "quiet", "politics")
        for account in (ann.account, cem.account):
            await bob.feed.follow(account)
        await bob.feed.hide_word(" Sports")
        assert bob.feed.hidden_words == ("sports",)
        assert texts(await bob.feed.timeline()) == ["quiet"]
        assert await bob.feed.thread(post) == []
        await bob.feed.hide_word("sports", undo=True)
        await bob.feed.mute(cem.account)
        await said(ann, "clean")
        assert texts(await bob.feed.timeline()) == ["clean", "Weather and SPORTS"]
        await cem.feed.stored(await cem.feed.repost(post))
        await bob.feed.unmute(cem.account)
        await bob.feed.mute(cem.account, 0)  # over at once
        assert len(await bob.feed.timeline()) == 4
        await bob.block(ann.account)  # what others repeat of her goes too
        assert texts(await bob.feed.timeline()) == ["quiet"]
        with pytest.raises(FeedError, match="1 to 64"):
            await bob.feed.hide_word(" ")


async def test_what_the_relay_or_others_would_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_town(tmp_path) as town:
        (ann,) = await people(town, "ann")
        for tags in (["two words"], ["t"] * 9, [f"t{n}" for n in range(10_000)], [""]):
            with pytest.raises(ValueError, match=r".+"):
                await ann.feed.post("x", tags=tags)
        with pytest.raises(ValueError, match=r".+"):
            await ann.feed.post("x" * (L.FEED_TEXT_CHARS_MAX + 1))
        post = await said(ann, "gone")
        await ann.feed.stored(await ann.feed.delete(post))
        with pytest.raises(FeedError, match="404"):
            await ann.feed.stored(await ann.feed.delete(post))
        monkeypatch.setattr(L, "FEED_FOLLOWS_MAX", 0)
        with pytest.raises(FeedError, match="unfollow"):
            await ann.feed.follow(b"x" * 32)


async def test_a_second_start_goes_on_with_the_feed(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        (ann,) = await people(town, "ann")
        await said(ann, "one")
        ann.feed._founded = False  # as after a restart: the relay says that the feed exists, and it goes on
        files = tmp_path / "a.txt"
        files.write_text("text")
        entry = await ann.feed.stored(await ann.feed.post("two", media=[files]))
        assert entry.offset == 2
        assert not ann.engine.shelf.outgoing


async def test_entries_wait_for_the_relay_and_few_fates_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clients.feed.feed.FATES_MAX", 1)
    async with open_town(tmp_path) as town:
        (ann,) = await people(town, "ann")
        first = await said(ann, "one")
        await said(ann, "two")
        assert first.id not in ann.feed._fates
        async with trio.open_nursery() as nursery:
            waiting = await ann.feed.post("three")
            nursery.start_soon(ann.feed.stored, waiting)
        assert ann.feed._fates[waiting].offset == 3  # type: ignore[union-attr]
