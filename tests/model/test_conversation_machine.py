"""Whole clients in one conversation under every fault that a network and a power cut can bring, in random order.

Three to five clients hang on a relay model by wires whose messages are moved one at a time: each connection keeps its
order, different ones race; what a client sent may arrive after it has reconnected; answers get lost; disks stall, and
clients die between any two steps, also with writes that were noted and not yet committed. Meanwhile they talk, add,
remove, rotate and leave.

Always: nothing reaches the wire, and nobody is told anything, before it is durable. In the end, when faults stop:
members agree on log, epoch and roster; every message whose ``send`` returned is there exactly once for everybody who
was in all the time, in its sender's order; what failed is nowhere; nobody met a message that did not open, a void
commit or a fork, and no outbox holds anything.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import msgspec
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from clients import records as R
from clients.client import Client
from clients.connection import LinkDown, Refusal
from clients.conversations import NotActive
from clients.directory import CannotAdd
from clients.events import Failed, Forked, Locked, Missing, Received, Unreadable, Voided
from clients.records import Status
from clients.tasks import sole
from protocol.codec import decode_frames
from protocol.errors import Code
from protocol.frames import Ack, Err, Flag, Pub
from protocol.limits import COMMIT_SPACING_MS
from protocol.messages import parse
from protocol.messages.chat import Text
from tests.support.clients import World, agree, events_of, open_world
from tests.support.relay_model import Wire

LONG = os.environ.get("CHAPPE_LONG") == "1"
NAMES = ("anna", "ben", "cleo", "dora", "emil")
FOUNDERS = 3  # anna founds with ben and cleo; the others may be added
Step = tuple[str, int, int]
MOVES = ("up", "down", "up", "down", "up", "down", "all")
FAULTS = ("cut", "crash", "hold", "release", "refuse", "tick")
WISHES = ("say", "say", "say", "rotate", "add", "remove", "leave")
steps = st.lists(
    st.tuples(st.sampled_from(MOVES * 3 + FAULTS + WISHES), st.integers(0, len(NAMES) - 1), st.integers(0, 255)),
    min_size=10, max_size=90,
)  # fmt: skip


class Play:
    """One run of the script."""

    def __init__(self, world: World, clock: trio.testing.MockClock, nursery: trio.Nursery, topic: bytes) -> None:
        self.world = world
        self.clock = clock
        self.topic = topic
        self.returned: dict[str, tuple[str, bytes]] = {}  # text -> (name, message id), once `send` came back
        self.tried: list[str] = []
        self.left: set[str] = set()
        self._nursery = nursery
        self._refuse: set[str] = set()
        world.relay.watch = self.check_durable
        world.relay.judge = self.judge

    # -- always --------------------------------------------------------------------------------------------------------
    def check_durable(self, wire: Wire, data: bytes) -> None:
        """What is about to be sent follows from what is committed."""
        vault = self.world.vaults[wire.owner]
        for frame in decode_frames(data, from_client=True):
            if isinstance(frame, Pub) and not frame.flags & Flag.EPHEMERAL:
                assert (frame.id, frame.body) in vault.durable, "a message was sent before it was durable"
            elif isinstance(frame, Ack) and frame.tid == self.world.relay.tids[self.topic]:
                kept = vault.get(R.CONVERSATIONS, self.topic)
                assert kept is not None
                assert msgspec.msgpack.decode(kept, type=R.Conversation).cursor >= frame.offset

    def judge(self, wire: Wire, pub: Pub) -> Err | None:
        if wire.owner in self._refuse:
            self._refuse.discard(wire.owner)
            return Err(0, Code.RATE, "slow down", 300)
        return None

    # -- steps ---------------------------------------------------------------------------------------------------------
    async def step(self, kind: str, who: int, number: int) -> None:
        """Do one thing, then let everybody run until they wait for something."""
        name, world = NAMES[who % len(world_names(self.world))], self.world
        if kind in ("up", "down", "all"):
            await self.move(kind, number)
        elif kind == "cut":
            world.cut(name, late=bool(number % 2))
        elif kind == "crash":
            await world.crash(name)
            await world.start(name)
        elif kind == "hold":
            world.vaults[name].hold()
        elif kind == "release":
            world.vaults[name].release()
        elif kind == "refuse":
            self._refuse.add(name)
        elif kind == "tick":
            self.clock.jump((0.2, 0.2, 1, 6, 11, 70)[number % 6])
        else:
            self.wish(kind, name, number)
        await trio.testing.wait_all_tasks_blocked()

    async def move(self, kind: str, number: int) -> None:
        """Move one message somewhere, or everything that can be moved."""
        relay = self.world.relay
        for _ in range(1 if kind != "all" else 200):
            up = [wire for wire in relay.wires if wire.up]
            down = [wire for wire in relay.wires if wire.down]
            if up and (kind != "down" or not down):
                await relay.take(up[number % len(up)])
            elif down:
                down[number % len(down)].give()
            await trio.testing.wait_all_tasks_blocked()

    def wish(self, kind: str, name: str, number: int) -> None:
        client, other = self.world.clients[name], NAMES[number % len(world_names(self.world))]
        if self.topic not in client.engine.shelf.conversations:
            return
        talk, account = client.conversation(self.topic), self.world.clients[other].account
        if kind == "say":
            text = f"{name} {len(self.tried)}"
            self.tried.append(text)
            self.soon(lambda: self.say(client, name, text))
        elif kind == "rotate":
            self.soon(talk.rotate)
        elif kind == "add" and name == NAMES[0]:
            self.soon(lambda: talk.add([account]))
        elif kind == "remove" and name == NAMES[0] and other != name:
            self.left.add(other)
            self.soon(lambda: talk.remove([account]))
        elif kind == "leave" and name != NAMES[0]:
            self.left.add(name)
            self.soon(talk.leave)

    async def say(self, client: Client, name: str, text: str) -> None:
        message_id = await client.conversation(self.topic).send(text)
        self.returned[text] = (name, message_id)

    def soon(self, wish: Callable[[], Awaitable[object]]) -> None:
        async def attempt() -> None:
            try:
                await wish()
            except (LinkDown, Refusal, CannotAdd, NotActive):
                return  # it could not be done now; nothing was promised

        self._nursery.start_soon(attempt)

    # -- in the end ----------------------------------------------------------------------------------------------------
    async def finish(self) -> None:
        """Faults stop; everything drains."""
        for vault in self.world.vaults.values():
            vault.release()
        self.world.relay.run_freely()
        self.clock.autojump_threshold = 0
        await trio.sleep(300)
        self.clock.autojump_threshold = float("inf")

    async def check(self) -> None:
        """See the module."""
        world = self.world
        roster = {account for account, _, _ in await world.relay.store.topics.members(self.topic)}
        members = {name: client for name, client in world.clients.items() if client.account in roster}
        for name, client in world.clients.items():
            known = client.engine.shelf.conversations.get(self.topic)
            assert (known is not None and known.status == Status.ACTIVE) == (name in members), (name, known)
            assert not client.engine.shelf.outgoing, (name, client.engine.shelf.outgoing)
            assert not client.engine.shelf.welcomes
            for bad in (Unreadable, Voided, Forked, Locked):
                assert not events_of(client, bad, self.topic), (name, events_of(client, bad, self.topic))
        assert agree(self.topic, *members.values()), {n: c.conversation(self.topic).record for n, c in members.items()}
        self.check_messages(members)

    def check_messages(self, members: dict[str, Client]) -> None:
        logs = {name: self.log(client) for name, client in self.world.clients.items()}
        truth: dict[int, str] = {}
        for log in logs.values():
            for offset, text in log:
                assert truth.setdefault(offset, text) == text, "two histories"
        assert len(set(truth.values())) == len(truth), "a message came twice"
        for name in NAMES:
            mine = [text for _, text in sorted(truth.items()) if text.split()[0] == name]
            assert mine == sorted(mine, key=lambda text: int(text.split()[1])), "a sender's messages swapped"
        failed = {event.id for client in self.world.clients.values() for event in events_of(client, Failed)}
        for text, (name, message_id) in self.returned.items():
            assert (message_id in failed) != (text in truth.values()), f"{name}: {text!r} was lost, or failed and came"
        for name in members:
            if name in NAMES[:FOUNDERS] and name not in self.left:
                assert logs[name] == sorted(truth.items()), f"{name} was in all the time and lacks something"
                assert not events_of(members[name], Missing)

    def log(self, client: Client) -> list[tuple[int, str]]:
        found = []
        for event in events_of(client, Received, self.topic):
            body = parse(event.content).body
            if isinstance(body, Text):
                found.append((event.offset, body.text))
        return found


def world_names(world: World) -> tuple[str, ...]:
    """Who takes part."""
    return tuple(name for name in NAMES if name in world.clients)


async def play(script: list[Step], count: int, spacing_ms: int, clock: trio.testing.MockClock) -> None:
    async with open_world(spacing_ms=spacing_ms) as world:
        clock.autojump_threshold = 0
        clients = await world.people(*NAMES[:count])
        talk = await clients[0].group([client.account for client in clients[1:FOUNDERS]], "a group")
        await world.settle()
        clock.autojump_threshold = float("inf")
        world.relay.auto = False
        async with trio.open_nursery() as nursery:
            run = Play(world, clock, nursery, talk.topic)
            for step in script:
                await run.step(*step)
            await run.finish()
            await run.check()
            nursery.cancel_scope.cancel()


def run_script(script: list[Step], count: int, spacing_ms: int) -> None:
    """One run in virtual time; its failure comes out as itself."""
    clock = trio.testing.MockClock()
    try:
        trio.run(play, script, count, spacing_ms, clock, clock=clock)
    except BaseExceptionGroup as group:
        raise sole(group) from None


@settings(max_examples=1500 if LONG else 30)
@given(script=steps, count=st.integers(FOUNDERS, len(NAMES)), spacing_ms=st.sampled_from((0, COMMIT_SPACING_MS)))
def test_members_agree_whatever_happens(script: list[Step], count: int, spacing_ms: int) -> None:
    run_script(script, count, spacing_ms)
