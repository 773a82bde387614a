"""A feed for the members of a circle alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from clients.events import Changed, Received, decode_event
from clients.feed import Circle
from clients.feed.circle import _entry
from protocol.feeds import FeedError
from protocol.messages import compose
from protocol.messages.chat import Text
from tests.support.feeds import open_town, patiently, people, texts
from tests.support.ranking_circles import open_club
from tests.support.workers import until


async def shows(circle: Circle, wanted: list[str]) -> None:
    """Wait until a timeline is this."""
    with trio.fail_after(20):
        while texts(await circle.timeline()) != wanted:  # noqa: ASYNC110 - what is waited for has no event
            await trio.sleep(0.01)


async def test_a_circle(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob, cem = await people(town, "ann", "bob", "cem")
        circle = await patiently(lambda: ann.feed.circle("friends", [bob.account]))
        await until(lambda: circle.topic in bob.conversations, "the Welcome")
        theirs = bob.feed.circles.get(circle.topic)
        await circle.post("among us")
        await shows(theirs, ["among us"])
        (item,) = await theirs.timeline()
        await theirs.reply(item.entry, "yes")
        await theirs.like(item.entry)
        await shows(circle, ["yes", "among us"])
        (mine,) = [item for item in await circle.timeline() if item.entry.account == ann.account]
        with trio.fail_after(20):
            while len(await circle.entries()) < 3:  # noqa: ASYNC110 - as above
                await trio.sleep(0.01)
        assert [entry.kind for entry in await circle.entries()] == ["post", "reply", "like"]
        await circle.edit(mine.entry, "among friends")
        await theirs.edit(mine.entry, "lies")  # of what somebody else said: nobody believes it
        await shows(theirs, ["yes", "among friends"])
        await bob.feed.hide_word("friends")
        await shows(theirs, ["yes"])
        await bob.feed.hide_word("friends", undo=True)
        await shows(theirs, ["yes", "among friends"])
        await bob.feed.mute(ann.account)
        await shows(theirs, [])  # nor what is about something of hers
        await bob.feed.unmute(ann.account)
        await circle.delete(mine.entry)
        await shows(circle, ["yes"])
        with pytest.raises(KeyError):
            cem.feed.circles.get(circle.topic)
        await ann.conversation(circle.topic).send("chat is no post")
        await shows(circle, ["yes"])
        await ann.conversation(circle.topic).leave()
        await until(lambda: ann.conversation(circle.topic).status.name == "LEFT", "to be out")
        with pytest.raises(FeedError, match="not in this circle"):
            await circle.post("too late")


async def test_what_members_say_of_what_members_say(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        ann, bob = await people(town, "ann", "bob")
        circle = await patiently(lambda: ann.feed.circle("friends", [bob.account]))
        await until(lambda: circle.topic in bob.conversations, "the Welcome")
        theirs = bob.feed.circles.get(circle.topic)
        await circle.post("one")
        await shows(theirs, ["one"])
        (post,) = await theirs.entries()
        await theirs.quote(post, "as she says")
        await theirs.note(post, "it was two", sources=["https://example.org"])
        await until(lambda: len(circle._entries()) == 3, "the note")
        note = (await circle.entries())[2]
        await circle.rate(note, 2)
        assert [entry.kind for entry in await circle.entries()][:3] == ["post", "quote", "note"]
        await until(lambda: [entry.kind for entry in theirs._entries()][3:] == ["rating"], "the rating")
        await shows(circle, ["as she says", "one"])


async def test_whom_a_circle_admits_as_a_ranker(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        circle, theirs = club.circle, club.of(club.bob, club.circle)
        await club.bob.claim_handle("bob")
        await club.cem.claim_handle("bob-2")
        with pytest.raises(FeedError, match="bob is a person"):
            await circle.admit("bob")
        with pytest.raises(FeedError, match="no member"):
            await circle.dismiss("bob-2")
        await club.admit(circle, club.bob)
        assert set(circle.members) == set(theirs.members) == {club.ann.account, club.bob.account, club.ranker}
        assert circle.rankers == theirs.rankers == [club.ranker]
        rows = club.bob.engine.shelf.vault.events(0, 1000, circle.topic)
        events = [decode_event(value, seq) for seq, value in rows]
        assert [event.added for event in events if isinstance(event, Changed)] == [(club.ranker,)]
        await circle.dismiss()
        await until(lambda: club.ranker not in theirs.members, "the end of it")
        assert theirs.rankers == []


@pytest.mark.parametrize("content", [b"feed.", compose(Text(text="feed."))])
def test_what_is_no_entry(content: bytes) -> None:
    event = Received(topic=b"t", offset=1, id=b"i" * 16, account=b"a", device=b"d", ts=1, content=content)
    assert _entry(event, 1) == []
