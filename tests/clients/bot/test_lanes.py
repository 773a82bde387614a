"""In order within a conversation, in parallel across them, and nothing begins after the stop."""

from __future__ import annotations

from pathlib import Path

import trio
from trio.testing import MockClock

from clients.bot import bounds
from clients.bot.lanes import Lanes
from clients.bot.memory import BotMemory
from clients.bot.tasks import Task
from clients.client import Client
from clients.events import AnyEvent, Received
from clients.testing import settle
from protocol.messages import parse
from protocol.messages.chat import Text
from tests.clients.bot.support import OTHER_TOPIC, TOPIC, open_alone, received, tell


class Worker:
    """Deals with tasks when the test says so."""

    def __init__(self, client: Client, memory: BotMemory) -> None:
        self.begun: list[str] = []
        self.gates: dict[str, trio.Event] = {}
        self.memory = memory
        self.lanes = Lanes(client, memory, self.deal, self.listens)

    def listens(self, event: AnyEvent) -> bool:
        return isinstance(event, Received) and not event.mine

    async def deal(self, task: Task) -> bool:
        name = "job"
        if isinstance(task.event, Received):
            body = parse(task.event.content).body
            assert isinstance(body, Text)
            name = body.text
        self.begun.append(name)
        if name in self.gates:
            await self.gates[name].wait()
        if name == "never":
            return False
        task.done(self.memory)
        self.memory.save_floor(self.lanes.floor)
        return True


async def test_order_in_a_conversation_and_parallel_across(tmp_path: Path, nursery: trio.Nursery) -> None:
    async with open_alone(tmp_path) as (client, memory):
        memory.begin(0)
        worker = Worker(client, memory)
        worker.gates["a1"] = trio.Event()
        nursery.start_soon(worker.lanes.run)
        tell(client, received("a1"), received("a2"), received("mine", mine=True), received("b1", topic=OTHER_TOPIC))
        await settle()
        assert sorted(worker.begun) == ["a1", "b1"]
        assert worker.lanes.statistics().lanes == 1
        assert worker.lanes.floor() == 0  # a1 is not dealt with yet
        worker.gates["a1"].set()
        await settle()
        assert worker.begun.index("a1") < worker.begun.index("a2")
        assert worker.lanes.statistics().lanes == 0
        assert worker.lanes.floor() == memory.floor == worker.lanes.statistics().read_seq == 4
        worker.lanes.stop()


async def test_a_conversation_that_waits_costs_no_memory(
    tmp_path: Path, nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    count = bounds.READ_ROWS * 3
    async with open_alone(tmp_path) as (client, memory):
        worker = Worker(client, memory)
        worker.gates["0"] = trio.Event()
        tell(client, *(received(str(number)) for number in range(count)))
        nursery.start_soon(worker.lanes.run)
        await settle()
        assert worker.begun == ["0"]
        worker.gates["0"].set()
        await settle()
        assert worker.begun == [str(number) for number in range(count)]
        worker.lanes.stop()


async def test_jobs_come_before_the_next_event(tmp_path: Path, nursery: trio.Nursery) -> None:
    async with open_alone(tmp_path) as (client, memory):
        worker = Worker(client, memory)
        worker.gates["1"] = trio.Event()
        worker.lanes.add(Task(OTHER_TOPIC))  # before it runs
        nursery.start_soon(worker.lanes.run)
        await settle()
        assert worker.begun == ["job"]
        tell(client, received("1"), received("2"))
        await settle()
        worker.lanes.add(Task(TOPIC))
        assert worker.lanes.statistics().jobs == 1
        worker.gates["1"].set()
        await settle()
        assert worker.begun == ["job", "1", "job", "2"]
        worker.lanes.stop()


async def test_after_the_stop_what_runs_ends_and_nothing_begins(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (client, memory):
        worker = Worker(client, memory)
        worker.gates["1"] = trio.Event()
        ended = trio.Event()

        async def run() -> None:
            await worker.lanes.run()
            ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            tell(client, received("1"), received("2"), received("b1", topic=OTHER_TOPIC))
            await settle()
            worker.lanes.stop()
            worker.lanes.add(Task(OTHER_TOPIC))
            await settle()
            assert not ended.is_set()
            worker.gates["1"].set()
        assert worker.begun.count("2") == 0
        assert memory.cursor(TOPIC) == 1
    async with open_alone(tmp_path) as (client, memory):
        again = Worker(client, memory)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(again.lanes.run)
            await settle()
            assert again.begun == ["2"]
            again.lanes.stop()


async def test_what_the_worker_leaves_stays(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (client, memory):
        worker = Worker(client, memory)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.lanes.run)
            tell(client, received("never"), received("2"))
            await settle()
            worker.lanes.stop()
        assert worker.begun == ["never"]
        assert memory.cursor(TOPIC) == 0


async def test_events_that_are_gone_are_passed(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (client, memory):
        worker = Worker(client, memory)
        vault = client.engine.shelf.vault
        read = vault.events

        def pruned(after: int, limit: int, topic: bytes | None = None) -> list[tuple[int, bytes]]:
            return read(after, limit) if topic is None else []

        vault.events = pruned  # type: ignore[method-assign]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.lanes.run)
            tell(client, received("1"))
            await settle()
            assert (worker.begun, worker.lanes.statistics().lanes) == ([], 0)
            worker.lanes.stop()
