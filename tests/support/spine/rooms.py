"""A room: a relay process and people as client processes in one group, with traffic and a judge."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from relay.demo.judge import Verdict, judge
from relay.demo.processes import Bell, Person, RelayProcess
from tests.support.proof import check

SETTLE_S = 90


@dataclass
class Room:
    """People in one group at one relay."""

    directory: Path
    relay: RelayProcess
    people: dict[str, Person]
    bell: Bell
    nursery: trio.Nursery
    random: random.Random
    topic: str = ""
    said: dict[str, list[str]] = field(default_factory=dict)  # account -> ids that were confirmed to be in its vault
    asked: int = 0  # sends that were tried, also those whose process died

    async def found(self, title: str = "room") -> None:
        """Everybody knows everybody; the first founds a group with the rest."""
        names = list(self.people)
        for name, person in self.people.items():
            await person.start(self.nursery, self.relay.url)
            await person.do("handle", name=name)
            person.account = (await person.do("account"))["account"]
        first = self.people[names[0]]
        for name in names[1:]:
            await first.do("add", handle=name)
        self.topic = (await first.do("group", title=title, names=names[1:]))["topic"]
        for person in self.people.values():
            await person.until(partial(self._in, person), "the invitation")

    def _in(self, person: Person) -> bool:
        return any(event["event"] == "joined" and event["topic"] == self.topic for event in person.events)

    async def talk(self, person: Person, count: int, pause_s: float = 0.0) -> None:
        """Say things one after another; ends quietly when the process dies."""
        for _ in range(count):
            self.asked += 1
            text = f"{person.name} {self.asked} " + "x" * self.random.randrange(300)
            reply = await person.ask("send", topic=self.topic, text=text)
            if "error" in reply:
                return
            self.said.setdefault(person.account, []).append(reply["id"])
            if pause_s:
                await trio.sleep(pause_s)

    @property
    def acknowledged(self) -> list[str]:
        """Ids that somebody was told are stored."""
        return [i for p in self.people.values() for i in self.said.get(p.account, []) if i in p.stored]

    def has_more_than(self, count: int) -> bool:
        """Whether more than ``count`` messages are acknowledged."""
        return len(self.acknowledged) > count

    async def settle(self) -> None:
        """Wait until everything said is acknowledged and everybody has heard the same number of messages."""

        def settled() -> bool:
            if len(self.acknowledged) < sum(len(ids) for ids in self.said.values()):
                return False
            wanted = set(self.acknowledged)
            return all(wanted <= {line.id for line in p.lines(self.topic)} for p in self.people.values()) and (
                len({len(p.lines(self.topic)) for p in self.people.values()}) == 1
            )

        done = await self.bell.until(settled, SETTLE_S)
        counts = {p.name: len(p.lines(self.topic)) for p in self.people.values()}
        check(done, f"not everything arrived within {SETTLE_S} s: said {self._total()}, heard {counts}")

    def _total(self) -> int:
        return sum(len(ids) for ids in self.said.values())

    def verdict(self) -> Verdict:
        """Judge the histories; raises ``Unproved`` if anything is wrong."""
        found = judge(self.said, self.acknowledged, {n: p.lines(self.topic) for n, p in self.people.items()})
        check(found.ok, f"a history is wrong: {found}")
        faults = [f"{p.name}: {fault}" for p in self.people.values() for fault in p.faults]
        check(not faults, f"applications were told of faults: {faults[:3]}")
        return found


@asynccontextmanager
async def open_room(names: tuple[str, ...], seed: int, *relay_options: str) -> AsyncIterator[Room]:
    """A relay and people in a group, in a temporary directory; every process ends with the block."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        directory = Path(temporary)
        bell = Bell()
        relay = RelayProcess(directory / "relay", directory / "relay.log")
        people = {name: Person(name, directory / name, directory / f"{name}.log", bell) for name in names}
        async with trio.open_nursery() as nursery:
            room = Room(directory, relay, people, bell, nursery, random.Random(seed))
            try:
                await relay.start(nursery, *relay_options)
                await room.found()
                yield room
            finally:
                with trio.CancelScope(shield=True):
                    for person in people.values():
                        await person.stop()
                    await relay.stop()
