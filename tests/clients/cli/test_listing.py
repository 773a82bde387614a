"""Verbs about lists of authors, as a person types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.cli.listing import ListVerbs
from clients.cli.posting import Posting
from clients.cli.room import NotFound, Room
from clients.feed import Gap
from clients.feed import timeline as module
from protocol.feeds import FeedError
from tests.support.feeds import open_town, people, said


async def test_what_people_do_with_lists(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob, cem = await people(town, "ann", "bob", "cem")
        await ann.add_contact(bob.account, "bob")
        await cem.claim_handle("cem")
        room = Room(ann)
        lists = ListVerbs(room, Posting(room)).verbs["lists"]
        assert await lists([]) == ["no lists; /lists LIST add NAME begins one"]
        assert await lists(["sea", "add", "bob", "cem"]) == ["bob, cem on sea: 2 people"]
        assert await lists([]) == ["  sea: 2 people"]
        assert await lists(["sea"]) == ["nobody on it has said anything yet"]
        await said(bob, "high tide")
        (line,) = await lists(["sea"])
        assert line.endswith("bob: high tide")
        assert await lists(["sea", "more"]) == ["nothing more"]
        digits = cem.account.hex()[:8]
        assert sorted(await lists(["sea", "who"])) == sorted(["  bob", f"  {digits}"])
        assert await lists(["sea", "remove", digits]) == [f"{digits} off sea: 1 people"]
        assert await lists(["sea", "remove", "bob"]) == ["bob off sea: 0 people"]
        with pytest.raises(FeedError, match="you have no list"):
            await lists(["sea"])
        with pytest.raises(NotFound, match="none of more, who, add"):
            await lists(["sea", "paint"])
        for words in (["of"], ["sea", "add"], ["sea", "take"]):
            with pytest.raises(IndexError):
                await lists(words)


async def test_public_lists(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob, cem = await people(town, "ann", "bob", "cem")
        for one, other, name in ((ann, bob, "bob"), (bob, ann, "ann")):
            await one.add_contact(other.account, name)
        hers, his = [ListVerbs(Room(one), Posting(Room(one))).verbs["lists"] for one in (ann, bob)]
        assert await his(["of", "ann"]) == ["ann has made no list public"]
        await ann.feed.lists.add("sea", cem.account, bob.account)
        assert "everybody may read" in (await hers(["sea", "publish"]))[0]
        (line,) = await his(["of", "ann"])
        assert line.startswith("  sea: ")
        assert "me" in line
        assert await his(["sea", "take", "ann"]) == ["2 people of ann's list are on your list sea"]
        assert await his(["sea", "drop"]) == ["sea is gone"]
        assert "is public no more" in (await hers(["sea", "hide"]))[0]
        with pytest.raises(NotFound, match="ann has no public list"):
            await his(["sea", "take", "ann"])


async def test_older_posts_of_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LOADED", 2), ("ROUNDS_MAX", 0)):
        monkeypatch.setattr(module, name, value)
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        for number in range(5):
            await said(bob, f"number {number}")
        await ann.add_contact(bob.account, "bob")
        room = Room(ann)
        verbs = ListVerbs(room, Posting(room))
        await verbs.verbs["lists"](["sea", "add", "bob"])
        shown = await verbs.verbs["lists"](["sea"])
        assert shown[-1].endswith("3 entries of bob are not read yet; `more` reads them")
        assert isinstance(verbs._page[1][-1], Gap)
        more = await verbs.verbs["lists"](["sea", "more"])
        assert [line.rpartition(" ")[2] for line in more] == ["2", "1", "0"]
