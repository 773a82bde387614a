"""People, their devices and what they publish, for tests of a store; the clock moves by hand."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from protocol.codec import encode_struct
from protocol.errors import Code, Reason
from protocol.frames import AccessChange, Create, Flag, Role
from protocol.ids import TopicKind, group_topic, inbox_topic, new_id, pair_topic, self_topic
from protocol.limits import COMMIT_SPACING_MS
from protocol.position import chain_hash, chain_start, publish_digest
from storage.base import Append, Appended, Entry, Hole, Login, Page, Refused, Store, WelcomePost
from storage.memory import MemoryStore
from storage.sqlite import FILE, open_store, prepare

START_MS = 1_800_000_000_000
DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS
BACKENDS = ("memory", "sqlite")


@dataclass(slots=True)
class Clock:
    """The store's clock; only tests move it."""

    now_ms: int = START_MS

    def __call__(self) -> int:
        return self.now_ms

    def pass_ms(self, span_ms: int) -> None:
        self.now_ms += span_ms


def key(name: str) -> bytes:
    """32 bytes that stand for a name."""
    return hashlib.sha256(name.encode()).digest()


@dataclass(frozen=True, slots=True)
class Person:
    """A registered account; ``devices`` all listed, the first publishes."""

    name: str
    devices: tuple[bytes, ...]
    version: int = 1
    service: bool = False

    @property
    def account(self) -> bytes:
        return key(self.name)

    @property
    def device(self) -> bytes:
        return self.devices[0]

    @property
    def inbox(self) -> bytes:
        return inbox_topic(self.account)


@cache
def empty_database() -> bytes:
    """A database that was migrated once, for all tests: each of them would spend most of its time on it."""
    with TemporaryDirectory() as folder:
        prepare(Path(folder, FILE))
        return Path(folder, FILE).read_bytes()


@asynccontextmanager
async def opened(backend: str, path: Path, clock: Clock, **options: Any) -> AsyncIterator[Store]:
    """A store of the named backend."""
    if backend == "memory":
        yield MemoryStore(clock_ms=clock, **options)
    else:
        if not path.joinpath(FILE).exists():
            path.joinpath(FILE).write_bytes(empty_database())
        async with open_store(path, clock_ms=clock, **options) as store:
            yield store


@dataclass(slots=True)
class Kit:
    """A store and short ways to use it."""

    store: Store
    clock: Clock = field(default_factory=Clock)
    count: int = 0

    def id(self, made_ms: int | None = None) -> bytes:
        """A new message id, made now or then."""
        self.count += 1
        count = self.count
        return new_id(self.clock.now_ms if made_ms is None else made_ms, lambda size: count.to_bytes(size, "big"))

    # -- people --------------------------------------------------------------------------------------------------------
    async def person(self, name: str, devices: int = 1, *, service: bool = False) -> Person:
        """Register an account."""
        person = Person(name, tuple(key(f"{name}/{n}") for n in range(devices)), service=service)
        stored(await self.publish(person))
        return person

    async def people(self, *names: str) -> list[Person]:
        return [await self.person(name) for name in names]

    async def publish(self, person: Person, *, expires_ms: int | None = None, device: bytes | None = None) -> Any:
        """Publish the person's list as it stands."""
        expires_ms = self.clock.now_ms + YEAR_MS if expires_ms is None else expires_ms
        signed = b"list %d of %s" % (person.version, person.name.encode())
        device = person.device if device is None else device
        return await self.store.accounts.publish_list(
            person.account, person.version, signed, expires_ms, person.devices, person.service, device
        )

    async def relist(self, person: Person, *devices: bytes, expires_ms: int | None = None) -> Person:
        """The next version of the list, with other devices."""
        after = replace(person, devices=devices, version=person.version + 1)
        stored(await self.publish(after, expires_ms=expires_ms, device=person.device))
        return after

    # -- what they publish ---------------------------------------------------------------------------------------------
    def intent(
        self, by: Person, topic: bytes, flags: int = 0, epoch: tuple[int, int] | None = (1, 1), **rest: Any
    ) -> Append:
        """Any append; fields that are not given have harmless values."""
        access: AccessChange | None = rest.get("access")
        header = rest.pop("header", b"" if access is None else encode_struct(access))
        body, ttl = rest.pop("body", b"sealed"), rest.pop("ttl", 0)
        values = {
            "account": by.account, "device": by.device, "login": 0, "topic": topic, "id": self.id(), "after": None,
            "expect": None, **rest,
        }  # fmt: skip
        digest = values.pop("digest", publish_digest(topic, flags, ttl, epoch, header, body, b""))
        return Append(digest=digest, flags=int(flags), epoch=epoch, ttl=ttl, header=header, body=body, **values)

    async def post(
        self, by: Person, topic: bytes, flags: int = 0, epoch: tuple[int, int] | None = (1, 1), **rest: Any
    ) -> Any:
        """Append it; an Appended or a Refused."""
        return await self.store.topics.append(self.intent(by, topic, flags, epoch, **rest))

    async def say(self, by: Person, topic: bytes, body: bytes = b"sealed", **rest: Any) -> Appended:
        """An application entry under the current fence, which must be accepted."""
        state = await self.store.topics.state(topic, by.account)
        assert state is not None
        return stored(await self.post(by, topic, epoch=(state.group, state.fence), body=body, **rest))

    async def commit(self, by: Person, topic: bytes, *, flags: int = 0, **rest: Any) -> Any:
        """A commit under the current fence, after the spacing; ``added`` (person → role), ``removed`` (people)."""
        self.clock.pass_ms(COMMIT_SPACING_MS)
        state = await self.store.topics.state(topic, by.account)
        assert state is not None
        added: dict[Person, int] = rest.pop("added", {})
        removed: Sequence[Person] = rest.pop("removed", ())
        if added or removed:
            names = tuple((person.account, role) for person, role in added.items())
            rest["access"] = AccessChange(names, tuple(person.account for person in removed))
        flags |= Flag.COMMIT | (Flag.ACCESS if "access" in rest else 0)
        return await self.post(by, topic, flags, rest.pop("epoch", (state.group, state.fence)), **rest)

    async def leave(self, by: Person, topic: bytes) -> Any:
        return await self.post(by, topic, Flag.ACCESS, None, access=AccessChange(removed=(by.account,)))

    async def pair(self, one: Person, other: Person, **rest: Any) -> bytes:
        """A conversation of two; its topic."""
        topic = pair_topic(one.account, other.account)
        stored(await self.post(one, topic, FOUND, (1, 0), **self.founding_pair(other), **rest))
        return topic

    async def group(self, founder: Person, roles: dict[Person, int] | None = None, **rest: Any) -> bytes:
        """A group of the founder and others; its topic."""
        nonce = self.id()
        topic = group_topic(founder.account, nonce)
        access = AccessChange(tuple((person.account, role) for person, role in (roles or {}).items()))
        create = Create(TopicKind.GROUP, nonce)
        stored(await self.post(founder, topic, FOUND, (1, 0), access=access, create=create, **rest))
        return topic

    async def own(self, person: Person) -> bytes:
        """The person's self topic."""
        topic = self_topic(person.account)
        stored(await self.post(person, topic, Flag.COMMIT, (1, 0), create=Create(TopicKind.SELF)))
        return topic

    @staticmethod
    def founding_pair(other: Person) -> dict[str, Any]:
        """What the first commit of a pair brings."""
        access = AccessChange(((other.account, Role.OWNER),))
        return {"access": access, "create": Create(TopicKind.PAIR, peer=other.account)}

    async def blob(self, data: bytes) -> bytes:
        """Store a blob; its hash."""
        digest = hashlib.sha256(data).digest()
        await self.store.blobs.put(digest, data)
        return digest

    # -- what there is -------------------------------------------------------------------------------------------------
    async def log(self, topic: bytes, after: int = 0) -> list[Entry | Hole]:
        """All items from there on, page by page, checked: contiguous, and every hash follows from the one before."""
        items: list[Entry | Hole] = []
        while True:
            page: Page = await self.store.topics.read(topic, after, 3, 1000)
            for item in page.items:
                first, last = (item.first, item.last) if isinstance(item, Hole) else (item.offset, item.offset)
                assert first == after + 1
                assert last >= first
                previous = items[-1] if items else None
                if isinstance(item, Entry) and (previous is not None or first == 1):
                    assert item.hash == chained(chain_start(topic) if previous is None else previous.hash, item)
                after = last
                items.append(item)
            if after >= page.head or not page.items:
                assert after == page.head
                return items

    async def bodies(self, topic: bytes) -> list[bytes | tuple[int, int]]:
        """Bodies of a log, holes as (first, last)."""
        items = await self.log(topic)
        return [(item.first, item.last) if isinstance(item, Hole) else item.body for item in items]

    async def login(self, account: bytes, device: bytes, number: int = 0) -> Login:
        """A login, which must be recorded."""
        outcome = await self.store.accounts.login(account, device, number)
        assert isinstance(outcome, Login), outcome
        return outcome

    async def roles(self, topic: bytes) -> dict[bytes, int]:
        """Account → role."""
        return {account: role for account, role, _ in await self.store.topics.members(topic)}


FOUND = Flag.COMMIT | Flag.ACCESS


def chained(previous: bytes, e: Entry) -> bytes:
    """The chain hash that an entry must have."""
    return chain_hash(
        previous, e.generation, e.offset, e.account, e.device, e.id, e.fence, e.flags, e.header, e.body
    )  # fmt: skip


def stored(outcome: object) -> Appended:
    """The outcome, which must be a success."""
    assert isinstance(outcome, Appended), outcome
    return outcome


def refused(outcome: object, code: Code, reason: Reason = Reason.NONE) -> Refused:
    """The outcome, which must be this refusal."""
    assert isinstance(outcome, Refused), outcome
    assert (outcome.code, outcome.reason) == (code, reason), outcome.text
    assert outcome.text
    return outcome


def welcome(person: Person, body: bytes = b"welcome") -> WelcomePost:
    """A Welcome for a person."""
    return WelcomePost(person.account, body)
