"""Ranked pages, for readers who have opted in: asked for, checked to the last sum, and explained.

::

    await client.feed.rank.opt_in()
    page = await client.feed.rank.page()
    for line in page.items[0].why: print(line)
    await client.feed.rank.less(page.items[0])

A page counts when the ranker has signed it for us, every sum on it is right, and each post is what its author signed.
What is blocked, muted or hidden here is left out here, whatever the ranker does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import msgspec
import trio

from clients.engine import Engine
from clients.feed.asking import Asking, RankError
from clients.feed.entries import Entry
from clients.feed.shown import Item, newest
from clients.feed.timeline import Timeline
from clients.records import META
from protocol import limits as L
from protocol.errors import RemoteProtocolError
from protocol.ids import feed_topic
from protocol.messages import Body
from protocol.messages import feed as F
from protocol.messages import rank as K
from protocol.messages.rank import SignalItem, SignalKind
from protocol.scoring.page import Agreement, Page, PageItem, check_briefing, check_page, open_briefing, open_page
from protocol.scoring.score import TERMS
from protocol.scoring.signed import ScoringError
from protocol.scoring.weights import DEFAULT

__all__ = ["COUNT", "Home", "Rank", "RankError", "Ranked", "RankedPage"]

B = TypeVar("B", bound=Body)
WAITING_MAX: Final = 100  # signals that wait for the next message
COUNT: Final = 20  # posts of a page, unless more are wanted
_HOME: Final = b"ranker"


class Home(msgspec.Struct, frozen=True):
    """The ranker that we have opted in to, and where our slider stands (permille)."""

    account: bytes
    topic: bytes
    bridging: int = 500
    fresh: int = 0


@dataclass(frozen=True, slots=True)
class Ranked:
    """A post on a page. ``place``: in the ranking, from 1. ``note``: context that both sides find helpful. ``circle``:
    the topic of the circle whose page it is; empty: of what is public."""

    item: Item
    placed: PageItem
    ranking: bytes
    place: int
    note: Entry | None = None
    agreement: Agreement | None = None  # of a briefing: who found the post informative
    note_agreement: Agreement | None = None  # and the note
    circle: bytes = b""

    @property
    def why(self) -> list[str]:
        """The whole arithmetic of its score, a line for each term that is not zero."""
        lines = [f"{points:+d}  {name}" for name, points in zip(TERMS, self.placed.terms, strict=True) if points]
        odds = f"; tried out, at odds of {self.placed.explored / 10_000:.2f} %" if self.placed.explored else ""
        return [f"{self.placed.score} points, from {self.placed.source}{odds}", *lines]


@dataclass(frozen=True, slots=True)
class RankedPage:
    """A page. ``left_out``: posts that are gone, or hidden here."""

    items: tuple[Ranked, ...]
    page: Page
    left_out: int
    above: tuple[PageItem, ...] = ()


class Rank:
    """Talks with one ranker, about what is public or (``circle_rank``) about a circle."""

    def __init__(
        self, engine: Engine, timelines: Timeline, pair: Callable[[bytes], Awaitable[bytes]],
        find: Callable[[str], Awaitable[bytes]], asking: Asking | None = None, circle: bytes = b"",
    ) -> None:  # fmt: skip
        """``pair`` founds the conversation with an account and says its topic; ``find`` knows handles."""
        self._engine = engine
        self._shelf = engine.shelf
        self._timelines = timelines
        self._pair = pair
        self._find = find
        self._place = _HOME + circle
        home = self._shelf.vault.get(META, self._place)
        self.home = None if home is None else msgspec.msgpack.decode(home, type=Home)
        self.asking = Asking(engine) if asking is None else asking
        self.circle = circle
        self._signals: list[SignalItem] = []

    # -- consent -------------------------------------------------------------------------------------------------------
    async def opt_in(self, handle: str = "ranking") -> str:
        """Let a ranker learn of us, and tell it whom we follow; what it says. Raises ``RankError``."""
        account = await self._find(handle)
        self._save(Home(account, await self._pair(account)))
        return await self._words(K.Consent(follows=tuple(sorted(self._shelf.follows))[:1000]))

    async def opt_out(self) -> str:
        """Nothing more is learned, and what was is forgotten; timelines are chronological again."""
        said = await self._words(K.Consent(undo=True, circle=self.circle))
        self._save(None)
        return said

    async def forget(self) -> str:
        """Have forgotten what was learned of us, and begin anew."""
        return await self._words(K.Forget(circle=self.circle))

    async def export(self) -> bytes:
        """What is known of us, as JSON."""
        return (await self._ask(K.Export(circle=self.circle), K.Known)).data

    def _save(self, home: Home | None) -> None:
        self.home = home
        self._shelf.journal.put(META, self._place, home)

    async def set_slider(self, *, bridging: int | None = None, fresh: int | None = None) -> None:
        """Engagement or what both sides find informative, and how much new things count: permille."""
        home = self._need_home()
        wanted = (home.bridging if bridging is None else bridging, home.fresh if fresh is None else fresh)
        if not all(0 <= value <= 1000 for value in wanted):
            raise RankError("the slider goes from 0 to 1000")
        self._save(msgspec.structs.replace(home, bridging=wanted[0], fresh=wanted[1]))
        await self._shelf.journal.flushed()

    def _need_home(self) -> Home:
        if self.home is None:
            raise RankError("you have not opted in to a ranker: the timeline is chronological")
        return self.home

    # -- asking --------------------------------------------------------------------------------------------------------
    async def _ask(self, body: Body, wanted: type[B], of: tuple[bytes, bytes] | None = None) -> B:
        """``of``: account and topic of another ranker than the one we have opted in to."""
        home = self._need_home() if of is None else None
        account, topic = (home.account, home.topic) if home else of or (b"", b"")
        await self.flush()
        return await self.asking.ask(body, wanted, account, topic)

    async def model(self, account: bytes) -> K.Model:
        """Where a ranker's model lies; no consent is needed. Raises ``RankError``."""
        return await self._ask(K.Ship(), K.Model, (account, await self._pair(account)))

    async def _words(self, body: Body) -> str:
        return (await self._ask(body, K.Because)).text

    # -- pages ---------------------------------------------------------------------------------------------------------
    async def page(
        self, count: int = COUNT, *, below: RankedPage | None = None, explore: bool = True
    ) -> RankedPage:  # fmt: skip
        """A page of the ranking; ``below``: the next part of the same one. ``explore``: with new posts tried out.

        Raises ``RankError``.
        """
        home = self._need_home()
        ranking, place = (b"", 0) if below is None else (below.page.ranking, below.page.next or 0)
        if below is not None and below.page.next is None:
            raise RankError("that was the whole ranking; ask for a new one")
        answer = await self._ask(
            K.Request(
                count=count, bridging=home.bridging, fresh=home.fresh, ranking=ranking, place=place,
                hidden=self.hidden(), words=self.words_hidden(), plain=not explore, circle=self.circle,
            ),
            K.Page,
        )  # fmt: skip
        return await self._checked(answer, () if below is None else (*below.above, *below.page.items))

    async def briefing(self) -> RankedPage:
        """The page of the day: at most seven posts, of what both sides find informative."""
        answer = await self._ask(
            K.Request(
                count=7, bridging=1000, hidden=self.hidden(), words=self.words_hidden(), briefing=True,
                circle=self.circle,
            ),
            K.Brief,
        )  # fmt: skip
        try:
            brief = open_briefing(answer.signed, self._need_home().account)
            check_briefing(brief, DEFAULT)
        except (ScoringError, RemoteProtocolError) as error:
            raise RankError(f"the briefing cannot be believed: {error}") from None
        items = tuple(one.item for one in brief.items)
        page = Page(b"", 0, brief.made_ms, brief.weights, brief.slider, items, None, brief.reader)
        shown = await self._shown(page, answer)
        told = {one.item.post: one for one in brief.items}
        agreed = [
            replace(
                item, agreement=told[item.placed.post].agreement, note_agreement=told[item.placed.post].note_agreement
            )
            for item in shown
        ]
        return RankedPage(tuple(agreed), page, len(items) - len(agreed))

    def hidden(self) -> tuple[bytes, ...]:
        """Authors whose posts are not to be shown."""
        shelf = self._shelf
        muted = {account for account in shelf.follows if shelf.is_muted(feed_topic(account))}
        return tuple(sorted(shelf.blocked | muted))[: L.RANK_HIDDEN_MAX]

    def words_hidden(self) -> tuple[str, ...]:
        """Words that are not to be shown."""
        return tuple(sorted(self._shelf.hidden.values()))[: L.RANK_HIDDEN_MAX]

    async def _checked(self, answer: K.Page, above: tuple[PageItem, ...]) -> RankedPage:
        home = self._need_home()
        try:
            page = open_page(answer.signed, home.account)
            check_page(page, DEFAULT, above)
        except (ScoringError, RemoteProtocolError) as error:
            raise RankError(f"the page cannot be believed: {error}") from None
        shown = await self._shown(page, answer)
        return RankedPage(tuple(shown), page, len(page.items) - len(shown), above)

    async def _shown(self, page: Page, answer: K.Page | K.Brief) -> list[Ranked]:
        """The posts of a page that are there, and to be shown. Raises ``RankError``."""
        self._need_mine(page)
        if len(answer.offsets) != len(page.items) or len(answer.edits) not in (0, len(page.items)):
            raise RankError("the page does not say where its posts are")
        places = [(item.author, offset) for item, offset in zip(page.items, answer.offsets, strict=True)]
        noted = [place for place in answer.notes if place is not None]
        changed = [(item.author, edit) for item, edit in zip(page.items, answer.edits, strict=False) if edit]
        found = await self._entries([*places, *noted, *changed])
        entries, beside = found[: len(places)], [entry for entry in found[len(places) :] if entry is not None]
        by_key = {entry.key: entry for entry in beside}
        edits = {entry.about_key: entry for entry in beside if isinstance(entry.body, F.Edit)}
        shown: list[Ranked] = []
        hide = self._timelines.filter()
        for number, (placed, entry) in enumerate(zip(page.items, entries, strict=True), page.first + 1):
            if entry is None or entry.key != placed.post:
                continue
            item = newest(self._timelines.log(entry.account), entry, edits.get(entry.key))
            if item is not None and not hide.hides(item):
                shown.append(Ranked(item, placed, page.ranking, number, by_key.get(placed.note)))
        return shown

    def _need_mine(self, page: Page) -> None:
        if page.reader != self._shelf.account:
            raise RankError("the page is for somebody else")

    async def _entries(self, places: Sequence[tuple[bytes, int]]) -> list[Entry | None]:
        reader = self._timelines.reader
        raws = await reader.raw([(feed_topic(account), offset) for account, offset in places]) if places else []
        checked = iter(await reader.checked([raw for raw in raws if raw is not None]))
        return [None if raw is None else next(checked) for raw in raws]

    async def why_not(self, entry: Entry) -> str:
        """Why a post is not on our pages."""
        home = self._need_home()
        return await self._words(
            K.WhyNot(
                post=entry.key, bridging=home.bridging, fresh=home.fresh, hidden=self.hidden(),
                words=self.words_hidden(), circle=self.circle,
            )
        )  # fmt: skip

    # -- signals -------------------------------------------------------------------------------------------------------
    def note(self, post: Ranked | Entry, kind: SignalKind, value: int = 0) -> None:
        """Tell the ranker what we did with a post, with the next message. Nothing happens without consent."""
        if self.home is None or len(self._signals) >= WAITING_MAX:
            return
        if isinstance(post, Ranked):
            self._signals.append(SignalItem(post.placed.post, kind, value, post.ranking, post.place))
        else:
            self._signals.append(SignalItem(post.key, kind, value))

    async def flush(self) -> None:
        """Send what was noted, with whatever is said next: a crash before that loses no more than a hint."""
        if self.home is not None and self._signals:
            items, self._signals = tuple(self._signals), []
            self.asking.say(K.Signals(items=items, circle=self.circle), self.home.topic)
        await trio.lowlevel.checkpoint()

    async def shown(self, posts: Sequence[Ranked]) -> None:
        """These were shown to a person."""
        for post in posts:
            self.note(post, SignalKind.VIEW)
        await self.flush()

    async def less(self, post: Ranked) -> None:
        """Fewer posts like this."""
        self._need_home()
        self.note(post, SignalKind.LESS)
        await self.flush()

    async def more(self, post: Ranked) -> None:
        """More posts like this."""
        self._need_home()
        self.note(post, SignalKind.LIKE, 1000)
        await self.flush()

    async def hide(self, post: Ranked) -> None:
        """Not this one again."""
        self._need_home()
        self.note(post, SignalKind.HIDE)
        await self.flush()
