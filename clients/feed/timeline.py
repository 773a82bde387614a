"""The feeds that somebody follows, as far as they are read: live while connected, older parts when they are wanted.

Up to ``FEED_LIVE_MAX`` feeds are subscribed; of the others the heads are asked for. Either way not more than the last
``LOADED`` entries of a feed are read unasked, however long we were away: what lies between is read page by page as
somebody reads down to it, and what is not shows as a ``Gap``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import trio

from clients.connection import Link, LinkDown, Refusal
from clients.engine import Engine
from clients.feed.entries import Entry
from clients.feed.reading import Reader
from clients.feed.shown import Cursor, Filter, Gap, Item, Log, liked, merged
from protocol import limits as L
from protocol.errors import RemoteProtocolError
from protocol.frames import Msg, Subscription, Unsub
from protocol.ids import about_topic, feed_topic
from protocol.messages import feed as F
from protocol.requests import FeedEntry, FeedPage

LOADED: Final = 50  # entries of a feed that are read unasked: a screen or two
ROUNDS_MAX: Final = 8  # times that older parts are read for one page; what is still missing then is a gap
OLDER_MAX: Final = 64  # feeds of which older parts are read in one round
ARRIVED_MAX: Final = 20_000  # entries that wait for their check: all that a login can bring
THREAD_ITEMS_MAX: Final = 200  # items of a thread: what anybody reads
ANCESTORS_MAX: Final = 50  # of them above the post that somebody looks at


class Timeline:
    """See the module; implements ``clients.public.Public``."""

    def __init__(self, engine: Engine, reader: Reader) -> None:
        self._engine = engine
        self._shelf = engine.shelf
        self.reader = reader
        self.logs: dict[bytes, Log] = {}
        self.changed = trio.Event()  # set, and replaced, whenever something of a feed came
        self._topics: dict[bytes, bytes] = {}  # topic → account
        self._fresh: set[bytes] = set()  # accounts whose subscription has just begun
        self._arrived: deque[FeedEntry] = deque()
        self._work = trio.Event()
        engine.public = self

    # -- whom ----------------------------------------------------------------------------------------------------------
    def accounts(self) -> list[bytes]:
        """Whose feeds are read: our own and those we follow."""
        return [self._shelf.account, *sorted(self._shelf.follows)]

    def log(self, account: bytes) -> Log:
        """What is known of a feed."""
        found = self.logs.get(account)
        if found is None:
            found = self.logs[account] = Log(account)
            self._topics[feed_topic(account)] = account
        return found

    def filter(self) -> Filter:
        """What is not shown."""
        shelf = self._shelf

        def hides(account: bytes) -> bool:
            return account in shelf.blocked or shelf.is_muted(feed_topic(account))

        return Filter(hides, tuple(word.casefold() for word in shelf.hidden.values()))

    # -- live ----------------------------------------------------------------------------------------------------------
    def subscriptions(self) -> list[Subscription]:
        """See ``Public``."""
        return [self._subscription(account) for account in self._live()]

    def _live(self) -> list[bytes]:
        return self.accounts()[: L.FEED_LIVE_MAX] if self._shelf.follows else []

    def _subscription(self, account: bytes) -> Subscription:
        self.log(account)
        self._fresh.add(account)
        return Subscription(feed_topic(account), last=LOADED)

    def follow(self, account: bytes) -> None:
        """Begin to read a feed."""
        if len(self.accounts()) <= L.FEED_LIVE_MAX:
            self._engine.subscribe([self._subscription(account)])

    def unfollow(self, account: bytes) -> None:
        """Read a feed no more."""
        topic, link = feed_topic(account), self._engine.link
        tids = tuple(tid for tid, name in self._engine.tids.items() if name == topic)
        for tid in tids:
            del self._engine.tids[tid]
        if link is not None and tids:
            link.submit(Unsub(0, tids))
        self.forget(account)

    def forget(self, account: bytes) -> None:
        """Drop what is known of a feed."""
        self.logs.pop(account, None)
        self._topics.pop(feed_topic(account), None)

    def entry(self, topic: bytes, msg: Msg) -> None:
        """See ``Public``."""
        if topic in self._topics and len(self._arrived) < ARRIVED_MAX:  # beyond it they are read when they are wanted
            generation = self.log(self._topics[topic]).generation
            raw = FeedEntry(
                generation, msg.offset, msg.id, msg.account, msg.device, msg.ts, msg.flags, msg.header, msg.body
            )  # fmt: skip
            self._arrived.append(raw)
            self._work.set()

    async def run(self, link: Link) -> None:
        """See ``Public``: check what arrives."""
        while True:
            await self._work.wait()
            self._work = trio.Event()
            while self._arrived:
                raws = [self._arrived.popleft() for _ in range(min(len(self._arrived), L.FEED_READ_MAX))]
                try:
                    entries = await self.reader.checked(raws)
                except (LinkDown, Refusal, RemoteProtocolError):
                    continue  # they are read when they are wanted
                for raw, entry in zip(raws, entries, strict=True):
                    self.arrive(raw.account, raw.offset, entry)
                self.tell()

    def tell(self) -> None:
        """Something of a feed is new."""
        self.changed.set()
        self.changed = trio.Event()

    def arrive(self, account: bytes, offset: int, entry: Entry | None) -> None:
        """Take in an entry that came live, or was just stored; None: it was none, but has its offset."""
        log = self.log(account)
        if offset > log.high + 1 and (account in self._fresh or not log.high):
            log.begin(log.generation, offset - 1)
        elif offset > log.high + 1:
            log.holes[log.high + 1] = offset - 1
        self._fresh.discard(account)
        if entry is not None and offset > log.low:
            log.add(entry)
        log.high = max(log.high, offset)
        log.trim()

    # -- pages ---------------------------------------------------------------------------------------------------------
    async def _read(self, log: Log, after: int, limit: int) -> None:
        """Read a piece of a feed and join it with what is known."""
        page = await self.reader.page(feed_topic(log.account), after, limit)
        entries = await self.reader.checked(page.entries)
        if page.generation:
            self._join(log, after, page, entries)

    def _join(self, log: Log, after: int, page: FeedPage, entries: Iterable[Entry | None]) -> None:
        if page.generation != log.generation or after > log.high or (not log.high and not log.entries):
            log.begin(page.generation, after)
        for entry in entries:
            if entry is not None:
                log.add(entry)
        log.holes |= dict(page.holes)
        log.low = min(log.low, after)
        log.high = max(log.high, page.next)

    async def catch_up(self, accounts: Iterable[bytes]) -> None:
        """Ask where feeds end, and read what is new of them: the newest part only, where much is."""
        logs = [self.log(account) for account in accounts]
        heads = await self.reader.heads([feed_topic(log.account) for log in logs])
        # Nobody can subscribe to a feed that has not begun, and other devices of ours follow people, too.
        lacking = set(self._live()) - {self._topics.get(topic) for topic in self._engine.tids.values()}
        late = [log.account for log, head in zip(logs, heads, strict=True) if log.account in lacking and not head.code]
        self._engine.subscribe([self._subscription(account) for account in late])
        for log, head in zip(logs, heads, strict=True):
            if head.generation > log.generation and log.high:
                log.begin(head.generation, 0)
            while not head.code and head.head > log.high:
                before = log.high
                after = max(head.head - LOADED, log.high)
                await self._read(log, after, LOADED)
                if log.high <= before:
                    break

    def page(
        self, before: Cursor | None, limit: int, whose: Sequence[bytes] | None = None
    ) -> list[Item | Gap]:  # fmt: skip
        """What is known of a page. ``whose`` feeds: None for our own and those we follow."""
        likes = self.likes()
        accounts = self.accounts() if whose is None else whose
        found = merged(map(self.log, accounts), self._seen, self.filter(), before, limit)
        return [liked(item, likes) if isinstance(item, Item) else item for item in found]

    def _seen(self, account: bytes) -> int:
        return self._shelf.reads.get(feed_topic(account), (0, 0))[1]

    def likes(self) -> set[bytes]:
        """Keys of the entries that we like, as far as our own feed is read."""
        found: set[bytes] = set()
        mine = self.log(self._shelf.account)
        for offset in sorted(mine.entries):
            body = mine.entries[offset].body
            if isinstance(body, F.Like):
                key = mine.entries[offset].about_key
                (found.discard if body.undo else found.add)(key)
        return found

    async def read_page(
        self, before: Cursor | None, limit: int, whose: Sequence[bytes] | None = None
    ) -> list[Item | Gap]:  # fmt: skip
        """A page, the newest first; older parts of feeds are read where it needs them. ``whose``: see ``page``."""
        accounts = self.accounts() if whose is None else whose
        if before is None:
            await self.catch_up(accounts)
        for _ in range(ROUNDS_MAX):
            found = self.page(before, limit, accounts)
            last = found[-1].cursor if len(found) >= limit else (0, b"", 0)
            short = [log for log in map(self.log, accounts) if _is_short(log, last)]
            if not short:
                break
            for log in short[:OLDER_MAX]:
                after = max(log.low - LOADED, 0)
                await self._read(log, after, log.low - after)
        return self.page(before, limit, accounts)

    async def fill(self, gap: Gap) -> None:
        """Read what a gap hides, the newest part of it first, at most ``FEED_READ_MAX`` entries."""
        log = self.log(gap.account)
        if not gap.gone and log.low:
            after = max(log.low - L.FEED_READ_MAX, 0)
            await self._read(log, after, log.low - after)

    def seen(self, items: Sequence[Item | Gap]) -> None:
        """These were shown to a person."""
        for item in items:
            if isinstance(item, Item):
                entry = item.entry
                self._shelf.save_read(feed_topic(entry.account), entry.generation, entry.offset)

    # -- threads -------------------------------------------------------------------------------------------------------
    async def thread(self, entry: Entry) -> list[tuple[int, Item]]:
        """(depth, post): what an entry answers, itself, and what was said to it, in the order of the relay's time."""
        above: list[Entry] = []
        (top,) = await self.reader.entries([entry.target])
        if top is None:
            return []  # it was taken back
        while top is not None and isinstance(top.body, F.Reply) and len(above) < ANCESTORS_MAX:
            (top,) = await self.reader.entries([top.body.to])
            above += [top] if top is not None else []
        found: list[tuple[int, Item]] = []
        hide = self.filter()
        for depth, ancestor in enumerate(reversed(above)):
            found += await self._with_edits(depth, ancestor, [], hide)
        await self._answers(len(above), entry, found, hide)
        return found

    async def _answers(self, depth: int, entry: Entry, found: list[tuple[int, Item]], hide: Filter) -> None:
        said = await self.reader.pointed(about_topic(entry.key))
        shown = await self._with_edits(depth, entry, said, hide)
        found += shown
        for answer in said if shown else ():
            if isinstance(answer.body, F.Reply) and len(found) < THREAD_ITEMS_MAX:
                await self._answers(depth + 1, answer, found, hide)

    async def _with_edits(self, depth: int, entry: Entry, said: list[Entry], hide: Filter) -> list[tuple[int, Item]]:
        log = Log(entry.account)
        for other in said or await self.reader.pointed(about_topic(entry.key)):
            if other.account == entry.account:
                log.add(other)
        item = log.item(entry)
        return [(depth, item)] if item is not None and not hide.hides(item) else []


def _is_short(log: Log, last: Cursor) -> bool:
    """Whether older entries of a feed may belong above ``last``."""
    if not log.low:
        return False
    oldest = min((entry.ts for entry in log.entries.values()), default=None)
    return oldest is None or oldest >= last[0]
