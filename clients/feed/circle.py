"""Circles: feeds for their members alone. A circle is a group conversation in which posts are said instead of chat.

The same messages as in public, sealed; the order is the group's. Nothing of a circle is known outside it, and whoever
is put out of it reads nothing that is said later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from clients import records as R
from clients.engine import Engine
from clients.events import Received, decode_event
from clients.feed.entries import Entry
from clients.feed.shown import Filter, Item, Log
from protocol.errors import RemoteProtocolError
from protocol.feeds import FeedError
from protocol.messages import Body, compose, parse
from protocol.messages import feed as F
from protocol.messages.feed import Target

_MARK: Final = b"feed."
_READ: Final = 256  # events of one read of the vault
CIRCLE_ITEMS_MAX: Final = 2000  # events of a circle that one look goes through


class Circles:
    """The circles that we are in."""

    def __init__(self, engine: Engine, group: Callable[[list[bytes], str], Awaitable[bytes]]) -> None:
        self._engine = engine
        self._group = group

    async def found(self, title: str, accounts: list[bytes]) -> Circle:
        """Found one. Raises what ``client.group`` raises."""
        return Circle(self._engine, await self._group(accounts, title))

    def get(self, topic: bytes) -> Circle:
        """The circle of a conversation. Raises ``KeyError``."""
        self._engine.shelf.conversations[topic]
        return Circle(self._engine, topic)


class Circle:
    """One of them; ``topic`` is its conversation's, which has members, and is left, like any other."""

    def __init__(self, engine: Engine, topic: bytes) -> None:
        self._engine = engine
        self._shelf = engine.shelf
        self.topic = topic

    @property
    def _talk(self) -> R.Conversation:
        return self._shelf.conversations[self.topic]

    # -- saying --------------------------------------------------------------------------------------------------------
    async def _say(self, body: Body) -> bytes:
        talk = self._talk
        if talk.status in (R.Status.REMOVED, R.Status.LEFT):
            raise FeedError("you are not in this circle any more")
        message_id = self._engine.say(talk, compose(body, seen=self._engine.seen(talk)))
        await self._shelf.journal.flushed()
        return message_id

    async def post(self, text: str, *, media: tuple[F.File, ...] = ()) -> bytes:
        """Say something to the members; its id."""
        return await self._say(F.Post(text=text, media=media))

    async def reply(self, to: Entry, text: str) -> bytes:
        """Answer an entry of this circle."""
        return await self._say(F.Reply(to=_inside(to), text=text))

    async def like(self, of: Entry, *, undo: bool = False) -> bytes:
        """Like an entry of this circle, or not any more."""
        return await self._say(F.Like(of=_inside(of), undo=undo))

    async def edit(self, of: Entry, text: str) -> bytes:
        """A new version of an entry of ours."""
        return await self._say(F.Edit(of=_inside(of), text=text))

    async def delete(self, of: Entry) -> bytes:
        """Ask the members' devices to show an entry of ours no more."""
        return await self._say(F.Delete(of=_inside(of)))

    # -- reading -------------------------------------------------------------------------------------------------------
    async def entries(self) -> list[Entry]:
        """Everything that was said here, oldest first, as far as this device has it."""
        return await trio.to_thread.run_sync(self._entries)

    def _entries(self) -> list[Entry]:
        found: list[Entry] = []
        after = 0
        while True:
            rows = self._shelf.vault.events(after, _READ, self.topic)
            for seq, value in rows:
                after = seq
                event = decode_event(value, seq)
                if isinstance(event, Received) and _MARK in event.content:
                    found += _entry(event, self._talk.generation)
            if not rows:
                return found[-CIRCLE_ITEMS_MAX:]

    async def timeline(self, limit: int = 30) -> list[Item]:
        """The newest posts, the newest first. What is blocked or holds a hidden word is left out."""
        shelf = self._shelf
        logs: dict[bytes, Log] = {}
        posts: list[Entry] = []
        for entry in await self.entries():
            log = logs.setdefault(entry.account, Log(entry.account))
            mine = entry.about is not None and entry.about.account == entry.account
            if not isinstance(entry.body, F.Edit | F.Delete) or mine:
                log.add(entry)
            if isinstance(entry.body, F.Post | F.Reply | F.Quote):
                posts.append(entry)
        hide = Filter(lambda account: account in shelf.blocked, tuple(w.casefold() for w in shelf.hidden.values()))
        items = [logs[entry.account].item(entry) for entry in reversed(posts)]
        return [item for item in items if item is not None and not hide.hides(item)][:limit]


def _inside(entry: Entry) -> Target:
    return Target(entry.account, entry.id, entry.offset)


def _entry(event: Received, generation: int) -> list[Entry]:
    try:
        body = parse(event.content).body
    except RemoteProtocolError:
        return []
    if not isinstance(body, Body) or not body.TYPE.startswith("feed."):
        return []
    return [Entry(event.account, event.id, generation, event.offset, event.ts, (), body, b"", event.doubt)]
