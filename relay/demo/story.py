"""What happens in the demo, act by act. Every act checks what it promises; figures go into one summary."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import trio

from relay.demo.feeds import Feeds
from relay.demo.games import Games
from relay.demo.judge import Verdict, files_with, judge, memory_holds, percentile
from relay.demo.money import Money
from relay.demo.processes import ANSWER_S, Bell, DemoFailed, Person, RelayProcess

NAMES = ("alice", "bob", "carol", "dave", "erin")
PACED_EVERY_S = 0.02


@dataclass
class Figures:
    """What a demo found out."""

    seed: int
    relay_ready_ms: float = 0.0
    sent: int = 0
    stored: int = 0
    delivered: int = 0
    lost: int = 0
    duplicated: int = 0
    swapped: int = 0
    orders_equal: bool = True
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    away_messages: int = 0
    catch_up_ms: float = 0.0
    killed_by: int = 0
    stored_before_kill: int = 0
    back_after_kill_ms: float = 0.0
    marker_in_files: list[str] = field(default_factory=list)
    marker_in_memory: bool | None = None
    acts: dict[str, dict[str, Any]] = field(default_factory=dict)  # by act (money, feeds, …): its figures
    promises: dict[str, dict[str, bool]] = field(default_factory=dict)  # by act: what, and whether it happened
    games: dict[str, str] = field(default_factory=dict)
    pgn: list[str] = field(default_factory=list)
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything that was promised happened."""
        return not self.failures

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"ok": self.ok, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    pair: int = 20  # messages each of two people
    group: int = 20  # messages each of five people, all at once
    paced: int = 100  # messages for the latency figures
    away: int = 500  # messages while somebody is away
    killing: int = 60  # messages each of four people while the relay is killed
    money: bool = True
    feeds: bool = True
    games: bool = True  # whether they play, too


class Story:
    """One run. ``tell`` says what is going on; everything happens below ``directory``."""

    def __init__(self, directory: Path, sizes: Sizes, seed: int, tell: Callable[[str], None]) -> None:
        self.directory = directory
        self.sizes = sizes
        self.figures = Figures(seed)
        self._random = random.Random(seed)
        self._tell = tell
        self._marker = "marker-" + secrets.token_hex(12)  # unpredictable, so that it stands nowhere by chance
        self.relay = RelayProcess(directory / "relay", directory / "relay.log")
        self.bell = Bell()
        self.people = {n: Person(n, directory / n, directory / f"{n}.log", self.bell) for n in NAMES}
        self._said: dict[str, dict[str, list[str]]] = {}  # topic -> sender -> message ids
        self.topic = ""
        self.money = Money(directory, self.people, "demo", tell, lambda: self.relay.url)
        self.feeds = Feeds(directory, self.people, tell, lambda: self.relay.url)

    async def run(self, nursery: trio.Nursery) -> None:
        """All acts. A promise that was not kept becomes a line of ``figures.failures``."""
        began = trio.current_time()
        try:
            await self._open(nursery)
            await self._pair()
            await self._group()
            await self._latency()
            async with trio.open_nursery() as beside:  # what was timed is over: games go on beside the rest
                if self.sizes.games:
                    beside.start_soon(self._games)
                await self._rest(nursery)
        except DemoFailed as error:
            self.figures.failures.append(str(error))
        self.figures.seconds = round(trio.current_time() - began, 1)

    # -- acts ----------------------------------------------------------------------------------------------------------
    async def _open(self, nursery: trio.Nursery) -> None:
        self._tell("starting a relay, and five people with a vault each")
        await self.relay.start(nursery)
        self.figures.relay_ready_ms = round(self.relay.ready_ms)
        await self._each(list(NAMES), lambda person: self._arrive(nursery, person))
        for name, person in self.people.items():
            for other in NAMES:
                if other != name:
                    await person.do("add", handle=other)

    async def _arrive(self, nursery: trio.Nursery, person: Person) -> None:
        await person.start(nursery, self.relay.url)
        await person.do("handle", name=person.name)
        person.account = (await person.do("account"))["account"]

    async def _pair(self) -> None:
        self._tell(f"alice and bob: {2 * self.sizes.pair} messages, end-to-end encrypted")
        alice, bob = self.people["alice"], self.people["bob"]
        topic = (await alice.do("pair", name="bob"))["topic"]
        await self._send(topic, alice, "hello bob, this is " + self._marker)
        await bob.until(lambda: bool(bob.lines(topic)), "alice's first message")
        async with trio.open_nursery() as nursery:
            for person in (alice, bob):
                nursery.start_soon(self._talk, topic, person, self.sizes.pair)
        await self._settle(topic, [alice, bob])
        await alice.until(lambda: bob.account in alice.delivered.get(topic, {}), "bob's receipt")

    async def _group(self) -> None:
        self._tell(f"a group of five: {5 * self.sizes.group} messages, everybody at once, with typing notices")
        alice = self.people["alice"]
        self.topic = (await alice.do("group", title="demo", names=list(NAMES[1:])))["topic"]
        for person in self.people.values():
            await person.until(partial(self._in_group, person), "the invitation to the group")
        async with trio.open_nursery() as nursery:
            for person in self.people.values():
                nursery.start_soon(self._talk, self.topic, person, self.sizes.group)
        await self._settle(self.topic, list(self.people.values()))

    def _in_group(self, person: Person) -> bool:
        return any(event["event"] == "joined" and event["topic"] == self.topic for event in person.events)

    async def _latency(self) -> None:
        self._tell(f"{self.sizes.paced} messages at a calm pace, timed from saying to hearing")
        began: dict[str, float] = {}
        names = list(NAMES)
        for number in range(self.sizes.paced):
            person = self.people[names[number % len(names)]]
            at = trio.current_time()
            began[await self._send(self.topic, person, f"calm {number}")] = at
            await trio.sleep(max(0.0, at + PACED_EVERY_S - trio.current_time()))
        await self._settle(self.topic, list(self.people.values()))
        took = [
            (person.heard_at[message_id] - at) * 1000
            for message_id, at in began.items()
            for person in self.people.values()
            if message_id not in self._said[self.topic].get(person.account, [])
        ]
        self.figures.p50_ms = round(percentile(took, 0.5), 1)
        self.figures.p99_ms = round(percentile(took, 0.99), 1)

    async def _away(self, nursery: trio.Nursery) -> None:
        erin = self.people["erin"]
        self._tell(f"erin goes; the others say {self.sizes.away} things; erin comes back")
        await erin.stop()
        share = -(-self.sizes.away // 4)
        async with trio.open_nursery() as talkers:
            for name in NAMES[:4]:
                talkers.start_soon(self._talk, self.topic, self.people[name], share)
        here = [self.people[name] for name in NAMES[:4]]
        await self._settle(self.topic, here)
        began = trio.current_time()
        await erin.start(nursery, self.relay.url)
        await self._settle(self.topic, [erin])
        await erin.until(lambda: self.topic in erin.caught_up, "being caught up")
        self.figures.away_messages = share * 4
        self.figures.catch_up_ms = round((trio.current_time() - began) * 1000)

    async def _kill(self, nursery: trio.Nursery) -> None:
        self._tell("the relay is killed with -9 in the middle of traffic, and started again")
        before = self._acknowledged(self.topic)
        senders = [self.people[name] for name in NAMES[:4]]
        async with trio.open_nursery() as talkers:
            for person in senders:
                talkers.start_soon(self._talk, self.topic, person, self.sizes.killing)
            goal = before + self._random.randrange(self.sizes.killing, 2 * self.sizes.killing)
            await self.bell.until(lambda: self._acknowledged(self.topic) >= goal, ANSWER_S)
            self.figures.killed_by = -await self.relay.kill()
            self.figures.stored_before_kill = self._acknowledged(self.topic) - before
            began = trio.current_time()
            await self.relay.start(nursery)
        await self._settle(self.topic, list(self.people.values()))
        self.figures.back_after_kill_ms = round((trio.current_time() - began) * 1000)
        if self.figures.killed_by != 9:
            raise DemoFailed("the relay did not die of the kill")

    async def _marker_search(self) -> None:
        self._tell("looking for a marker from alice's first message in the relay's files, log and memory")
        marker = self._marker.encode()
        self.figures.marker_in_files = files_with(marker, self.relay.data) + (
            ["relay.log"] if marker in self.relay.log.read_bytes() else []
        )
        self.figures.marker_in_memory = await trio.to_thread.run_sync(memory_holds, marker, self.relay.pid)

    async def _rest(self, nursery: trio.Nursery) -> None:
        try:
            await self._away(nursery)
            await self._kill(nursery)
            if self.sizes.money:
                await self.money.start()  # it is there by the time that the search is through
            await self._marker_search()
            if self.sizes.money:
                await self.money.run(nursery, self.topic)
                self._played("money", self.money.figures.as_json(), self.money.promises())
            if self.sizes.feeds:
                await self.feeds.start()
                await self.feeds.run(nursery)
                self._played("feeds", self.feeds.figures.as_json(), self.feeds.promises())
        except DemoFailed as error:
            self.figures.failures.append(str(error))

    def _played(self, name: str, figures: dict[str, Any], promises: dict[str, bool]) -> None:
        self.figures.acts[name], self.figures.promises[name] = figures, promises
        self.figures.failures += [f"{name}: not kept: {what}" for what, kept in promises.items() if not kept]

    async def _games(self) -> None:
        games = Games(self.directory / "games", self._tell)
        try:
            await games.run()
        except* DemoFailed as group:
            self.figures.failures += [f"games: {error}" for error in group.exceptions]
        self.figures.games, self.figures.pgn = games.figures, games.pgn

    # -- helpers -------------------------------------------------------------------------------------------------------
    async def _each(self, names: list[str], action: Callable[[Person], Any]) -> None:
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(action, self.people[name])

    async def _talk(self, topic: str, person: Person, count: int) -> None:
        for number in range(count):
            if number % 10 == 0:
                await person.do("typing", topic=topic)
            await self._send(topic, person, f"{person.name} says {number}: {'x' * self._random.randrange(200)}")

    async def _send(self, topic: str, person: Person, text: str) -> str:
        message_id: str = (await person.do("send", topic=topic, text=text))["id"]
        self._said.setdefault(topic, {}).setdefault(person.account, []).append(message_id)
        return message_id

    def _acknowledged(self, topic: str) -> int:
        return sum(
            message_id in person.stored
            for person in self.people.values()
            for message_id in self._said.get(topic, {}).get(person.account, [])
        )

    async def _settle(self, topic: str, people: list[Person]) -> None:
        """Wait until these people have heard everything that was said."""
        count = sum(len(ids) for ids in self._said[topic].values())
        for person in people:
            await person.until(partial(_has, person, topic, count), f"{count} messages in {topic[:8]}")

    async def close(self) -> None:
        """End every process that this story started."""
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for person in self.people.values():
                    nursery.start_soon(person.stop)
                nursery.start_soon(self.money.worker.stop)
                nursery.start_soon(self.feeds.stop)
            await self.relay.stop()

    # -- judging -------------------------------------------------------------------------------------------------------
    async def conclude(self) -> None:
        """Judge the histories; call it when nothing is on its way any more."""
        figures = self.figures
        for topic, said in self._said.items():
            members = {name: p.lines(topic) for name, p in self.people.items() if p.lines(topic)}
            acknowledged = [i for p in self.people.values() for i in said.get(p.account, []) if i in p.stored]
            verdict = judge(said, acknowledged, members)
            self._add(verdict)
        figures.failures += [f"{p.name}: {fault}" for p in self.people.values() for fault in p.faults]
        if figures.sent != figures.stored:
            figures.failures.append(f"{figures.sent - figures.stored} messages were never acknowledged")
        if figures.marker_in_files:
            figures.failures.append(f"the marker stands in {', '.join(figures.marker_in_files)}")
        if figures.marker_in_memory:
            figures.failures.append("the marker stands in the relay's memory")
        await self._compare_groups()

    def _add(self, verdict: Verdict) -> None:
        figures = self.figures
        figures.sent += verdict.sent
        figures.stored += verdict.stored
        figures.delivered += verdict.delivered
        figures.lost += verdict.lost
        figures.duplicated += verdict.duplicated
        figures.swapped += verdict.swapped
        figures.orders_equal = figures.orders_equal and verdict.orders == 1
        if not verdict.ok:
            figures.failures.append(f"a history is wrong: {verdict}")

    async def _compare_groups(self) -> None:
        """Everybody must agree on the log so far, and on every secret of the group."""
        seen = set()
        for person in self.people.values():
            if person.process is None or person.process.returncode is not None:
                continue
            listed = (await person.do("list"))["conversations"]
            found = next((talk for talk in listed if talk["topic"] == self.topic), None)
            seen.add(None if found is None else found["authenticator"])
        if len(seen) != 1 or None in seen:
            self.figures.failures.append("the members do not agree on the state of the group")


def _has(person: Person, topic: str, count: int) -> bool:
    return len(person.lines(topic)) >= count
