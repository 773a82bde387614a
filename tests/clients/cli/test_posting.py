"""Verbs about feeds, as a person types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.cli.posting import Posting, digits
from clients.cli.room import NotFound, Room
from clients.feed import Gap
from protocol.feeds import FeedError
from tests.support.feeds import open_town, people, said


async def test_what_people_do(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        await ann.claim_handle("ann")
        one, two = Posting(Room(ann)).verbs, Posting(Room(bob)).verbs
        assert await two["timeline"]([]) == ["nothing yet; /follow somebody, or /post something"]
        (stored,) = await one["post"](["high", "tide", "#sea"])
        name = stored.split()[-1]
        assert await two["follow"](["ann"]) == ["you follow ann"]
        (line,) = await two["timeline"]([])
        assert line.endswith(f"{ann.account.hex()[:8]}: high tide #sea")
        assert await two["timeline"](["more"]) == ["nothing more"]
        (reply,) = await two["answer"]([name, "at", "four"])
        await two["like"]([f"#{name}"])
        assert (await two["timeline"]([]))[-1].endswith("#sea ♥")
        await two["unlike"]([name])
        await two["repost"]([name])
        await two["quote"]([name, "look", "#tide"])
        assert f"quotes {name} of" in (await two["timeline"]([]))[0]
        thread = await one["thread"]([name])
        assert [text.startswith("  ") for text in thread] == [False, True]
        assert "answers" in thread[1]
        await one["edit"]([name, "low", "tide"])
        assert "low tide #sea (edited 1×)" in (await one["timeline"]([]))[0]
        (noted,) = await two["context"]([name, "tides", "differ", "https://tides.example"])
        assert "stored as" in (await one["rate"]([name, noted.split()[-1], "yes"]))[0]
        with pytest.raises(NotFound, match="say no"):
            await one["rate"]([name, noted.split()[-1], "perhaps"])
        with pytest.raises(FeedError, match="somebody else"):
            await two["delete"]([name])
        assert await two["delete"]([reply.split()[-1]]) == ["taken back; the relay has erased it"]
        await one["delete"]([name])
        assert await two["thread"]([name]) == ["that post was taken back"]
        assert await two["unfollow"]([ann.account.hex()[:8]]) == [f"you do not follow {ann.account.hex()[:8]} any more"]


async def test_who_one_is_and_what_one_does_not_want_to_see(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        await bob.add_contact(ann.account, "ann")
        one, two = Posting(Room(ann)).verbs, Posting(Room(bob)).verbs
        assert await two["profile"](["ann"]) == ["no name: says nothing (followed 0×)"]
        await one["profile"](["set", "Ann", "sees", "the", "sea"])
        await two["follow"](["ann"])
        assert await one["profile"]([]) == ["Ann: sees the sea (followed 1×)"]
        await said(ann, "sports")
        assert await two["hide"](["sports"]) == ["hidden: sports"]
        assert "nothing yet" in (await two["timeline"]([]))[0]
        assert await two["unhide"](["sports"]) == ["hidden: nothing"]
        assert await two["hush"](["ann", "8h"]) == ["nothing of ann is shown"]
        assert "nothing yet" in (await two["timeline"]([]))[0]
        await two["unhush"](["ann"])
        await two["hush"](["ann"])
        await two["unhush"](["ann"])
        assert "sports" in (await two["timeline"]([]))[0]


async def test_files_names_and_gaps(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        one = Posting(Room(ann))
        picture = tmp_path / "tide.png"
        picture.write_bytes(b"picture")
        (stored,) = await one.verbs["post"]([f"@{picture}"])
        name = stored.split()[-1]
        folder = tmp_path / "here"
        folder.mkdir()
        assert await one.verbs["fetch"]([name, str(folder)]) == [f"saved as {folder / 'tide.png'}"]
        (line,) = await one.verbs["timeline"]([])
        assert "[tide.png, 7 bytes]" in line
        post = await said(ann, "no files")
        assert await one.verbs["fetch"]([digits(post)]) == ["no files"]
        for bad in ("xy", "ffff"):
            with pytest.raises(NotFound, match="posts end with"):
                await one.verbs["like"]([bad])
        with pytest.raises(IndexError):
            await one.verbs["post"](["#tag"])
        await bob.feed.follow(ann.account)
        two = Posting(Room(bob))
        gap = Gap(ann.account, 1, 2, post.ts, gone=False)
        assert "2 entries of " + ann.account.hex()[:8] + " are not read yet" in two.line(gap)
        two._page = [gap]
        assert len(await two.verbs["timeline"](["more"])) == 1
