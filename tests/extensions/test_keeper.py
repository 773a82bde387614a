"""A connection of a worker: slots that come and go, refusals, fences, too much at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from extensions.errors import Fenced, WorkerError
from extensions.jobs import Job
from protocol.errors import Code, Reason
from protocol.frames import Err, ErrDetail, Ok, Pub
from protocol.ids import slot_of
from protocol.messages.ext import Request
from tests.support.workers import make_worker, open_stage, result, until


async def test_slots_are_written_and_given_away_and_come_back(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        first = await stage.start(make_worker())
        ann = await stage.person("ann")
        topic = await ann.pair()
        for n in range(3):
            await ann.ask(topic, str(n))
        await ann.hears(topic, 3)
        second = await stage.start(make_worker())
        await first.holds(128)
        await second.holds(128)
        assert len(stage.relay.node.relay.slots.statistics()) == 1
        await second.finish()
        await first.holds(256)
        await ann.ask(topic, "again")
        assert await ann.hears(topic, 4) == ["0", "1", "2", "again"]
        assert slot_of(topic) in first.vault.held


async def test_an_answer_that_says_fenced_ends_the_process(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker())
        await running.holds(256)
        keeper = running.process.keeper
        heard: list[object] = []
        pub = Pub(0, b"\x05" * 32, b"i" * 16)
        sent, judged = keeper._outgoing(pub, heard.append)
        assert sent.token == running.process.engine.token(pub.topic)
        judged(Ok(1))
        judged(Err(1, Code.CONFLICT, "", None, ErrDetail(Reason.EXPECT)))
        judged(None)
        assert len(heard) == 3
        judged(Err(1, Code.CONFLICT, "", None, ErrDetail(Reason.FENCED)))
        assert len(heard) == 3
        await until(lambda: len(running.processes) > 1)
        await running.holds(256)


async def test_a_refusal_for_a_while_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.slots.WORKER_PROCESSES_MAX", 1)
    monkeypatch.setattr("relay.slots.RELEASE_MS", 50)
    async with open_stage(tmp_path) as stage:
        first = await stage.start(make_worker())
        await first.holds(256)
        second = await stage.start(make_worker())
        await until(lambda: second.processes and second.process.engine.link is not None)
        await first.crash()
        await second.holds(256)


async def test_more_than_it_keeps_is_left_to_the_relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extensions.bounds.ITEMS_MAX", 2)
    go_on = trio.Event()

    async def answer(job: Job[Request]) -> None:
        await go_on.wait()
        await job.reply(result(job.body.method))

    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker(answer))
        ann = await stage.person("ann")
        topic = await ann.pair()
        for n in range(6):
            await ann.ask(topic, str(n))
        await until(lambda: running.processes and len(running.process.items) > 2)
        go_on.set()
        assert await ann.hears(topic, 6) == [str(n) for n in range(6)]


async def test_what_fails_first_counts(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker())
        await running.holds(256)
        keeper = running.process.keeper
        keeper._fail(Fenced("one"))
        keeper._fail(WorkerError("two"))
        await until(lambda: len(running.processes) > 1)
        assert running.error is None
        await running.holds(256)


async def test_the_handle_is_taken_once(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker())
        await until(lambda: running.processes and running.process.engine.shelf.identity.handle == "echo")
        link = running.process.engine.link
        assert link is not None
        await running.process.keeper._take_handle(link)
        await running.finish()
        await running.process.keeper._take_handle(link)


async def test_a_handle_of_somebody_else_is_said_and_the_worker_goes_on(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        ann = await stage.person("ann")
        await ann.client.claim_handle("echo")
        running = await stage.start(make_worker())
        said: list[str] = []
        await until(lambda: running.processes)
        running.process.keeper.handle_taken = said.append
        await until(lambda: said)
        await running.holds(256)


async def test_a_group_of_another_kind_is_refused_for_good(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        first = await stage.start(make_worker())
        await first.holds(256)
        other = await stage.start(make_worker(single=True))
        await other.ended.wait()
        assert isinstance(other.error, WorkerError)
