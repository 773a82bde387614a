"""Circles: feeds for their members alone. A circle is a group conversation in which posts are said instead of chat.

The same messages as in public, sealed; the order is the group's. Nothing of a circle is known outside it, and whoever
is put out of it reads nothing that is said later. A circle may admit a ranker: an ordinary member whom everybody sees.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import trio

from clients import records as R
from clients.conversations import Conversation
from clients.engine import Engine
from clients.events import Received, decode_event
from clients.feed.circle_rank import CircleRank
from clients.feed.entries import Entry
from clients.feed.ranked import Rank
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

    def __init__(
        self, engine: Engine, group: Callable[[list[bytes], str], Awaitable[bytes]],
        conversation: Callable[[bytes], Conversation], find: Callable[[str], Awaitable[bytes]], rank: Rank,
        hidden: Callable[[], Filter],
    ) -> None:  # fmt: skip
        """``group`` founds a conversation and says its topic; ``find`` knows handles; ``rank`` is of what is public;
        ``hidden``: what is not shown, anywhere."""
        self.engine = engine
        self.conversation = conversation
        self.find = find
        self._group = group
        self.hidden = hidden
        self._rank = rank
        self._ranked: dict[bytes, CircleRank] = {}

    async def found(self, title: str, accounts: list[bytes]) -> Circle:
        """Found one. Raises what ``client.group`` raises."""
        return Circle(self, await self._group(accounts, title))

    def get(self, topic: bytes) -> Circle:
        """The circle of a conversation. Raises ``KeyError``."""
        self.engine.shelf.conversations[topic]
        return Circle(self, topic)

    def ranked(self, circle: Circle) -> CircleRank:
        """Its ranked pages; one and the same for each circle, since it keeps signals until the next message."""
        found = self._ranked.get(circle.topic)
        if found is None:
            found = self._ranked[circle.topic] = CircleRank(circle, self._rank)
        return found


class Circle:
    """One of them; ``topic`` is its conversation's, which has members, and is left, like any other."""

    def __init__(self, circles: Circles, topic: bytes) -> None:
        self._circles = circles
        self._engine = circles.engine
        self._shelf = self._engine.shelf
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

    async def quote(self, of: Entry, text: str = "") -> bytes:
        """Pass an entry of this circle on, inside it, with words of one's own."""
        return await self._say(F.Quote(of=_inside(of), text=text))

    async def like(self, of: Entry, *, undo: bool = False) -> bytes:
        """Like an entry of this circle, or not any more."""
        return await self._say(F.Like(of=_inside(of), undo=undo))

    async def edit(self, of: Entry, text: str) -> bytes:
        """A new version of an entry of ours."""
        return await self._say(F.Edit(of=_inside(of), text=text))

    async def delete(self, of: Entry) -> bytes:
        """Ask the members' devices to show an entry of ours no more."""
        return await self._say(F.Delete(of=_inside(of)))

    async def note(self, of: Entry, text: str, *, sources: Sequence[str] = ()) -> bytes:
        """Say what readers of an entry should know."""
        return await self._say(F.Note(of=_inside(of), text=text, sources=tuple(sources)))

    async def rate(self, note: Entry, helpful: int) -> bytes:
        """Whether a context note helps: 0 no, 1 somewhat, 2 yes."""
        return await self._say(F.Rating(of=_inside(note), helpful=helpful))

    # -- a ranker among us ---------------------------------------------------------------------------------------------
    @property
    def members(self) -> dict[bytes, int]:
        """Accounts and their roles."""
        return dict(self._talk.roster)

    @property
    def rankers(self) -> list[bytes]:
        """Members that are workers, by their own signed lists."""
        lists = self._shelf.lists
        return [account for account in sorted(self.members) if account in lists and lists[account].service]

    @property
    def ranked(self) -> CircleRank:
        """Its pages, ranked by a ranker that it has admitted, for those of us who opt in."""
        return self._circles.ranked(self)

    async def admit(self, handle: str = "ranking") -> bytes:
        """Make a ranker a member: everybody sees it, and it reads what is said from then on; the id of the commit.

        Raises ``FeedError`` if it is no worker, and what ``Conversation.add`` raises.
        """
        account = await self._circles.find(handle)
        link = self._engine.link
        if link is not None:
            await self._engine.directory.fetch(link, [account])
        known = self._engine.directory.known(account)
        if known is None or not known.service:
            raise FeedError(f"{handle} is a person, and no ranker; invite people as members of the conversation")
        return await self._circles.conversation(self.topic).add([account])

    async def dismiss(self, handle: str = "ranking") -> bytes:
        """Put a ranker out: it forgets this circle; the id of the commit.

        Raises ``FeedError`` if it is no member, and what ``Conversation.remove`` raises.
        """
        account = await self._circles.find(handle)
        if account not in self.members:
            raise FeedError(f"{handle} is no member of this circle")
        return await self._circles.conversation(self.topic).remove([account])

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
        """The newest posts, the newest first, without what is not shown anywhere (blocked, muted, hidden words)."""
        entries = await self.entries()
        logs = self.logs(entries)
        posts = [entry for entry in entries if isinstance(entry.body, F.Post | F.Reply | F.Quote)]
        hide = self._circles.hidden()
        items = [logs[entry.account].item(entry) for entry in reversed(posts)]
        return [item for item in items if item is not None and not hide.hides(item)][:limit]

    def logs(self, entries: Iterable[Entry]) -> dict[bytes, Log]:
        """What each member has said, with what they have changed; nobody changes what others have said."""
        logs: dict[bytes, Log] = {}
        for entry in entries:
            log = logs.setdefault(entry.account, Log(entry.account))
            mine = entry.about is not None and entry.about.account == entry.account
            if not isinstance(entry.body, F.Edit | F.Delete) or mine:
                log.add(entry)
        return logs


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
