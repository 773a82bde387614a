"""What those whom we follow have posted, said in a chat now and then: how much and by whom, never what.

Up to ``FEED_LIVE_MAX`` feeds come live; of the others the heads are asked for every few minutes, and what is new of
some of them is read. News begin where a person has read to on any device, or else where a feed ended when it was seen
here first: a feed that one begins to follow is not news as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from clients.cli.room import Room
from clients.feed.shown import Filter, Item
from protocol import limits as L
from protocol.errors import ChappeError
from protocol.ids import feed_topic

NAMES_MAX: Final = 3  # of authors in one notice; of the others, how many


class PostNews:
    """Notices about posts. ``say`` shows a line."""

    def __init__(self, room: Room, say: Callable[[str], None]) -> None:
        self._room = room
        self._client = room.client
        self._timelines = room.client.feed.timelines
        self._say = say
        self._told: dict[bytes, int] = {}  # account → offset up to which nothing is news any more
        self._asked_at = 0.0  # when heads were asked for last, by trio's clock

    async def run(self) -> None:
        """Say what is new, at most once in ``FEED_NEWS_MS``, until cancelled."""
        self._asked_at = trio.current_time()
        while True:
            changed = self._timelines.changed
            await self._look()
            line = self.line()
            if line is not None:
                self._say(line)
                await trio.sleep(L.FEED_NEWS_MS / 1000)
            else:
                with trio.move_on_at(self._asked_at + L.FEED_NEWS_HEADS_MS / 1000):
                    await changed.wait()

    def line(self) -> str | None:
        """What is new since the last time, in a line; None: nothing."""
        hide = self._timelines.filter()
        news = [(-self._new(account, hide), self._room.name_of(account)) for account in self._told]
        found = sorted(one for one in news if one[0])
        if not found:
            return None
        count = -sum(minus for minus, _ in found)
        by = ", ".join(name for _, name in found[:NAMES_MAX])
        by += f" and {len(found) - NAMES_MAX} more" * (len(found) > NAMES_MAX)
        return f"{count} new post{'s' * (count > 1)} by {by}: /timeline shows what you follow"

    def _new(self, account: bytes, hide: Filter) -> int:
        """How many posts of a feed are news; they are none any more."""
        log = self._timelines.logs.get(account)
        if log is None:
            return 0
        after = max(self._told[account], self._read(account))
        self._told[account] = max(after, log.high)
        if log.high <= after or hide.author(account):
            return 0
        return sum(
            isinstance(item, Item) and item.entry.offset > after and not hide.hides(item) for item in log.items()
        )

    def _read(self, account: bytes) -> int:
        return self._client.engine.shelf.reads.get(feed_topic(account), (0, 0))[1]

    # -- feeds that are new to us, or do not come live -----------------------------------------------------------------
    async def _look(self) -> None:
        """Ask where feeds end, where that is due. A refusal is no news: it is asked again later."""
        follows = self._client.feed.follows
        for account in set(self._told) - follows:
            del self._told[account]
        fresh = sorted(follows - set(self._told))
        try:
            for account, head in zip(fresh, await self._heads(fresh), strict=True):
                self._told[account] = self._read(account) or head
            if trio.current_time() >= self._asked_at + L.FEED_NEWS_HEADS_MS / 1000:
                self._asked_at = trio.current_time()
                await self._read_others()
        except ChappeError:
            self._asked_at = trio.current_time()

    async def _read_others(self) -> None:
        live = set(self._client.engine.tids.values())
        others = sorted(account for account in self._told if feed_topic(account) not in live)
        heads = zip(others, await self._heads(others), strict=True)
        moved = [account for account, head in heads if head > max(self._told[account], self._read(account))]
        await self._timelines.catch_up(moved[: L.FEED_NEWS_READ_MAX])

    async def _heads(self, accounts: list[bytes]) -> list[int]:
        topics = [feed_topic(account) for account in accounts]
        return [head.head for head in await self._timelines.reader.heads(topics)]
