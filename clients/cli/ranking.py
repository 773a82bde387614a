"""Verbs about ranked pages, for ``chappe chat`` and ``chappe feed``: a verb takes words and gives lines to show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import trio

from clients.cli.posting import Posting, digits
from clients.cli.room import NotFound, Room, clean
from clients.feed.local import Local, is_local
from clients.feed.ranked import Rank, Ranked, RankedPage
from protocol.scoring.page import Agreement

HELP: Final = """\
[bold]/rank[/] on|off|reset|save FILE|slider BRIDGING [FRESH]   let a ranker learn; 0–1000
[bold]/rank[/] model [HANDLE | FILE ACCOUNT], then [bold]/ranked[/] local [BRIDGING [FRESH]]   on this device alone
[bold]/ranked[/] [more|plain]  [bold]/briefing[/]   a ranked page (plain: try nothing out, tell nothing); the day's
[bold]/why[/] POST  [bold]/whynot[/] POST  [bold]/less[/] POST  [bold]/more[/] POST   its score; others like it"""
VERBS: Final = ("rank", "ranked", "briefing", "why", "whynot", "less", "more")


class RankVerbs:
    """Verbs, by name."""

    def __init__(self, room: Room, posting: Posting) -> None:
        self._client = room.client
        self._posting = posting
        self._page: RankedPage | None = None
        self._shown: dict[str, Ranked] = {}
        self.verbs: dict[str, Callable[[list[str]], Awaitable[list[str]]]] = {
            name: getattr(self, f"_{name}") for name in VERBS
        }

    @property
    def _book(self) -> Rank:
        return self._client.feed.rank

    async def _rank(self, words: list[str]) -> list[str]:
        rank, verb = self._book, words[0]
        if verb == "on":
            return [await rank.opt_in(*words[1:2]), "chronological again: /rank off"]
        if verb == "off":
            return [await rank.opt_out()]
        if verb == "reset":
            return [await rank.forget()]
        if verb == "save":
            path = _path(" ".join(words[1:]) or words[1])
            await trio.to_thread.run_sync(path.write_bytes, await rank.export())
            return [f"what the ranker knows of you is in {path}"]
        if verb == "model":
            return [await self._model(words[1:])]
        if verb == "slider":
            bridging, *fresh = [int(word) for word in words[1:3]]
            await rank.set_slider(bridging=bridging, fresh=fresh[0] if fresh else None)
        home = rank.home
        return [f"slider: bridging {home.bridging}, fresh {home.fresh}" if home else "no ranker: /rank on"]

    async def _model(self, words: list[str]) -> str:
        local = self._client.feed.local
        if len(words) > 1:
            try:
                signer = bytes.fromhex(words[1])
            except ValueError:
                raise NotFound(f"{words[1]!r} is no account: 64 hex digits, as `chappe rank ship` prints it") from None
            model = await local.load(_path(words[0]), signer)
        else:
            model = await local.fetch(*words)
        return f"a model of {len(model.posts)} posts is on this device: /ranked local"

    async def _ranked(self, words: list[str]) -> list[str]:
        if words[:1] == ["local"]:
            bridging, fresh = ([int(word) for word in words[1:3]] + [None, None])[:2]
            return await self._kept(await self._client.feed.rank_locally(bridging=bridging, fresh=fresh))
        below = self._page if words[:1] == ["more"] else None
        plain = words[:1] == ["plain"]
        return await self._kept(await self._book.page(below=below, explore=not plain), tell=not plain)

    async def _briefing(self, words: list[str]) -> list[str]:
        return await self._kept(await self._book.briefing())

    async def _kept(self, page: RankedPage, *, tell: bool = True) -> list[str]:
        self._page = page
        return await self.show(page, tell=tell)

    async def show(self, page: RankedPage, *, tell: bool = True) -> list[str]:
        """A page for people, and (``tell``) for its ranker that it was shown; /why and the like find its posts."""
        lines = []
        for item in page.items:
            self._shown[digits(item.item.entry)] = item
            line = self._posting.text if item.circle else self._posting.line
            lines.append(f"{item.place:>3}. {line(item.item)}")
            if item.note is not None:
                sources = " ".join(map(clean, getattr(item.note.body, "sources", ())))
                lines.append(f"     context that both sides find helpful: {clean(item.note.text)} {sources}".rstrip())
            if item.agreement is not None and item.agreement.raters_one + item.agreement.raters_other:
                lines.append(f"     {_agreed(item.agreement)}")
        lines += [f"     {page.left_out} posts are gone, or hidden here"] if page.left_out else []
        if tell and page.items:
            await self._book_of(page.items[0]).shown(page.items)
        return lines or ["the ranker has nothing for you yet"]

    def _post(self, name: str) -> Ranked:
        found = [item for shown, item in self._shown.items() if shown.endswith(name.lstrip("#"))]
        if len(found) != 1:
            raise NotFound(f"{len(found)} ranked posts end with {name!r}; /ranked shows what they are called")
        return found[0]

    def _book_of(self, post: Ranked) -> Rank | Local:
        """Who placed a post: this device, a circle's ranker, or the one for what is public."""
        if post.circle:
            return self._client.feed.circles.get(post.circle).ranked
        return self._client.feed.local if is_local(post) else self._book

    async def _why(self, words: list[str]) -> list[str]:
        await trio.lowlevel.checkpoint()
        return [clean(line) for line in self._post(words[0]).why]

    async def _whynot(self, words: list[str]) -> list[str]:
        return [clean(await self._book.why_not(await self._posting.entry(words[0])))]

    async def _less(self, words: list[str]) -> list[str]:
        post = self._post(words[0])
        await self._book_of(post).less(post)
        return ["noted: fewer like this"]

    async def _more(self, words: list[str]) -> list[str]:
        post = self._post(words[0])
        await self._book_of(post).more(post)
        return ["noted: more like this"]


def _agreed(agreement: Agreement) -> str:
    one = f"{agreement.helpful_one} of {agreement.raters_one} on one side"
    return f"found informative by {one}, {agreement.helpful_other} of {agreement.raters_other} on the other"


def _path(text: str) -> Path:
    return Path(text).expanduser()
