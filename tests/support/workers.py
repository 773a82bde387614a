"""Workers in this process against a relay in this process, with people who ask them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import trio
import trio.lowlevel

from clients.client import Client, open_client
from clients.connection import Refusal
from clients.events import Received, decode_event
from clients.vault import Secret, Vault
from extensions.host import Process, open_database, serve
from extensions.jobs import Job
from extensions.store import WorkerVault
from extensions.worker import Worker
from protocol.messages import parse
from protocol.messages.ext import Reply, Request
from relay.testing import TestRelay, open_relay
from storage.sqlite import unix_ms

WAIT_S = 20.0
Answer = Callable[[Job[Request]], Awaitable[None]]


def make_worker(answer: Answer | None = None, **options: Any) -> Worker:
    """A worker that answers requests; by default with the method's name."""
    options = {"back_off_s": (0.01,), **options}
    worker = Worker("echo", consumes=("ext.request",), produces=("ext.reply",), **options)
    worker.on(Request)(answer or _echo)
    return worker


async def _echo(job: Job[Request]) -> None:
    await job.reply(result(job.body.method))


def result(value: object) -> Reply:
    """An answer."""
    return Reply(result=msgspec.Raw(msgspec.msgpack.encode(value)))


async def until(condition: Callable[[], object], what: str = "it") -> None:
    """Wait until something holds."""
    with trio.fail_after(WAIT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await trio.sleep(0.005)
    assert condition(), what


async def until_all(count: Callable[[], int], wanted: int, what: str) -> None:
    """Wait until so many have come, however long it takes, as long as some come."""
    while (now := count()) < wanted:
        await until(lambda now=now: count() > now, what)  # type: ignore[misc]


class Asker:
    """A person who asks workers."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def pair(self, handle: str = "echo") -> bytes:
        """The conversation with a worker, which may be starting."""
        with trio.fail_after(WAIT_S):
            while True:
                try:
                    return (await self.client.pair(await self.client.find(handle))).topic
                except Refusal:
                    await trio.sleep(0.01)

    async def ask(self, topic: bytes, method: str = "hello") -> bytes:
        """Ask; the id of the request."""
        return await self.client.conversation(topic).send(Request(method=method))

    def answers(self, topic: bytes) -> list[object]:
        """What was answered so far, decoded."""
        rows = self.client.engine.shelf.vault.events(0, 1000, topic)
        events = [decode_event(value, seq) for seq, value in rows]
        bodies = [parse(event.content).body for event in events if isinstance(event, Received) and not event.mine]
        return [msgspec.msgpack.decode(body.result) for body in bodies if isinstance(body, Reply)]

    async def hears(self, topic: bytes, count: int) -> list[object]:
        """Wait for so many answers."""
        await until(lambda: len(self.answers(topic)) >= count, f"{count} answers")
        return self.answers(topic)


@dataclass
class Running:
    """A process of a worker, but inside this one."""

    vault: WorkerVault
    stop: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    processes: list[Process] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def process(self) -> Process:
        """The present one."""
        return self.processes[-1]

    async def holds(self, count: int) -> None:
        """Wait until it holds so many slots."""
        await until(lambda: self.processes and len(self.vault.held) == count, f"{count} slots")

    async def finish(self) -> None:
        """Stop it in an orderly way."""
        self.stop.set()
        with trio.fail_after(WAIT_S):
            await self.ended.wait()

    async def crash(self) -> None:
        """It vanishes with all that was not written."""
        self.scope.cancel()
        with trio.fail_after(WAIT_S):
            await self.ended.wait()


@dataclass
class Stage:
    """A relay, and what runs on it."""

    relay: TestRelay
    home: Path
    nursery: trio.Nursery
    stack: AsyncExitStack
    ahead_ms: int = 0  # of the workers' clocks: time that passes when a test says so

    def clock_ms(self) -> int:
        """The workers' clock."""
        return unix_ms() + self.ahead_ms

    async def person(self, name: str) -> Asker:
        """Somebody with a client."""
        vault = Vault(self.home / f"{name}.db", Secret.key_file(self.home / f"{name}.key"))
        self.stack.callback(vault.close)
        client = await self.stack.enter_async_context(open_client(self.relay.url, vault))
        await client.wait_connected()
        return Asker(client)

    async def start(self, worker: Worker, url: str = "", clock_ms: Callable[[], int] | None = None) -> Running:
        """Start a process of a worker; all share one database."""
        opened = open_database(worker, self.home / "worker")
        running = Running(opened.__enter__())

        async def run() -> None:
            with running.scope, ExitStack() as stack:
                stack.push(opened)
                try:
                    await serve(
                        worker, url or self.relay.url, running.vault, running.stop, clock_ms=clock_ms or self.clock_ms,
                        started=running.processes.append,
                    )  # fmt: skip
                except Exception as error:  # noqa: BLE001 - kept for the test to look at
                    running.error = error
            running.ended.set()

        self.nursery.start_soon(run)
        return running


@asynccontextmanager
async def open_stage(home: Path, relay: TestRelay | None = None) -> AsyncIterator[Stage]:
    """A relay in memory, or the one given; everything on it ends with the block."""
    if relay is None:
        async with open_relay() as own, open_stage(home, own) as stage:
            yield stage
        return
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        yield Stage(relay, home, nursery, stack)
        nursery.cancel_scope.cancel()


@contextmanager
def database(home: Path, worker: Worker | None = None) -> Iterator[WorkerVault]:
    """A worker's database, without anything running on it."""
    with open_database(worker or make_worker(), home / "worker") as vault:
        yield vault
