"""Random operations on the SQLite store and on the dict model: every outcome, log and list must be the same."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TypeVar

import hypothesis
import pytest
import trio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from protocol.frames import AccessChange, Create, Flag
from protocol.ids import TopicKind, feed_topic, group_topic, pair_topic, self_topic
from protocol.limits import COMMIT_SPACING_MS, DEVICE_UNSEEN_MS_MAX, GRACE_MS, ID_AGE_MS_MAX, RESERVE_MS
from storage import batch, memory_model
from storage.base import Append, Outcome, Store
from storage.memory import MemoryStore
from tests.conftest import LONG
from tests.contracts.kit import BACKENDS, DAY_MS, Clock, Kit, Person, key, opened, welcome

T = TypeVar("T")
NAMES = ("ann", "bob", "cem", "dan")
PEOPLE = [Person(name, (key(f"{name}/0"), key(f"{name}/1"))) for name in NAMES]
STRANGER = Person("stranger", (key("stranger/0"),))
NONCE = bytes(16)
ANN, BOB, CEM, DAN = (person.account for person in PEOPLE)
FOUND: dict[bytes, tuple[Person, Create]] = {
    pair_topic(ANN, BOB): (PEOPLE[0], Create(TopicKind.PAIR, peer=BOB)),
    group_topic(ANN, NONCE): (PEOPLE[0], Create(TopicKind.GROUP, NONCE)),
    group_topic(CEM, NONCE): (PEOPLE[2], Create(TopicKind.GROUP, NONCE)),
    self_topic(ANN): (PEOPLE[0], Create(TopicKind.SELF)),
    feed_topic(BOB): (PEOPLE[1], Create(TopicKind.FEED)),
}
TOPICS = [*FOUND, *(person.inbox for person in PEOPLE), key("nowhere")]
BLOBS = [b"blob 1", b"blob 2", b"blob 3"]
FLAGS = [0, 0, 0, 0, 4, 4, 4 | 32, 4 | 32, 4 | 32, 32, 64, 64, 4 | 128, 4 | 32 | 128, 1024, 1024, 8, 8 | 64, 512, 1, 2]

persons = st.sampled_from(PEOPLE)


def random_change(random: Random) -> AccessChange:
    """Who is let in and put out: mostly possible, often forbidden, sometimes nonsense."""
    accounts = [ANN, BOB, CEM, DAN] * 4 + [STRANGER.account]
    added = tuple(
        (random.choice(accounts), random.choice((1, 2, 2, 3, 4, 4, 9))) for _ in range(random.choice((0, 1, 1, 2)))
    )
    removed = tuple(random.choice(accounts) for _ in range(random.choice((0, 0, 1, 1, 2))))
    revoked = tuple((person.account, person.device) for person in random.sample(PEOPLE, random.choice((0, 0, 0, 1))))
    return AccessChange(added, removed, devices_removed=revoked)


def random_flags(random: Random, topic: bytes) -> int:
    """Mostly what the kind of topic takes."""
    if random.random() < 0.1:
        return random.choice((0, 1, 2, 4, 8, 32, 64, 128, 256, 512, 1024, 64 | 4))
    if topic not in FOUND:
        return Flag.SEALED
    if topic == feed_topic(BOB):
        return Flag.PUBLIC | random.choice((0, 0, Flag.ERASE))
    return random.choice((0, 0, 0, 0, 4, 4, 4 | 32, 4 | 32, 32, 64, 4 | 128, 4 | 32 | 128))


class Stores(RuleBasedStateMachine):
    """Both stores live in one trio loop in a thread; rules call into it."""

    @initialize()
    def begin(self) -> None:
        """Open both, and register everybody in both."""
        self.folder = TemporaryDirectory()
        self.clock = Clock()
        self.ids: dict[tuple[bytes, bytes], list[Append]] = {}
        self.lists = {person.account: person for person in PEOPLE}
        self.token: trio.lowlevel.TrioToken
        ready = threading.Event()
        self.memory = MemoryStore(clock_ms=self.clock)

        async def main() -> None:
            self.token = trio.lowlevel.current_trio_token()
            self.ended, reopen = trio.Event(), True
            while reopen:
                self.reopen = trio.Event()
                async with opened("sqlite", Path(self.folder.name), self.clock) as self.sqlite:
                    ready.set()
                    await self.reopen.wait()
                    reopen = not self.ended.is_set()
                    ready.clear()

        self.ready = ready
        self.thread = threading.Thread(target=trio.run, args=(main,))
        self.thread.start()
        ready.wait()
        for person in PEOPLE:
            self.with_kits(partial(Kit.publish, person=person))
        for data in BLOBS:
            self.with_kits(partial(Kit.blob, data=data))
        for person, create in FOUND.values():
            self.found(person, create)

    def teardown(self) -> None:
        if hasattr(self, "thread"):
            self.token.run_sync_soon(self.ended.set)
            self.token.run_sync_soon(self.reopen.set)
            self.thread.join()
            self.folder.cleanup()

    def call(self, run: Callable[[], Awaitable[T]]) -> T:
        return trio.from_thread.run(run, trio_token=self.token)

    def both(self, run: Callable[[Store], Awaitable[T]]) -> T:
        """Run in both; the results must be equal."""
        results = [self.call(partial(run, store)) for store in (self.memory, self.sqlite)]
        assert results[0] == results[1], difference(*results)
        return results[0]

    def with_kits(self, run: Callable[[Kit], Awaitable[T]]) -> T:
        return self.both(lambda store: run(Kit(store, self.clock)))

    def found(self, person: Person, create: Create) -> None:
        topic = next(topic for topic, founder in FOUND.items() if founder == (person, create))
        kit = Kit(self.memory, self.clock, count=len(self.ids) + 1000)
        if create.kind == TopicKind.FEED:
            intent = kit.intent(person, topic, Flag.PUBLIC, None, create=create)
        else:
            added = {TopicKind.PAIR: ((BOB, 4),), TopicKind.GROUP: ((BOB, 3), (DAN, 2))}.get(TopicKind(create.kind), ())
            intent = kit.intent(person, topic, 4 | 32, (1, 0), create=create, access=AccessChange(added))
        self.append([intent])

    def append(self, intents: list[Append]) -> None:
        """Queue all at once in each store, so that one of them decides them in batches."""

        async def run(store: Store) -> list[Outcome]:
            outcomes: list[Outcome] = []
            done = trio.Event()

            def take(outcome: Outcome) -> None:
                outcomes.append(outcome)
                if len(outcomes) == len(intents):
                    done.set()

            for intent in intents:
                store.topics.append_nowait(intent, take)
            await done.wait()
            return outcomes

        for intent, outcome in zip(intents, self.both(run), strict=True):
            hypothesis.event(type(outcome).__name__ + str(getattr(outcome, "code", "")))
            self.ids.setdefault((intent.topic, intent.device), []).append(intent)

    def intent(self, random: Random, heads: dict[bytes, tuple[int, int, int]], count: int) -> Append:
        """Something to append: mostly right, often nearly right."""

        def rarely(share: float = 0.1) -> bool:
            return random.random() < share

        topic = random.choice(TOPICS if rarely(0.3) else [*FOUND][:3])
        log = self.memory.topics._store.logs.get(topic)
        inside = [person for person in PEOPLE if log is not None and person.account in log.members]
        author = random.choice(inside if inside and topic in FOUND and not rarely() else PEOPLE)
        device, flags = author.devices[rarely(0.2)], random_flags(random, topic)
        leave = flags == Flag.ACCESS
        change = AccessChange(removed=(author.account,)) if leave and not rarely() else random_change(random)
        head, group, fence = heads.get(topic, (0, 0, 0))
        reset, known = bool(flags & Flag.RESET), self.ids.get((topic, device), [])
        epoch = (group + 1, 0) if reset else (group, max(fence - random.choice((0, 0, 0, 0, 0, 1, 2)), 0))
        intent = Kit(self.memory, self.clock, count=count).intent(
            author, topic, flags, epoch if group and not (leave or rarely(0.03)) else None, device=device,
            access=change if bool(flags & Flag.ACCESS) != rarely(0.03) else None,
            create=FOUND[topic][1] if rarely(0.03) and topic in FOUND else None,
            erases=random.randint(1, max(head, 1)) if bool(flags & Flag.ERASE) != rarely(0.02) else 0,
            ttl=random.choice((0, 0, 0, 50)), read_from=random.randint(0, head + 2), login=0 if rarely(0.02) else 99,
            expect=head - rarely() if reset or rarely() else None,
            welcomes=tuple(welcome(p) for p in random.sample(PEOPLE, rarely(0.5))) if flags & 4 or rarely(0.02) else (),
            blobs=tuple(key_of(random.choice(BLOBS) if not rarely() else b"none") for _ in range(rarely(0.3))),
        )  # fmt: skip
        if known and rarely(0.15):
            old = random.choice(known[-3:])
            intent = replace(intent, id=old.id, digest=key("other") if rarely(0.3) else old.digest)
        if rarely(0.2):
            intent = replace(intent, after=random.choice(known).id if known and not rarely() else bytes(16))
        return intent

    # -- rules ---------------------------------------------------------------------------------------------------------
    @rule(seed=st.integers(0, 2**32), size=st.integers(1, 16), wait=st.booleans())
    def publish(self, seed: int, size: int, wait: bool) -> None:
        """One seed instead of hundreds of drawn values: they would be most of the run."""
        random = Random(seed)
        self.clock.pass_ms(COMMIT_SPACING_MS if wait else 1)
        logs = self.memory.topics._store.logs
        heads = {topic: (log.facts.head, log.facts.group, log.facts.fence) for topic, log in logs.items()}
        count = 2000 + sum(map(len, self.ids.values()))
        self.append([self.intent(random, heads, count + n) for n in range(size)])

    @rule(seed=st.integers(0, 2**32), size=st.integers(1, 4))
    def publish_one_by_one(self, seed: int, size: int) -> None:
        """So that several commits in a row succeed."""
        for n in range(size):
            self.publish(seed + n, 1, True)

    @rule(seed=st.integers(0, 2**32))
    def publish_much(self, seed: int) -> None:
        self.publish(seed, 40, False)

    @rule(span_ms=st.sampled_from([1, 60, GRACE_MS, RESERVE_MS, 600_000, DAY_MS, DEVICE_UNSEEN_MS_MAX, ID_AGE_MS_MAX]))
    def wait(self, span_ms: int) -> None:
        self.clock.pass_ms(span_ms)

    @rule(topic=st.sampled_from(TOPICS), person=persons, desk=st.booleans(), offset=st.integers(0, 12))
    def acknowledge(self, topic: bytes, person: Person, desk: bool, offset: int) -> None:
        device = person.devices[desk]

        async def run(store: Store) -> None:
            store.topics.acknowledge_nowait(topic, device, offset)

        self.both(run)

    @rule(age_ms=st.sampled_from([-1, 1, DAY_MS]), person=persons)
    def retain(self, age_ms: int, person: Person) -> None:
        for topic in TOPICS:
            self.acknowledge(topic, person, False, 30)
        now_ms = self.clock.now_ms
        hypothesis.event(f"freed {self.both(lambda store: store.topics.retain(now_ms - age_ms, now_ms)).entries > 0}")

    @rule(person=persons, desk=st.booleans())
    def login(self, person: Person, desk: bool) -> None:
        async def run(store: Store) -> object:
            try:
                return await store.accounts.login(person.account, person.devices[desk])
            except LookupError:
                return None

        self.both(run)

    @rule(person=persons, keep=st.sampled_from([(0, 1), (0, 1), (0,), ()]), short=st.booleans())
    def relist(self, person: Person, keep: tuple[int, ...], short: bool) -> None:
        """The next version of a list; an account without devices stays so: nobody can publish for it."""
        current = self.lists[person.account]
        if not current.devices:
            return
        after = replace(current, devices=tuple(person.devices[n] for n in keep), version=current.version + 1)
        expires_ms = self.clock.now_ms + (DAY_MS if short else 400 * DAY_MS)
        device = current.devices[0]
        self.with_kits(lambda kit: kit.publish(after, expires_ms=expires_ms, device=device))
        self.lists[person.account] = after

    @rule(topic=st.sampled_from(TOPICS), person=persons)
    def reserve(self, topic: bytes, person: Person) -> None:
        self.both(lambda store: store.topics.reserve(topic, person.account, person.device))

    @rule(data=st.sampled_from(BLOBS))
    def upload(self, data: bytes) -> None:
        self.with_kits(lambda kit: kit.blob(data))

    @rule(person=persons, packages=st.lists(st.sampled_from([b"1", b"2", b"3"]), max_size=3))
    def supply(self, person: Person, packages: list[bytes]) -> None:
        last = b"last" if len(packages) == 1 else None
        self.both(lambda store: store.key_packages.put(person.account, person.device, packages, last))

    @rule(people=st.lists(persons, max_size=3))
    def claim(self, people: list[Person]) -> None:
        self.both(lambda store: store.key_packages.claim([person.account for person in people]))

    @rule(person=persons, handle=st.sampled_from(["one", "two"]))
    def name(self, person: Person, handle: str) -> None:
        self.both(lambda store: store.accounts.claim_handle(person.account, handle))

    @rule()
    def close_and_open(self) -> None:
        self.ready.clear()
        self.token.run_sync_soon(self.reopen.set)
        self.ready.wait()

    # -- what must hold ------------------------------------------------------------------------------------------------
    @invariant()
    def same(self) -> None:
        if not hasattr(self, "thread"):
            return

        async def everything(store: Store) -> list[object]:
            kit = Kit(store, self.clock)
            seen: list[object] = [await store.accounts.get([person.account for person in PEOPLE])]
            seen += [await store.topics.states(TOPICS, person.account) for person in PEOPLE]
            for topic in self.memory.topics._store.logs:
                seen += [await kit.log(topic), await kit.log(topic, 1), await store.topics.members(topic)]
            seen += [await store.blobs.get(key_of(data)) for data in BLOBS]
            return seen

        self.both(everything)


def difference(of_model: object, of_sqlite: object) -> str:
    """Where two results first differ."""
    if isinstance(of_model, list) and isinstance(of_sqlite, list):
        for n, (one, other) in enumerate(zip(of_model, of_sqlite, strict=False)):
            if one != other:
                return f"item {n}: {difference(one, other)}"
    return f"the model has {of_model}, sqlite has {of_sqlite}"


def key_of(data: bytes) -> bytes:
    """SHA-256, as ``kit.key``."""
    return key(data.decode())


@pytest.fixture(autouse=True)
def _small_inboxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "INBOX_ENTRIES_MAX", 6)
    monkeypatch.setattr(memory_model, "INBOX_ENTRIES_MAX", 6)


def test_sqlite_does_what_the_model_does() -> None:
    assert BACKENDS == ("memory", "sqlite")
    settings = hypothesis.settings(
        max_examples=400 if LONG else 10, stateful_step_count=60 if LONG else 25, deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    hypothesis.stateful.run_state_machine_as_test(Stores, settings=settings)
