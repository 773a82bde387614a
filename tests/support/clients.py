"""Whole clients without sockets, disks and waiting: a vault in dicts, a relay model, and a world that holds them.

::

    async with open_world() as world:
        alice, bob = await world.people("alice", "bob")
        talk = await alice.pair(bob.account)
        await talk.send("hello")
        await world.settle()
        assert texts(bob, talk.topic) == [("alice", "hello")]

Time is trio's: use it with ``autojump_clock``, or move a ``MockClock`` by hand. Worker threads are replaced by calls in
the trio thread, so that a run is the same each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
import pytest
import trio
import trio.testing

from clients import connection
from clients import records as R
from clients.client import Client, open_client
from clients.conversations import Conversation
from clients.events import AnyNotice, Event, Received, decode_event
from clients.tasks import sole
from clients.vault import Batch, Vault, VaultError
from protocol import limits
from protocol.frames import AnyFrame, Err, Flag, Pub
from protocol.ids import Entropy
from protocol.messages import parse
from protocol.messages.chat import Text
from tests.support.relay_model import Judge, RelayModel, Wire

START_MS = 1_750_000_000_000
E = TypeVar("E", bound=Event)
URL = "ws://relay.test/ws"


def clock_ms() -> int:
    """Wall-clock time that moves with trio's clock."""
    return START_MS + round(trio.current_time() * 1000)


def entropy_of(name: str) -> Entropy:
    """Bytes that follow from a name: never the same twice, and the same in each run."""
    count = 0

    def draw(size: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_128(f"{name} {count}".encode()).digest(size)

    return draw


class PowerCut(VaultError):
    """A commit that never comes back, as far as an exception can be that."""


class MemoryVault:
    """The interface of ``Vault`` over what was committed. It can be held, fail, or lose power."""

    def __init__(self, before: MemoryVault | None = None) -> None:
        self.path = Path("memory")
        self.records: dict[tuple[str, bytes], bytes] = {} if before is None else dict(before.records)
        self.log: list[tuple[int, bytes, bytes]] = [] if before is None else list(before.log)
        # (id, bytes) of every outbox row that was ever committed
        self.durable: set[tuple[bytes, bytes | None]] = set() if before is None else set(before.durable)
        self.commits = 0
        self.failing = False
        self.without_power = False
        self._free = trio.Event()
        self._free.set()

    # -- what a test does ----------------------------------------------------------------------------------------------
    def hold(self) -> None:
        """Let commits wait."""
        if self._free.is_set():
            self._free = trio.Event()

    def release(self) -> None:
        """Let them go on."""
        self._free.set()

    @property
    def is_held(self) -> bool:
        """Whether commits wait."""
        return not self._free.is_set()

    async def turn(self) -> None:
        """Wait until commits may go on."""
        await self._free.wait()

    # -- Vault ---------------------------------------------------------------------------------------------------------
    def get(self, place: str, name: bytes) -> bytes | None:
        """One row."""
        return self.records.get((place, name))

    def scan(self, place: str) -> Iterator[bytes]:
        """All rows of a table."""
        return iter([value for (where, _), value in self.records.items() if where == place])

    def events(self, after: int, limit: int, topic: bytes | None = None) -> list[tuple[int, bytes]]:
        """(seq, value) of later events."""
        return [(s, v) for s, t, v in self.log[after:] if topic in (None, t)][:limit]

    def recent(self, topic: bytes, limit: int) -> list[tuple[int, bytes]]:
        """The last events of a topic."""
        return [(s, v) for s, t, v in self.log if t == topic][-limit:]

    def last_seq(self) -> int:
        """Number of the newest event."""
        return len(self.log)

    def commit(self, batches: Sequence[Batch]) -> None:
        """All or nothing, numbered without holes."""
        if self.failing:
            raise VaultError("the disk is full")
        if self.without_power:
            raise PowerCut
        self.commits += 1
        for batch in batches:
            for key, value in batch.records.items():
                if value is None:
                    self.records.pop(key, None)
                else:
                    self.records[key] = value
                    if key[0] == R.OUTBOX:
                        row = msgspec.msgpack.decode(value, type=R.Outgoing)
                        self.durable.add((row.id, row.body))
            for event in batch.events:
                assert event[0] == len(self.log) + 1, "a hole in the numbers of events"
                self.log.append(event)


async def in_this_thread(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """In place of ``trio.to_thread.run_sync``."""
    await trio.lowlevel.checkpoint()
    vault = getattr(function, "__self__", None)
    if isinstance(vault, MemoryVault) and function.__name__ == "commit":
        await vault.turn()
    return function(*args)


class World:
    """People with clients, and the relay between them. See ``open_world``."""

    def __init__(self, nursery: trio.Nursery, *, auto: bool, spacing_ms: int) -> None:
        self.relay = RelayModel(self.clock_ms, auto=auto, spacing_ms=spacing_ms)
        self.skipped_ms = 0
        self.vaults: dict[str, MemoryVault] = {}
        self.clients: dict[str, Client] = {}
        self.told: dict[str, list[Event]] = {}
        self.notices: dict[str, list[AnyNotice]] = {}
        self.failures: dict[str, VaultError] = {}
        self.reachable = True
        self._nursery = nursery
        self._scopes: dict[str, trio.CancelScope] = {}
        self._entropy: dict[str, Entropy] = {}

    def clock_ms(self) -> int:
        """Everybody's wall clock: it moves with trio's, and by what ``skip`` adds."""
        return clock_ms() + self.skipped_ms

    def skip(self, *, days: float) -> None:
        """Let time go by on the wall clock alone; trio's would ring for every PING of those days."""
        self.skipped_ms += round(days * 86_400_000)

    # -- people --------------------------------------------------------------------------------------------------------
    async def people(self, *names: str) -> list[Client]:
        """Clients of these people, registered, with key packages at the relay."""
        clients = [await self.start(name) for name in names]
        await self.settle()
        return clients

    async def start(self, name: str) -> Client:
        """Start somebody's client, from what the last one left in the vault."""
        vault = self.vaults.setdefault(name, MemoryVault())
        self._entropy.setdefault(name, entropy_of(name))
        client: Client = await self._nursery.start(self._run, name, vault)
        return client

    async def _run(
        self, name: str, vault: MemoryVault, task_status: trio.TaskStatus[Client] = trio.TASK_STATUS_IGNORED
    ) -> None:
        try:
            with trio.CancelScope() as scope:
                opened = open_client(
                    f"{URL}?{name}", cast("Vault", vault), clock_ms=self.clock_ms, entropy=self._entropy[name]
                )  # fmt: skip
                async with opened as client:
                    self._scopes[name], self.clients[name] = scope, client
                    self.told.setdefault(name, [])
                    self._listen(name, client)
                    task_status.started(client)
                    await trio.sleep_forever()
        except (VaultError, BaseExceptionGroup) as error:
            why = sole(error)
            if not isinstance(why, VaultError):
                raise
            self.failures[name] = why

    def _listen(self, name: str, client: Client) -> None:
        """Note every event and notice at the moment at which the application is told."""
        journal, keeper = client.engine.shelf.journal, client._keeper
        publish, notify = journal._publish, keeper._notify

        def noting_notice(notice: AnyNotice) -> None:
            self.notices.setdefault(name, []).append(notice)
            notify(notice)

        keeper._notify = noting_notice

        def noting(told: list[Any]) -> None:
            self.told[name] += [item for item in told if isinstance(item, Event)]
            self.notices.setdefault(name, []).extend(item for item in told if not isinstance(item, Event))
            publish(told)

        journal._publish = noting

    async def crash(self, name: str) -> None:
        """Somebody's client dies: what is committed stays, everything else is gone."""
        vault = self.vaults[name]
        vault.without_power = True
        self.cut(name)
        self._scopes[name].cancel()
        vault.release()
        await trio.testing.wait_all_tasks_blocked()
        after = self.vaults[name] = MemoryVault(vault)
        told = [event.seq for event in self.told[name]]
        assert max(told, default=0) <= after.last_seq(), "somebody was told what was not durable"

    def wire(self, name: str) -> Wire | None:
        """Somebody's present connection."""
        mine = [wire for wire in self.relay.wires if wire.owner == name and not wire.is_cut]
        return mine[-1] if mine else None

    def cut(self, name: str, code: int = 1006, text: str = "", *, late: bool = False) -> None:
        """Somebody's connection breaks."""
        wire = self.wire(name)
        if wire is not None:
            wire.cut(code, text, late=late)

    def heard(self, name: str, type_: type[Any]) -> list[Any]:
        """Frames of a type that the relay heard from somebody."""
        return [frame for who, frame in self.relay.heard if who == name and isinstance(frame, type_)]

    async def settle(self, s: float = 1.0) -> None:
        """Let everything happen that happens within some time (virtual seconds)."""
        await trio.sleep(s)

    @asynccontextmanager
    async def dial(self, url: str, **options: Any) -> AsyncIterator[Wire]:
        """In place of ``open_websocket``."""
        await trio.lowlevel.checkpoint()
        if not self.reachable:
            raise OSError("nobody listens")
        wire = self.relay.open(url.partition("?")[2])
        try:
            yield wire
        finally:
            wire.cut(1000, late=True)


@asynccontextmanager
async def open_world(*, auto: bool = True, spacing_ms: int = 0) -> AsyncIterator[World]:
    """A relay and room for people; everybody stops with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio.to_thread, "run_sync", in_this_thread)
        patch.setattr(limits, "KEY_PACKAGES_TARGET", 8)  # most of the time to set a world up would go into making 64
        async with trio.open_nursery() as nursery:
            world = World(nursery, auto=auto, spacing_ms=spacing_ms)
            patch.setattr(connection, "open_websocket", world.dial)
            nursery.start_soon(world.relay.run)
            try:
                yield world
            finally:
                for vault in world.vaults.values():
                    vault.release()  # commits cannot be cancelled
            nursery.cancel_scope.cancel()


# -- what somebody knows -----------------------------------------------------------------------------------------------
def events_of(client: Client, type_: type[E], topic: bytes | None = None) -> list[E]:
    """All events of a type in somebody's vault, in order."""
    rows = client.engine.shelf.vault.events(0, 10**9, topic)
    return [event for seq, value in rows if isinstance(event := decode_event(value, seq), type_)]


def said(client: Client, topic: bytes) -> list[tuple[bytes, str]]:
    """(account, text) of the messages of a conversation, in order."""
    result = []
    for event in events_of(client, Received, topic):
        body = parse(event.content).body
        if isinstance(body, Text):
            result.append((event.account, body.text))
    return result


def texts(client: Client, topic: bytes) -> list[str]:
    """The texts of a conversation, in order."""
    return [text for _, text in said(client, topic)]


def talk_of(client: Client, talk: Conversation) -> Conversation:
    """Somebody else's handle on the same conversation."""
    return client.conversation(talk.topic)


def agree(topic: bytes, *clients: Client) -> bool:
    """Whether members agree on everything: log, epoch and roster."""
    views = {
        (t.record.chain, t.record.cursor, t.record.fence, t.epoch_authenticator, tuple(sorted(t.members.items())))
        for t in (client.conversation(topic) for client in clients)
    }
    return len(views) == 1


async def group_of(world: World, *names: str, title: str = "friends") -> tuple[list[Client], Conversation]:
    """People who are together in a new group, founded by the first."""
    clients = await world.people(*names)
    talk = await clients[0].group([client.account for client in clients[1:]], title)
    await world.settle()
    assert agree(talk.topic, *clients)
    return clients, talk


# -- what goes over the wire -------------------------------------------------------------------------------------------
SPOKEN = [f"message {number}" for number in range(5)]


def pubs(world: World, name: str, ids: list[bytes]) -> list[Pub]:
    """What the relay heard under these ids."""
    return [pub for pub in world.heard(name, Pub) if pub.id in ids]


def loses(name: str, *types: type[AnyFrame]) -> Callable[[Wire, AnyFrame], tuple[AnyFrame, ...]]:
    """Frames of these types do not reach somebody."""
    return lambda wire, frame: () if wire.owner == name and isinstance(frame, types) else (frame,)


def honest(wire: Wire, frame: AnyFrame) -> tuple[AnyFrame, ...]:
    """No tampering."""
    return (frame,)


async def say(talk: Conversation, *spoken: str) -> list[bytes]:
    """Say several things at once; their ids."""
    return [await talk.send(text) for text in spoken]


def refuse(name: str, *errors: Err) -> Judge:
    """A judge that refuses somebody's next messages, one after the other."""
    left = list(errors)

    def judge(wire: Wire, pub: Pub) -> Err | None:
        return left.pop(0) if left and wire.owner == name and not pub.flags & Flag.SEALED else None

    return judge
