"""The verb ``circle``: feeds for their members alone, for ``chappe chat`` and ``chappe feed``.

Posts of circles are kept apart from public ones: no verb about public posts finds them, so nobody says in public by
mistake that they exist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from clients.cli.posting import Posting, digits
from clients.cli.ranking import RankVerbs
from clients.cli.room import NotFound, Room, clean, short
from clients.events import Received
from clients.feed import Circle, Entry, Item
from clients.feed.ranked import RankedPage
from protocol.ids import TopicKind
from protocol.messages import Body
from protocol.messages import feed as F

HELP: Final = """\
[bold]/circle[/] found TITLE NAME…  |  post TITLE TEXT  |  read TITLE   a feed for its members alone
[bold]/circle[/] answer POST TEXT  |  like POST   of what was read there
[bold]/circle[/] admit TITLE [HANDLE]  |  dismiss TITLE [HANDLE]   a ranker as a member whom everybody sees
[bold]/circle[/] on TITLE [HANDLE]  |  off TITLE  |  ranked TITLE [more|plain]   its pages; /why, /less, /more POST
[bold]/circle[/] slider TITLE BRIDGING [FRESH]  |  whynot POST   as /rank slider and /whynot, for a circle"""
VERBS: Final = ("circle",)
_DIGITS_MIN: Final = 4
_VERBS: Final = (
    "found", "post", "read", "answer", "like", "admit", "dismiss", "on", "off", "ranked", "slider", "whynot",
)  # fmt: skip


class CircleVerbs:
    """Verbs, by name."""

    def __init__(self, room: Room, posting: Posting, ranking: RankVerbs) -> None:
        self._room = room
        self._client = room.client
        self._posting = posting
        self._ranking = ranking
        self._shown: dict[str, tuple[Circle, Entry]] = {}  # by their digits
        self._pages: dict[bytes, RankedPage] = {}  # of each circle, what was shown last
        self._unread: set[bytes] = set()  # of which it was said that there are new posts
        self.verbs: dict[str, Callable[[list[str]], Awaitable[list[str]]]] = {"circle": self._circle}

    async def _circle(self, words: list[str]) -> list[str]:
        if words[0] not in _VERBS:
            raise NotFound(f"/circle {', '.join(_VERBS)}; /help shows what each wants")
        found: list[str] = await getattr(self, f"_{words[0]}")(words[1], words[2:])
        return found

    def _named(self, title: str) -> Circle:
        return self._client.feed.circles.get(self._room.conversation_of(title).topic)

    def sentence(self, event: Received, body: Body) -> str | None:
        """That there are new posts in a circle, said once until they are read; None: it is no news."""
        talk = self._client.conversations.get(event.topic)
        if talk is None or talk.record.kind != TopicKind.GROUP or not isinstance(body, F.Post | F.Reply | F.Quote):
            return None
        hide = self._client.feed.timelines.filter()
        if event.topic in self._unread or event.mine or hide.author(event.account):
            return None
        self._unread.add(event.topic)
        title = self._room.title_of(talk)
        return f"new posts: /circle read {short(talk.topic) if ' ' in title else clean(title)} shows them"

    # -- saying and reading --------------------------------------------------------------------------------------------
    async def _found(self, title: str, words: list[str]) -> list[str]:
        circle = await self._client.feed.circle(title, [self._room.account_of(word) for word in words])
        return [f"circle {title} with {', '.join(words) or 'nobody yet'} ({short(circle.topic)})"]

    async def _post(self, title: str, words: list[str]) -> list[str]:
        await self._named(title).post(" ".join(words) or words[0])
        return [f"said in {title}"]

    async def _read(self, title: str, words: list[str]) -> list[str]:
        circle = self._named(title)
        items = await circle.timeline()
        self._unread.discard(circle.topic)
        return [self._line(circle, item) for item in items] or ["nothing yet"]

    def _line(self, circle: Circle, item: Item) -> str:
        self._shown[digits(item.entry)] = circle, item.entry
        return self._posting.text(item)

    async def _post_of(self, name: str) -> tuple[Circle, Entry]:
        """A post by its last digits: of those shown, or else of all circles. Raises ``NotFound``."""
        name = name.lstrip("#")
        found = [shown for digit, shown in self._shown.items() if digit.endswith(name)]
        if not found and len(name) >= _DIGITS_MIN:
            for topic, talk in self._client.conversations.items():
                if talk.record.kind == TopicKind.GROUP:
                    circle = self._client.feed.circles.get(topic)
                    found += [(circle, entry) for entry in await circle.entries() if entry.id.hex().endswith(name)]
        if len(found) != 1:
            raise NotFound(f"{len(found)} posts of circles end with {name!r}; /circle read TITLE shows their names")
        return found[0]

    async def _answer(self, name: str, words: list[str]) -> list[str]:
        circle, entry = await self._post_of(name)
        await circle.reply(entry, " ".join(words) or words[0])
        return ["answered"]

    async def _like(self, name: str, words: list[str]) -> list[str]:
        circle, entry = await self._post_of(name)
        await circle.like(entry)
        return ["liked"]

    # -- its ranker ----------------------------------------------------------------------------------------------------
    async def _admit(self, title: str, words: list[str]) -> list[str]:
        await self._named(title).admit(*words[:1])
        return ["the ranker becomes a member, whom all see: it reads what is said from now on, until /circle dismiss"]

    async def _dismiss(self, title: str, words: list[str]) -> list[str]:
        await self._named(title).dismiss(*words[:1])
        return ["the ranker is put out, and forgets this circle"]

    async def _on(self, title: str, words: list[str]) -> list[str]:
        return [await self._named(title).ranked.opt_in(*words[:1])]

    async def _off(self, title: str, words: list[str]) -> list[str]:
        return [await self._named(title).ranked.opt_out()]

    async def _slider(self, title: str, words: list[str]) -> list[str]:
        bridging, *fresh = [int(words[0]), *map(int, words[1:2])]
        await self._named(title).ranked.set_slider(bridging=bridging, fresh=fresh[0] if fresh else None)
        return [f"slider of {title}: bridging {bridging}{f', fresh {fresh[0]}' if fresh else ''}"]

    async def _whynot(self, name: str, words: list[str]) -> list[str]:
        circle, entry = await self._post_of(name)
        return [clean(await circle.ranked.why_not(entry))]

    async def _ranked(self, title: str, words: list[str]) -> list[str]:
        circle = self._named(title)
        below = self._pages.get(circle.topic) if words[:1] == ["more"] else None
        plain = words[:1] == ["plain"]
        page = self._pages[circle.topic] = await circle.ranked.page(below=below, explore=not plain)
        for item in page.items:
            self._shown[digits(item.item.entry)] = circle, item.item.entry
        return await self._ranking.show(page, tell=not plain)
