"""A burst of requests on several conversations of a worker: all answered, and each costs what the first cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.lanes import Lane
from extensions.engine import WorkerEngine
from protocol.frames import Msg
from tests.support.workers import make_worker, open_stage, until, until_all

PAIRS = 6
EACH = 50


async def test_the_work_grows_with_the_burst_and_no_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    came: list[int] = []
    lanes: list[Lane] = []
    take, make = WorkerEngine._msg, Lane.__init__

    def counting(engine: WorkerEngine, msg: Msg) -> None:
        came.append(msg.tid)
        take(engine, msg)

    def noting(lane: Lane, topic: bytes) -> None:
        make(lane, topic)
        lanes.append(lane)

    monkeypatch.setattr(WorkerEngine, "_msg", counting)
    monkeypatch.setattr(Lane, "__init__", noting)
    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker())
        people = [await stage.person(f"p{number}") for number in range(PAIRS)]
        topics = [await one.pair() for one in people]
        for one, topic in zip(people, topics, strict=True):
            await one.ask(topic, "first")
            await one.hears(topic, 1)
        before, looked = len(came), sum(lane.examined for lane in lanes)
        for number in range(EACH):
            for one, topic in zip(people, topics, strict=True):
                await one.ask(topic, f"n{number}")
        asked = list(zip(people, topics, strict=True))
        await until_all(lambda: sum(len(one.answers(topic)) for one, topic in asked), PAIRS * (1 + EACH), "answers")
        for one, topic in asked:
            heard = one.answers(topic)
            assert heard == ["first", *[f"n{number}" for number in range(EACH)]]
        await until(lambda: not running.process.engine.shelf.outgoing, "the echoes")
        burst = PAIRS * EACH
        assert running.process.runner.statistics().handled == burst + PAIRS
        receipts = sum(lane.examined for lane in lanes) - looked - 2 * burst
        # Requests and answers are each looked at once on their way out; what comes on top are receipts of delivery, of
        # which at most one follows each message.
        assert 0 <= receipts <= 2 * burst
        # Each request, the echo of each answer, and receipts: nothing is sent to the worker a second time.
        assert 2 * burst <= len(came) - before <= 3 * burst
