"""Circles with a ranker among their members, for tests and proofs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from clients.client import Client
from clients.events import Received, decode_event
from clients.feed import Circle, Entry
from extensions.ranking import events as E
from extensions.ranking.circles import Circles
from extensions.ranking.ranker import Ranker
from extensions.store import WorkerVault
from protocol.messages import parse
from tests.support.feeds import patiently
from tests.support.ranking import Town, open_ranking, start
from tests.support.workers import WAIT_S, until


@dataclass
class Club:
    """A town with people and circles. ``circle`` has admitted the ranker; ``other`` may have."""

    town: Town
    ann: Client
    bob: Client
    cem: Client
    circle: Circle  # ann's; bob is in it, too
    other: Circle  # ann's; cem is in it, too

    @property
    def ranker(self) -> bytes:
        """The ranker's account."""
        return self.town.running.process.engine.shelf.account

    @property
    def vault(self) -> WorkerVault:
        """The worker's database."""
        return self.town.running.vault

    @property
    def circles(self) -> Circles:
        """Of the present process."""
        return self.town.ranking.circles(self.town.running.process)

    def of(self, client: Client, circle: Circle) -> Circle:
        """A member's own handle on a circle."""
        return client.feed.circles.get(circle.topic)

    def number(self, circle: Circle) -> int:
        """A circle's number in the worker's database; 0: it has none."""
        rows = self.vault.query("SELECT number FROM rank_circles WHERE topic = ?", (circle.topic,))
        return rows[0][0] if rows else 0

    def log(self, circle: Circle) -> list[E.AnyEvent]:
        """The events of a circle's log."""
        number = self.number(circle)
        rows = self.vault.query(f"SELECT event FROM rank_circle_{number} ORDER BY n") if number else []
        return [E.from_bytes(row) for (row,) in rows]

    def replayed(self, circle: Circle) -> Ranker:
        """A ranker in this process that has learned a circle's log."""
        ranker = Ranker()
        for event in self.log(circle):
            ranker.apply(event)
        return ranker

    async def admit(self, circle: Circle, *others: Client) -> None:
        """Have a circle admit the ranker; return once the worker and some other members know it."""
        await patiently(circle.admit)  # the worker may not have taken its handle yet
        await until(lambda: self.number(circle), "the ranker in the circle")
        handles = [self.of(client, circle) for client in others]
        await until(lambda: all(self.ranker in one.members for one in (circle, *handles)), "a roster with the ranker")

    async def says(self, circle: Circle, *texts: str) -> list[Entry]:
        """Post in a circle; the entries, once the ranker has learned them and ``bob`` and ``cem`` have them, too."""
        ids = [await circle.post(text) for text in texts]
        found: list[Entry] = []
        here = [client for client in (self.ann, self.bob, self.cem) if client.account in circle.members]
        with trio.fail_after(WAIT_S):
            for client in here:
                found = []
                while len(found) < len(ids):
                    entries = await self.of(client, circle).entries()
                    found = [entry for entry in entries if entry.id in ids]
                    await trio.sleep(0.005)
        if self.number(circle):
            await until(lambda: {e.key for e in found} <= self.posts(circle), "the posts at the ranker")
        return found

    def posts(self, circle: Circle) -> set[bytes]:
        """Posts that the circle's log has."""
        return {event.id for event in self.log(circle) if isinstance(event, E.Post)}

    async def gone(self, circle: Circle) -> None:
        """Wait until the worker is out of a circle, and its files were scrubbed."""
        await until(lambda: not self.number(circle) and self.circles.is_clean, "the end of a circle")

    def files(self) -> bytes:
        """All bytes of the worker's database and of the journal beside it."""
        path = self.vault.path
        beside = [path.with_name(path.name + end) for end in ("", "-wal")]
        return b"".join(file.read_bytes() for file in beside if file.exists())

    async def again(self) -> None:
        """The worker crashes, and is started again."""
        await self.town.running.crash()
        self.town = await start(self.town.stage)


@asynccontextmanager
async def open_club(home: Path) -> AsyncIterator[Club]:
    """Three people, two circles, and the ranker in none yet."""
    async with open_ranking(home) as town:
        ann, bob, cem = [(await town.stage.person(name)).client for name in ("ann", "bob", "cem")]
        circle = await patiently(lambda: ann.feed.circle("first", [bob.account]))
        other = await patiently(lambda: ann.feed.circle("second", [cem.account]))
        await until(lambda: circle.topic in bob.conversations and other.topic in cem.conversations, "the Welcomes")
        yield Club(town, ann, bob, cem, circle, other)


def bodies(client: Client, topic: bytes) -> list[object]:
    """What others said in a conversation, as a client has it."""
    rows = client.engine.shelf.vault.events(0, 1000, topic)
    events = [decode_event(value, seq) for seq, value in rows]
    return [parse(event.content).body for event in events if isinstance(event, Received) and not event.mine]
