"""Authors under a name, and a timeline of them alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.feed import Item
from protocol import limits as L
from protocol.errors import RemoteProtocolError
from protocol.feeds import FeedError
from protocol.messages import compose, parse
from protocol.messages import feed as F
from tests.support.clients import open_world
from tests.support.devices import link
from tests.support.feeds import open_town, people, said, texts
from tests.support.workers import Stage


async def test_a_timeline_of_those_on_a_list(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob, cem, dan = await people(town, "ann", "bob", "cem", "dan")
        lists = ann.feed.lists
        for who, text in ((bob, "one"), (cem, "two"), (dan, "three"), (ann, "mine")):
            await said(who, text)
        await ann.feed.follow(dan.account)
        await lists.add("sea", bob.account, cem.account)
        assert texts(await lists.timeline("sea")) == ["two", "one"]
        assert texts(await ann.feed.timeline()) == ["mine", "three"]
        page = await lists.timeline("sea", limit=1)
        assert texts(await lists.timeline("sea", page[-1].cursor)) == ["one"]
        await ann.feed.mute(cem.account)
        assert texts(await lists.timeline("sea")) == ["one"]
        await said(bob, "four")
        assert texts(await lists.timeline("sea")) == ["four", "one"]
        assert ann.feed.follows == {dan.account}
        assert lists.everybody == {bob.account, cem.account}


async def test_what_nobody_reads_any_more_is_forgotten(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob, cem, dan = await people(town, "ann", "bob", "cem", "dan")
        lists, logs = ann.feed.lists, ann.feed.timelines.logs
        await ann.feed.follow(cem.account)
        await lists.add("sea", bob.account, cem.account, dan.account)
        await lists.add("sky", dan.account)
        await lists.timeline("sea")
        await lists.remove("sea", bob.account, ann.account)
        assert lists.accounts("sea") == tuple(sorted((cem.account, dan.account)))
        await lists.drop("sea")
        assert lists.names == ("sky",)
        assert bob.account not in logs
        assert {cem.account, dan.account} <= set(logs)
        await lists.remove("sky", dan.account)
        assert lists.everybody == frozenset()
        for act in (lists.drop("sky"), lists.remove("sky", dan.account), lists.timeline("sky")):
            with pytest.raises(FeedError, match="you have no list 'sky'"):
                await act


async def test_what_does_not_fit_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_town(tmp_path) as town:
        (ann,) = await people(town, "ann")
        lists = ann.feed.lists
        for name in ("", " sea", "s" * (L.FEED_LIST_CHARS_MAX + 1)):
            with pytest.raises(FeedError, match="the name of a list"):
                await lists.add(name, b"b" * 32)
        monkeypatch.setattr(L, "FEED_LIST_ACCOUNTS_MAX", 2)
        monkeypatch.setattr(L, "FEED_LISTS_MAX", 2)
        await lists.add("sea", b"b" * 32)
        with pytest.raises(FeedError, match="at most 2 people"):
            await lists.add("sea", b"c" * 32, b"d" * 32)
        await lists.add("sea", b"b" * 32, b"c" * 32)
        await lists.add("sky", b"b" * 32)
        with pytest.raises(FeedError, match="you have 2 lists"):
            await lists.add("sun", b"b" * 32)
        assert {name: len(lists.accounts(name)) for name in lists.names} == {"sea": 2, "sky": 1}


async def test_own_devices_agree_on_every_place_by_itself(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        await alice.feed.lists.add("sea", b"a" * 32, b"b" * 32)
        second = await link(world, alice, "second")
        await world.settle(60)
        assert second.engine.own.is_shared
        assert second.feed.lists.accounts("sea") == (b"a" * 32, b"b" * 32)
        world.cut("second")
        await second.feed.lists.add("sea", b"c" * 32)
        await alice.feed.lists.remove("sea", b"a" * 32)
        await alice.feed.lists.add("sky", b"a" * 32)
        await world.settle(60)
        for client in (alice, second):
            lists = client.feed.lists
            assert {name: lists.accounts(name) for name in lists.names} == {
                "sea": (b"b" * 32, b"c" * 32), "sky": (b"a" * 32,),
            }  # fmt: skip
        await second.feed.lists.drop("sea")
        await world.settle(5)
        assert alice.feed.lists.names == ("sky",)
        assert (await world.start("alice")).feed.lists.names == ("sky",)


async def _published(town: Stage) -> None:
    ann, bob = await people(town, "ann", "bob")
    lists = ann.feed.lists
    assert await bob.feed.lists.of(ann.account) == {}
    await lists.add("sea", b"b" * 32)
    await lists.add("sky", b"c" * 32, b"d" * 32)
    for name in ("sky", "sea"):
        await ann.feed.stored(await lists.publish(name))
    assert await bob.feed.lists.of(ann.account) == {"sea": (b"b" * 32,), "sky": (b"c" * 32, b"d" * 32)}
    await lists.remove("sky", b"c" * 32)
    assert len((await bob.feed.lists.of(ann.account))["sky"]) == 2
    await ann.feed.stored(await lists.publish("sky"))
    await ann.feed.stored(await lists.publish("sea", undo=True))
    assert await bob.feed.lists.of(ann.account) == {"sky": (b"d" * 32,)}
    await bob.feed.follow(ann.account)
    assert [item for item in await bob.feed.timeline() if isinstance(item, Item)] == []  # a list is no post


async def test_lists_that_others_may_read(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        await _published(town)


def test_the_longest_list_fits_an_entry() -> None:
    body = F.List(name="\U0001f422" * L.FEED_LIST_CHARS_MAX, accounts=(b"a" * 32,) * L.FEED_LIST_ACCOUNTS_MAX)
    assert parse(compose(body)).body == body
    with pytest.raises(RemoteProtocolError):
        parse(compose(F.List(name="")))
