"""The circles that admitted the ranker: which there are, what is said in them, and who may ask of which.

A circle is a group of which the worker is an ordinary member. It reads what is said after it came, as any member does.
What happens to the group is witnessed in the transaction in which it happens (``Worker.watches``): the circle's tables
come and go with the membership, and with a member goes what that member told.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Final

import msgspec
import trio

from clients.events import AnyEvent, Changed, Joined, Removed, Restarted, Voided
from clients.feed.entries import Entry
from clients.records import Conversation, Status
from clients.shelf import Shelf
from clients.vault import VaultError
from extensions.ranking import bounds as B
from extensions.ranking import circle as rows
from extensions.ranking import events as E
from extensions.ranking.circle import Circle, Query
from extensions.ranking.public import events_of
from extensions.ranking.shop import Write
from extensions.rows import Item
from extensions.store import WorkerVault
from protocol import limits as L
from protocol.ids import TopicKind
from protocol.messages import Body
from protocol.messages import feed as F

_ROSTER: Final = (Joined, Changed, Voided, Restarted)  # after these others may be members than before
LEARNS: Final = (F.Post, F.Reply, F.Quote, F.Repost, F.Like, F.Edit, F.Delete, F.Note, F.Rating)


class Circles:
    """Those of one process. ``query`` reads the worker's own tables. What awaits is called by one task only."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._loaded: OrderedDict[bytes, Circle] = OrderedDict()
        self._going: Counter[bytes] = Counter()  # topics whose tables go with a transaction that is not written yet
        self._drops = 0
        self._out: set[tuple[bytes, bytes]] = set()  # (topic, account) put out since the present batch began
        self.doubtful: set[bytes] = set()  # topics of groups for which there may have been no room
        self._unscrubbed = 1  # drops of which the file may still hold bytes; one may be the process's before this

    # -- what happens to groups ----------------------------------------------------------------------------------------
    def witness(self, shelf: Shelf, event: AnyEvent) -> list[Write]:
        """What to write with an event, in its transaction."""
        topic = event.topic
        talk = shelf.conversations.get(topic)
        if talk is None or talk.kind != TopicKind.GROUP:
            return []
        if isinstance(event, Removed):
            return self._drop(shelf, talk)
        if not isinstance(event, _ROSTER):
            return []
        writes = []
        if isinstance(event, Joined):
            writes.append(rows.made(topic, event.by))
            shelf.journal.after(lambda: self.doubtful.add(topic))
        gone = event.removed if isinstance(event, Changed) else ()
        self._out.update((topic, account) for account in gone)
        circle = self._loaded.get(topic)
        if circle is not None:
            circle.put_out(talk.roster, gone)
        return [*writes, rows.kept(topic, talk.roster)]

    def _drop(self, shelf: Shelf, talk: Conversation) -> list[Write]:
        """Nothing of a circle stays: not in memory from now on, not in the database from this transaction on."""
        topic = talk.topic
        self._loaded.pop(topic, None)
        self._drops += 1
        self._going[topic] += 1
        talk.title, talk.roster, talk.delivered, talk.left = "", {}, {}, ()  # nobody here has to know who they were
        shelf.save(talk)
        shelf.journal.after(lambda: self._dropped(topic))
        return [rows.dropped(topic)]

    def _dropped(self, topic: bytes) -> None:
        self._going[topic] -= 1
        self._going += Counter()  # without zeros
        self._unscrubbed += 1

    async def topics(self) -> list[bytes]:
        """All that there are."""
        return await trio.to_thread.run_sync(rows.topics, self._query)

    async def is_homeless(self, topic: bytes) -> bool:
        """Whether there was no room for a circle that we joined."""
        return await trio.to_thread.run_sync(rows.number_of, self._query, topic) is None

    # -- reading them --------------------------------------------------------------------------------------------------
    async def open(self, topic: bytes) -> Circle | None:
        """A circle as its log has it; None: there is none. It stays in memory until ``settle``."""
        while True:
            if topic in self._loaded:
                self._loaded.move_to_end(topic)
                return self._loaded[topic]
            if topic in self._going:
                return None
            drops = self._drops
            try:
                circle = await trio.to_thread.run_sync(self._read, topic)
            except VaultError:
                if drops == self._drops:
                    raise
                continue  # its tables went while they were read
            if drops == self._drops:
                if circle is not None:
                    self._loaded[topic] = circle
                return circle

    def _read(self, topic: bytes) -> Circle | None:
        number = rows.number_of(self._query, topic)
        return None if number is None else Circle(number, self._query, lambda account: (topic, account) in self._out)

    def begin(self) -> None:
        """A batch begins: all of the one before is written."""
        self._out.clear()

    def settle(self, *, written: bool) -> None:
        """A batch has ended. Where it was not written, memory is ahead of the tables: they are read anew."""
        if not written:
            self._loaded.clear()
        for topic in [topic for topic, circle in self._loaded.items() if circle.is_worn]:
            del self._loaded[topic]
        while len(self._loaded) > B.CIRCLES_LOADED:
            self._loaded.popitem(last=False)

    @property
    def is_clean(self) -> bool:
        """Whether the worker's files hold nothing more of any circle that is gone."""
        return not self._going and not self._unscrubbed

    async def scrub(self, vault: WorkerVault) -> None:
        """Have the worker's files hold nothing of circles that are gone, if there may be something."""
        drops = self._unscrubbed
        if drops and await trio.to_thread.run_sync(vault.scrub):
            self._unscrubbed -= drops

    @property
    def loaded(self) -> int:
        """How many are in memory."""
        return len(self._loaded)

    # -- messages ------------------------------------------------------------------------------------------------------
    async def hear(self, shelf: Shelf, item: Item, body: Body) -> list[Write]:
        """Learn from what was said in a group; what to write. Of who is out by now, what was said counts, no likes."""
        circle = await self.open(item.topic)
        if circle is None:
            self.doubtful.add(item.topic)
            return []
        talk = shelf.conversations.get(item.topic)
        here = talk is not None and item.account in talk.roster
        return circle.apply([event for event in said(item, body) if here or rows.reader_of(event) is None])

    async def asked(self, shelf: Shelf, topic: bytes, account: bytes) -> Circle | None:
        """The circle that an account asks of; None: one of us is no member of it now, or there is none."""
        talk = shelf.conversations.get(topic)
        if talk is None or talk.kind != TopicKind.GROUP or talk.status != Status.ACTIVE or account not in talk.roster:
            return None
        return await self.open(topic)


def said(item: Item, body: Body) -> Iterator[E.AnyEvent]:
    """The events of something said in a circle. Its tags are the words that begin with #."""
    entry = Entry(item.account, item.id, 1, item.offset, item.ts, (), body, b"", item.doubt)
    about = entry.about
    if isinstance(body, F.Edit | F.Delete) and (about is None or about.account != item.account):
        return  # nobody changes what others have said
    tags = tags_in(entry.text)
    for event in events_of(entry):
        yield msgspec.structs.replace(event, tags=tags) if isinstance(event, E.Post | E.Edited) else event


def tags_in(text: str) -> tuple[str, ...]:
    """The tags in a text, each once, as far as a public post could have them."""
    words = dict.fromkeys(word[1:].rstrip(".,;:!?") for word in text.split() if word.startswith("#"))
    tags = [word for word in words if 0 < len(word) <= L.FEED_TAG_CHARS_MAX and not {"#", "@"} & set(word)]
    return tuple(tags[: L.FEED_TAGS_MAX])
