"""Asking the relay for public entries, and checking each of them: signature, kind, and whether its device is listed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from clients.connection import Link, Refusal, asked
from clients.directory import Directory
from clients.feed.entries import Entry, check_entry
from protocol import limits as L
from protocol.codec import decode_struct
from protocol.errors import Code, RemoteProtocolError
from protocol.feeds import FeedError, Pointer
from protocol.frames import SubResult
from protocol.ids import feed_topic
from protocol.messages import Body
from protocol.messages.feed import Target
from protocol.requests import FeedEntry, FeedPage, GetEntries, GetHeads, ReadFeed

T = TypeVar("T")


class Reader:
    """Questions about public topics. They wait while the relay is away. ``bad`` counts entries that were no entries."""

    def __init__(self, directory: Directory, wait_connected: Callable[[], Awaitable[Link]]) -> None:
        self._directory = directory
        self._wait_connected = wait_connected
        self.bad = 0

    async def _ask(self, question: Callable[[Link], Awaitable[T]]) -> T:
        return await asked(self._wait_connected, question)

    async def heads(self, topics: Sequence[bytes]) -> list[SubResult]:
        """Where topics end; code 404 for those that nobody has begun."""
        found: list[SubResult] = []
        for start in range(0, len(topics), L.HEADS_TOPICS_MAX):
            part = GetHeads(tuple(topics[start : start + L.HEADS_TOPICS_MAX]))
            found += await self._ask(lambda link, part=part: link.ask("topics.heads", part, list[SubResult]))  # type: ignore[misc]
        return found

    async def page(self, topic: bytes, after: int = 0, limit: int = L.FEED_READ_MAX) -> FeedPage:
        """Raw entries behind an offset. Of a topic that nobody has begun: an empty page of generation 0."""
        try:
            params = ReadFeed(topic, after, limit)
            return await self._ask(lambda link: link.ask("feeds.read", params, FeedPage))
        except Refusal as error:
            if error.code == Code.NOT_FOUND:
                return FeedPage(0, 0, after)
            raise

    async def raw(self, places: Sequence[tuple[bytes, int]]) -> list[FeedEntry | None]:
        """Raw entries by (topic, offset), in order; None: gone, or never there."""
        found: list[FeedEntry | None] = []
        while len(found) < len(places):
            part = GetEntries(tuple(places[len(found) : len(found) + L.FEED_GET_MAX]))
            answer = await self._ask(lambda link, part=part: link.ask("feeds.get", part, list[FeedEntry | None]))  # type: ignore[misc]
            if not answer:
                raise RemoteProtocolError("the relay answers a question for entries with nothing", fatal=False)
            found += answer[: len(places) - len(found)]
        return found

    async def checked(self, raws: Sequence[FeedEntry]) -> list[Entry | None]:
        """Entries that are what they say, in order; None for those that are not. Asks for device lists it lacks."""
        lacking = {raw.account for raw in raws if self._directory.doubt(raw.account, raw.device)}
        if lacking:
            await self._ask(lambda link: self._directory.fetch(link, lacking))
        return [self.check(raw) for raw in raws]

    def check(self, raw: FeedEntry) -> Entry | None:
        """An entry that is what it says, or None; by the device lists that are here."""
        try:
            entry = check_entry(raw)
        except FeedError:
            self.bad += 1
            return None
        doubt = self._directory.doubt(raw.account, raw.device)
        return replace(entry, doubt=doubt) if doubt else entry

    async def entries(self, targets: Sequence[Target]) -> list[Entry | None]:
        """The entries that references name; None: gone, or another one than was meant."""
        raws = await self.raw([(feed_topic(target.account), target.offset) for target in targets])
        there = [raw for raw in raws if raw is not None]
        checked = dict(zip((id(raw) for raw in there), await self.checked(there), strict=True))
        found: list[Entry | None] = []
        for target, raw in zip(targets, raws, strict=True):
            entry = None if raw is None else checked[id(raw)]
            meant = entry is not None and (entry.account, entry.id) == (target.account, target.id)
            same = entry is not None and target.hash in (b"", entry.hash)
            found.append(entry if meant and same else None)
        return found

    async def pointed(self, topic: bytes, after: int = 0, limit: int = L.FEED_READ_MAX) -> list[Entry]:
        """The entries that a log of pointers points to and that are still there, oldest first."""
        page = await self.page(topic, after, limit)
        places = [(feed_topic(pointer.account), _pointer(pointer).offset) for pointer in page.entries]
        raws = await self.raw(places)
        there = [
            raw
            for raw, pointer in zip(raws, page.entries, strict=True)
            if raw is not None and (raw.account, raw.id) == (pointer.account, pointer.id)
        ]
        return [entry for entry in await self.checked(there) if entry is not None]

    async def said_by(self, account: bytes, topic: bytes, count: int) -> list[Body]:
        """What an account itself has said, oldest first, among the newest ``count`` of what a log points to."""
        (head,) = await self.heads([topic])
        found = await self.pointed(topic, max(head.head - count, 0)) if not head.code else []
        return [entry.body for entry in found if entry.account == account]


def _pointer(raw: FeedEntry) -> Pointer:
    try:
        return decode_struct(raw.body, Pointer)
    except RemoteProtocolError:
        return Pointer(0, 0)  # points nowhere
