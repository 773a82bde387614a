"""A relay dies, its backup of some time ago takes its place, and people go on talking."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import trio

from clients.client import Client
from clients.events import (
    AnyEvent,
    Forked,
    Locked,
    Missing,
    Received,
    Restarted,
    Unreadable,
    Voided,
    decode_event,
)
from clients.records import Conversation, Status
from protocol.frames import GapReason
from protocol.messages import parse
from protocol.messages.chat import Text
from relay.testing import open_relay, small
from storage import backup
from tests.support.spine.talks import open_person

WAIT_S = 20
QUICK = small(requests_per_s=10_000)


def happened(client: Client, topic: bytes) -> list[AnyEvent]:
    """Everything that somebody was told about a conversation."""
    return [decode_event(value, seq) for seq, value in client.engine.shelf.vault.events(0, 10**6, topic)]


def texts(client: Client, topic: bytes) -> list[str]:
    """What somebody has read in a conversation, in order."""
    bodies = [parse(event.content).body for event in happened(client, topic) if isinstance(event, Received)]
    return [body.text for body in bodies if isinstance(body, Text)]


async def until(client: Client, topic: bytes, text: str) -> None:
    """Wait until somebody has read a text."""
    with trio.fail_after(WAIT_S):
        while text not in texts(client, topic):
            await client.wait_news()


async def inside(client: Client, topic: bytes, generation: int = 1) -> None:
    """Wait until somebody is in a conversation that waits for no reset, of this generation at least."""
    with trio.fail_after(WAIT_S):
        while not _is_inside(client.engine.shelf.conversations.get(topic), generation):
            await client.wait_news()


def _is_inside(talk: Conversation | None, generation: int) -> bool:
    if talk is None or talk.status != Status.ACTIVE or talk.recovering:
        return False
    return talk.generation >= generation


@dataclass
class Relays:
    """One relay after the other on the same port; each is the caller's to end, whatever clients do meanwhile."""

    nursery: trio.Nursery
    port: int = 0
    url: str = ""
    clock_ms: Callable[[], int] = field(default=lambda: 0)
    _end: trio.Event = field(default_factory=trio.Event)
    _ended: trio.Event = field(default_factory=trio.Event)

    async def start(self, data: Path) -> None:
        """A relay on a directory."""
        self._end, self._ended = trio.Event(), trio.Event()
        await self.nursery.start(self._run, data)

    async def _run(self, data: Path, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with open_relay(replace(QUICK, port=self.port), data=data) as relay:
            self.url, self.port, self.clock_ms = relay.url, urlsplit(relay.url).port or 0, relay.clock_ms
            task_status.started()
            await self._end.wait()
        self._ended.set()

    async def stop(self) -> None:
        """The relay ends."""
        self._end.set()
        await self._ended.wait()


async def test_people_go_on_after_a_restoration(tmp_path: Path, nursery: trio.Nursery) -> None:
    one, other, archive, relays = tmp_path / "one", tmp_path / "other", tmp_path / "one.tar", Relays(nursery)
    await relays.start(one)
    async with AsyncExitStack() as stack:
        people = [
            await stack.enter_async_context(open_person(tmp_path, name, relays.url)) for name in ("anna", "bob", "cleo")
        ]
        anna, bob, cleo = people
        pair = (await anna.pair(bob.account)).topic
        group = (await anna.group([bob.account, cleo.account], "friends")).topic
        everybody = [(anna, pair), (bob, pair), (anna, group), (bob, group), (cleo, group)]

        async def say(text: str) -> None:
            for talker, topic in ((bob, pair), (anna, group)):
                await talker.conversation(topic).send(text)
            for reader, topic in everybody:
                await until(reader, topic, text)

        await inside(bob, pair)
        await say("kept")
        await trio.to_thread.run_sync(backup.write, one, archive, relays.clock_ms())
        await anna.conversation(group).rotate()
        await say("lost")
        await relays.stop()
        await trio.to_thread.run_sync(backup.restore, archive, other, relays.clock_ms())
        await relays.start(other)
        for person, topic in everybody:
            await inside(person, topic, generation=2)
        await say("new")
        for person, topic in everybody:
            assert texts(person, topic) == ["kept", "lost", "new"]
            events = happened(person, topic)
            (missing,) = [event for event in events if isinstance(event, Missing) and event.count]
            assert missing.reason == GapReason.RESET
            assert len([event for event in events if isinstance(event, Restarted)]) == 1
            assert not [event for event in events if isinstance(event, (Forked, Unreadable, Voided, Locked))]
        await relays.stop()
