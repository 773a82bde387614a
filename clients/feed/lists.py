"""``client.feed.lists``: authors under a name, and a timeline of them alone.

::

    await client.feed.lists.add("sea", await client.find("bob"))
    for item in await client.feed.lists.timeline("sea"):
        ...

Whoever is on a list need not be followed, and does not learn of it. Own devices agree on every place on a list by
itself, so that what is added on two of them at once is on it on both. A list on which nobody is any more is gone.

``publish`` says in our own feed who is on a list now; others read it with ``of``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from clients.engine import Engine
from clients.feed.shown import PAGE, Cursor, Gap, Item
from clients.feed.timeline import Timeline
from clients.shelf import list_key
from protocol import limits as L
from protocol.feeds import FeedError
from protocol.ids import about_topic, lists_key
from protocol.messages import Body
from protocol.messages import feed as F


class Lists:
    """See the module."""

    def __init__(self, engine: Engine, timelines: Timeline, publish: Callable[[Body], Awaitable[bytes]]) -> None:
        self._shelf = engine.shelf
        self._timelines = timelines
        self._publish = publish

    @property
    def names(self) -> tuple[str, ...]:
        """What our lists are called."""
        return tuple(sorted({name for name, _ in self._shelf.listed.values()}))

    @property
    def everybody(self) -> frozenset[bytes]:
        """Who is on any of them."""
        return frozenset(account for _, account in self._shelf.listed.values())

    def accounts(self, name: str) -> tuple[bytes, ...]:
        """Who is on a list. Raises ``FeedError`` if there is none of that name."""
        found = tuple(sorted(account for listed, account in self._shelf.listed.values() if listed == name))
        if not found:
            raise FeedError(f"you have no list {name!r}; a list begins with whom you put on it")
        return found

    async def add(self, name: str, *accounts: bytes) -> None:
        """Put somebody on a list, which begins with it. Raises ``FeedError`` if that does not fit; then nobody is."""
        if not 0 < len(name) <= L.FEED_LIST_CHARS_MAX or name != name.strip():
            raise FeedError(f"the name of a list has 1 to {L.FEED_LIST_CHARS_MAX} characters")
        if name not in self.names and len(self.names) >= L.FEED_LISTS_MAX:
            raise FeedError(f"you have {L.FEED_LISTS_MAX} lists; drop one first")
        there = set(self.accounts(name)) if name in self.names else set()
        if len(there | set(accounts)) > L.FEED_LIST_ACCOUNTS_MAX:
            raise FeedError(f"a list has at most {L.FEED_LIST_ACCOUNTS_MAX} people; take somebody off it first")
        for account in set(accounts) - there:
            self._shelf.save_listed(list_key(name, account), name, account)
        await self._shelf.journal.flushed()

    async def remove(self, name: str, *accounts: bytes) -> None:
        """Take somebody off a list."""
        self._strike(name, set(accounts) & set(self.accounts(name)))
        await self._shelf.journal.flushed()

    async def drop(self, name: str) -> None:
        """Have a list no more."""
        self._strike(name, self.accounts(name))
        await self._shelf.journal.flushed()

    def _strike(self, name: str, accounts: Iterable[bytes]) -> None:
        for account in accounts:
            self._shelf.save_listed(list_key(name, account), None, b"")
        for account in set(accounts) - self.everybody.union(self._timelines.accounts()):
            self._timelines.forget(account)

    async def timeline(self, name: str, before: Cursor | None = None, limit: int = PAGE) -> list[Item | Gap]:
        """What those on a list have said, as ``Feed.timeline`` shows it. Waits for the relay."""
        return await self._timelines.read_page(before, limit, self.accounts(name))

    async def publish(self, name: str, *, undo: bool = False) -> bytes:
        """Say in public who is on a list now, or (``undo``) nothing of it any more; the id of the entry."""
        accounts = () if undo else self.accounts(name)
        return await self._publish(F.List(name=name, accounts=accounts))

    async def of(self, account: bytes) -> dict[str, tuple[bytes, ...]]:
        """The lists that somebody has made public, by name. Waits for the relay."""
        said = await self._timelines.reader.said_by(account, about_topic(lists_key(account)), L.FEED_READ_MAX)
        found = {body.name: body.accounts for body in said if isinstance(body, F.List)}
        return {name: accounts for name, accounts in sorted(found.items()) if accounts}
