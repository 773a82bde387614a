"""The demo's acts about feeds: ten authors are followed, read by time, ranked, asked why, and less of one is wanted.

Everything goes through commands that a person would type. The ranker is a process of its own, with an account like
anybody's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import trio

from relay.demo.processes import ANSWER_S, DemoFailed, Person, WorkerProcess

AUTHORS: Final = 10
_RETRY_S: Final = 0.05
_TOPICS: Final = ("sea", "hills", "bread", "trains", "stars")


@dataclass
class FeedFigures:
    """What the acts about feeds found out."""

    followed: int = 0
    by_time: int = 0  # posts of the chronological timeline
    ordered: bool = False
    ranked: int = 0
    why: list[str] = field(default_factory=list)
    differs: bool = False
    differs_ms: float = 0.0
    briefing: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


class Feeds:
    """The acts. ``people``: who writes; the first of them reads."""

    def __init__(
        self, directory: Path, people: dict[str, Person], tell: Callable[[str], None], url: Callable[[], str]
    ) -> None:
        self.figures = FeedFigures()
        self._directory = directory
        self._people = people
        self._tell = tell
        self._url = url
        self._worker = WorkerProcess("ranking", directory / "workers", directory / "ranking.log")
        self._authors: list[Person] = []
        self._posts: list[str] = []

    async def start(self) -> None:
        """Start the ranker; it takes its handle when it is connected."""
        await self._worker.start(self._url())

    async def run(self, nursery: trio.Nursery) -> None:
        """All acts. Raises ``DemoFailed``."""
        reader = next(iter(self._people.values()))
        await self._write(nursery)
        await self._by_time(reader)
        await self._ranked(reader)
        await self._less(reader)
        await self._brief(reader)

    async def stop(self) -> None:
        """End what this started."""
        for author in self._authors:
            await author.stop()
        await self._worker.stop()

    # -- acts ----------------------------------------------------------------------------------------------------------
    async def _write(self, nursery: trio.Nursery) -> None:
        others = list(self._people.values())[1:]
        self._tell(f"feeds: {AUTHORS} authors post in public, signed; alice follows all of them")
        first = others[0]
        self._authors = [
            Person(f"author{n}", self._directory / f"author{n}", self._directory / f"author{n}.log", first.bell)
            for n in range(AUTHORS - len(others))
        ]
        async with trio.open_nursery() as arriving:
            for author in self._authors:
                arriving.start_soon(self._arrive, nursery, author)
        writers = [*others, *self._authors]
        async with trio.open_nursery() as writing:
            for number, writer in enumerate(writers):
                writing.start_soon(self._post, writer, number)
        reader = next(iter(self._people.values()))
        for writer in writers:
            await self._lines(reader, "follow", writer.name)
        self.figures.followed = len(writers)

    async def _arrive(self, nursery: trio.Nursery, author: Person) -> None:
        await author.start(nursery, self._url())
        await author.do("handle", name=author.name)

    async def _post(self, writer: Person, number: int) -> None:
        topic, other = _TOPICS[number % len(_TOPICS)], _TOPICS[(number + 1) % len(_TOPICS)]
        for text, tag in ((f"what {writer.name} knows of the {topic}", topic), (f"and of the {other}", other)):
            (stored,) = await self._lines(writer, "post", text, f"#{tag}")
            self._posts.append(stored.split()[-1])

    async def _by_time(self, reader: Person) -> None:
        self._tell("alice reads by time: no ranker has learned anything yet")
        lines = await self._lines(reader, "timeline")
        stamps = [_moment(line) for line in lines]
        falls = all(late >= early or late.month < early.month for late, early in pairwise(stamps))
        self.figures.by_time, self.figures.ordered = len(lines), falls

    async def _ranked(self, reader: Person) -> None:
        self._tell("alice opts in; the ranker learns from what she tells it, sealed; she asks for a page, and why")
        with trio.fail_after(ANSWER_S):
            while "error" in await reader.ask("rank", words=["on"]):  # noqa: ASYNC110 - no bell rings for it
                await trio.sleep(_RETRY_S)
        await self._known(reader)
        lines = await self._page(reader)
        self.figures.ranked = len(lines)
        self.figures.why = await self._lines(reader, "why", _name(lines[0]))

    async def _known(self, reader: Person) -> None:
        """Until the ranker has read what was posted."""
        for name in self._posts:
            with trio.move_on_after(ANSWER_S) as patience:
                while "not known" in (await self._lines(reader, "whynot", name))[0]:  # noqa: ASYNC110 - no bell rings for it
                    await trio.sleep(_RETRY_S)
            if patience.cancelled_caught:
                raise DemoFailed(f"{reader.name}: the ranker never read post {name}; see {self._worker.log}")

    async def _less(self, reader: Person) -> None:
        self._tell("less like the first one: the next page is another one")
        before = await self._page(reader)
        began = trio.current_time()
        await self._lines(reader, "less", _name(before[0]))
        after = await self._page(reader)
        self.figures.differs_ms = round((trio.current_time() - began) * 1000, 1)
        self.figures.differs = [_name(line) for line in after] != [_name(line) for line in before]

    async def _page(self, reader: Person) -> list[str]:
        return [line for line in await self._lines(reader, "ranked", "plain") if ". " in line[:6]]

    async def _brief(self, reader: Person) -> None:
        self.figures.briefing = await self._lines(reader, "briefing")
        for line in self.figures.briefing:
            self._tell(f"  briefing: {line.strip()}")

    async def _lines(self, person: Person, verb: str, *words: str) -> list[str]:
        lines: list[str] = (await person.do(verb, words=list(words)))["lines"]
        return lines

    # -- judging -------------------------------------------------------------------------------------------------------
    def promises(self) -> dict[str, bool]:
        """What was promised about feeds, and whether it happened."""
        f = self.figures
        return {
            f"{f.by_time} posts of {f.followed} authors, by the relay's time": f.followed == AUTHORS and f.ordered,
            f"{f.ranked} posts ranked on request; why: {f.why[0] if f.why else '?'}": bool(f.ranked and len(f.why) > 1),
            f"less like this: another page after {f.differs_ms} ms": f.differs,
            f"a briefing of {len(f.briefing)} lines": bool(f.briefing),
        }


def _moment(line: str) -> datetime:
    """When a post was stored, to the minute; what is shown has no year."""
    return datetime.strptime(f"2000 {line.split('  ')[1]} +0000", "%Y %d %b %H:%M %z")


def _name(line: str) -> str:
    """What a ranked line calls its post."""
    return line.split()[1]
