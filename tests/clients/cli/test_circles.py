"""The verb about circles, as a person types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.cli.circles import CircleVerbs
from clients.cli.money import Money
from clients.cli.news import News
from clients.cli.posting import Posting
from clients.cli.ranking import RankVerbs
from clients.cli.room import NotFound, Room, short
from clients.client import Client
from clients.events import Received, decode_event
from extensions.ranking import worker
from extensions.ranking.events import Signal
from protocol.feeds import FeedError
from tests.support.feeds import patiently
from tests.support.ranking_circles import open_club
from tests.support.workers import until


class Person:
    """Somebody who types."""

    def __init__(self, client: Client) -> None:
        room = Room(client)
        self.client = client
        posting = Posting(room)
        ranking = RankVerbs(room, posting)
        circles = CircleVerbs(room, posting, ranking)
        self.verbs = posting.verbs | ranking.verbs | circles.verbs
        self.news = News(room, Money(room), circles=circles)

    async def types(self, line: str) -> list[str]:
        verb, *words = line.split()
        return await self.verbs[verb](words)

    def hears(self, topic: bytes) -> list[str]:
        """What a chat says of all that was said in a conversation, as if it came now."""
        rows = self.client.engine.shelf.vault.events(0, 256, topic)
        events = [decode_event(value, seq) for seq, value in rows]
        said = [self.news.sentence(event) for event in events if isinstance(event, Received)]
        return [line for line in said if line is not None and "post" in line]

    async def reads(self, title: str, count: int) -> list[str]:
        """A circle's lines, once there are so many."""
        circle = self.client.feed.circles.get(Room(self.client).conversation_of(title).topic)
        await until(lambda: len(circle._entries()) >= count, "what was said")
        return await self.types(f"circle read {title}")


async def test_what_people_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_S", 0.03)
    async with open_club(tmp_path) as club:
        ann, bob = Person(club.ann), Person(club.bob)
        assert await ann.types("circle read first") == ["nothing yet"]
        assert (await patiently(lambda: ann.types("circle admit first")))[0].startswith("the ranker becomes a member")
        await until(lambda: club.number(club.circle) and club.ranker in club.of(club.bob, club.circle).members)
        room = Room(club.bob)  # whoever has not chosen it sees that it is a worker
        await until(lambda: room.name_of(club.ranker) == f"worker {short(club.ranker)}", "its device list")
        assert await ann.types("circle post first the #sea is calm") == ["said in first"]
        (line,) = await bob.reads("first", 1)
        assert "the #sea is calm" in line
        name = line.split()[0]
        assert await bob.types(f"circle like {name}") == ["liked"]
        later = Person(club.bob)  # who was shown nothing yet
        assert await later.types(f"circle answer #{name} is it") == ["answered"]
        assert "answers" in (await ann.reads("first", 3))[0]
        with pytest.raises(NotFound, match="timeline"):
            await bob.types(f"like {name}")  # no verb about public posts finds it
        await until(lambda: len([event for event in club.log(club.circle) if isinstance(event, Signal)]) == 2)
        await club.says(club.circle, "a #hill")

        assert "learns" in (await bob.types("circle on first"))[0]
        (line,) = [line for line in await bob.types("circle ranked first plain") if "#hill" in line]
        place, name = line.split()[:2]
        assert place == "1."
        assert "points" in (await bob.types(f"why {name}"))[0]
        assert await bob.types("circle ranked first")
        assert await bob.types(f"less {name}") == ["noted: fewer like this"]
        assert await bob.types(f"more {name}") == ["noted: more like this"]
        assert not any("#hill" in line for line in await bob.types("circle ranked first"))
        kinds = [event.kind for event in club.log(club.circle) if isinstance(event, Signal)]
        assert kinds[2:] == ["view", "less", "like"]
        with pytest.raises(NotFound, match="timeline"):
            await bob.types(f"like {name}")
        assert await bob.types(f"circle whynot {name}")
        assert await bob.types("circle slider first 900 100") == ["slider of first: bridging 900, fresh 100"]
        assert await bob.types("circle slider first 800") == ["slider of first: bridging 800"]
        with pytest.raises(IndexError):
            await bob.types("circle slider first")
        home = club.of(club.bob, club.circle).ranked.home
        assert home is not None
        assert (home.bridging, home.fresh) == (800, 100)
        assert "forgotten" in (await bob.types("circle off first"))[0]
        assert "forgets" in (await ann.types("circle dismiss first"))[0]
        await until(lambda: not club.number(club.circle), "the end of it")


async def test_founding_one_and_what_is_wrong(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        ann = Person(club.ann)
        await club.ann.add_contact(club.bob.account, "bob")
        assert "circle friends with bob" in (await patiently(lambda: ann.types("circle found friends bob")))[0]
        assert "nobody yet" in (await ann.types("circle found alone"))[0]
        with pytest.raises(NotFound, match="found, post"):
            await ann.types("circle swim")
        with pytest.raises(NotFound, match="0 posts of circles"):
            await ann.types("circle like abcdef")
        with pytest.raises(NotFound, match="no conversation"):
            await ann.types("circle read nowhere")
        with pytest.raises(IndexError):
            await ann.types("circle post friends")
        with pytest.raises(FeedError, match="no member"):
            await patiently(lambda: ann.types("circle dismiss first"))


async def test_a_chat_says_once_that_there_are_new_posts(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        ann, bob = Person(club.ann), Person(club.bob)
        for text in ("one", "two"):
            await club.says(club.circle, text)
        line = ["new posts: /circle read first shows them"]
        assert len(await bob.reads("first", 2)) == 2
        assert bob.hears(club.circle.topic) == line, "once, however many there are"
        assert bob.hears(club.circle.topic) == []
        await bob.types("circle read first")
        assert bob.hears(club.circle.topic) == line, "and again when they were read"
        assert ann.hears(club.circle.topic) == [], "of what one says oneself nothing is news"
        await bob.types("circle read first")
        await club.bob.feed.mute(club.ann.account)
        assert bob.hears(club.circle.topic) == []
        await club.bob.feed.unmute(club.ann.account)
        await club.bob.block(club.ann.account)
        assert bob.hears(club.circle.topic) == []
