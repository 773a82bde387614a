"""Running jobs: order, attempts, dead letters, effects in one transaction, batches of a taker."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import trio

from extensions import letters
from extensions.errors import WorkerError
from extensions.jobs import Batch, Job
from extensions.worker import Worker
from protocol.messages.ext import Request
from tests.support.workers import Stage, database, make_worker, open_stage, result, until

TABLE = "CREATE TABLE IF NOT EXISTS book (entry TEXT PRIMARY KEY)"


async def test_a_failing_job_is_tried_again_then_set_aside_and_its_conversation_goes_on(tmp_path: Path) -> None:
    runs: list[int] = []

    async def answer(job: Job[Request]) -> None:
        await job.reply(result(job.body.method))
        if job.body.method == "bad":
            runs.append(job.attempt)
            raise ValueError("cannot")

    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker(answer, attempts=3))
        ann = await stage.person("ann")
        topic = await ann.pair()
        for method in ("one", "bad", "two"):
            await ann.ask(topic, method)
        assert await ann.hears(topic, 2) == ["one", "two"]
        assert runs == [1, 2, 3]
        await until(lambda: letters.letters(running.vault))
        assert running.process.runner.statistics().failed == 3
        (letter,) = letters.letters(running.vault)
        assert (letter.handler, letter.error, letter.item.attempts) == ("answer", "ValueError: cannot", 3)


async def test_a_letter_is_replayed_or_skipped_while_it_runs(tmp_path: Path) -> None:
    broken = True

    async def answer(job: Job[Request]) -> None:
        if broken:
            raise ValueError("not yet")
        await job.reply(result(job.body.method))

    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker(answer, attempts=1))
        ann = await stage.person("ann")
        topic = await ann.pair()
        await ann.ask(topic, "one")
        await ann.ask(topic, "two")
        await until(lambda: len(letters.letters(running.vault)) == 2)
        broken = False
        first, second = letters.letters(running.vault)
        with database(tmp_path) as outside:
            letters.decide(outside, first.item.number, skip=True)
            letters.decide(outside, second.item.number, skip=False)
        assert await ann.hears(topic, 1) == ["two"]
        await until(lambda: running.process.items.statistics().dead == 0)
        await until(lambda: letters.letters(running.vault) == [])


async def test_what_a_handler_writes_is_one_transaction_with_its_job(tmp_path: Path) -> None:
    async def answer(job: Job[Request]) -> None:
        job.execute("INSERT INTO book VALUES (?)", job.body.method)
        job.write(lambda db: db.execute("INSERT INTO book VALUES (?)", (job.body.method + "!",)))
        known = await job.query("SELECT count(*) FROM book")
        await job.say(result(known[0][0]))

    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker(answer, tables=TABLE, attempts=1))
        ann = await stage.person("ann")
        topic = await ann.pair()
        for method in ("a", "b", "a"):
            await ann.ask(topic, method)
        await until(lambda: letters.letters(running.vault))  # the third breaks the table's rule
        assert await ann.hears(topic, 2) == [0, 2]
        assert running.vault.query("SELECT entry FROM book ORDER BY 1") == [("a",), ("a!",), ("b",), ("b!",)]
        assert "IntegrityError" in letters.letters(running.vault)[0].error


async def test_a_job_speaks_only_where_its_process_may(tmp_path: Path) -> None:
    async def answer(job: Job[Request]) -> None:
        foreign = bytes([255 - job.topic[0]]) * 32
        with pytest.raises(WorkerError, match="another process"):
            await job.say(result("x"), topic=foreign)
        assert job.item.account == job.account
        assert len(job.key) == 32
        assert "attempt 1" in repr(job)
        await job.reply(result("fine"))

    async with open_stage(tmp_path) as stage:
        first, second = await stage.start(make_worker(answer)), await stage.start(make_worker(answer))
        await first.holds(128)
        await second.holds(128)
        held = set(first.vault.held)
        if any((255 - slot in held) for slot in held):
            pytest.skip("the slots happen to be shared out otherwise")
        ann = await stage.person("ann")
        topic = await ann.pair()
        await ann.ask(topic)
        assert await ann.hears(topic, 1) == ["fine"]


async def test_one_job_says_only_so_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extensions.bounds.SENDS_MAX", 1)

    async def answer(job: Job[Request]) -> None:
        await job.reply(result(1))
        with pytest.raises(WorkerError, match="at most 1"):
            await job.reply(result(2))

    async with open_stage(tmp_path) as stage:
        await stage.start(make_worker(answer))
        ann = await stage.person("ann")
        topic = await ann.pair()
        await ann.ask(topic)
        assert await ann.hears(topic, 1) == [1]


async def test_who_left_is_not_answered(tmp_path: Path) -> None:
    go_on = trio.Event()

    async def answer(job: Job[Request]) -> None:
        await go_on.wait()
        await job.reply(result(job.body.method))

    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker(answer))
        ann = await stage.person("ann")
        topic = await ann.pair()
        group = (await ann.client.group([running.process.engine.shelf.account], "all")).topic
        await ann.ask(group, "one")
        await ann.ask(group, "two")
        await until(lambda: len(running.process.items) == 2)
        await ann.client.conversation(group).remove([running.process.engine.shelf.account])
        await ann.client.settled()
        await until(lambda: running.process.engine.shelf.conversations[group].status == 5)
        go_on.set()
        await ann.ask(topic, "here")
        assert await ann.hears(topic, 1) == ["here"]
        assert ann.answers(group) == []
        await until(lambda: len(running.process.items) == 0)


async def test_jobs_of_conversations_run_beside_each_other(tmp_path: Path) -> None:
    begun: list[bytes] = []
    both = trio.Event()

    async def answer(job: Job[Request]) -> None:
        begun.append(job.topic)
        if len(begun) == 2:
            both.set()
        await both.wait()
        await job.reply(result(job.body.method))

    async with open_stage(tmp_path) as stage:
        await stage.start(make_worker(answer))
        ann, bob = await stage.person("ann"), await stage.person("bob")
        for person in (ann, bob):
            await person.ask(await person.pair())
        for person in (ann, bob):
            await person.hears(await person.pair(), 1)
        assert len(set(begun)) == 2


# -- a taker -----------------------------------------------------------------------------------------------------------
def ledger(seen: list[int], **options: object) -> Worker:
    """A worker that books many requests at once."""
    worker = Worker(
        "echo", consumes=("ext.request",), produces=("ext.reply",), tables=TABLE, single=True, back_off_s=(0.01,),
        **options,  # type: ignore[arg-type]
    )  # fmt: skip

    @worker.taker
    async def book(batch: Batch) -> None:
        seen.append(len(batch.jobs))
        for job in batch.jobs:
            if job.body.method == "bad":
                raise ValueError("a bad one")
            batch.execute("INSERT INTO book VALUES (?)", job.body.method)
            batch.reply(job, result(job.body.method))
        if any(job.body.method == "explicit" for job in batch.jobs):
            batch.say(batch.jobs[0].topic, result("said"))
            await batch.commit()
            assert await batch.query("SELECT 1 FROM book WHERE entry = 'explicit'") == [(1,)]
            with pytest.raises(WorkerError, match="already"):
                await batch.commit()

    return worker


async def _asked(
    stage: Stage, methods: list[str], seen: list[int], **options: object
) -> tuple[list[object], list[str]]:
    running = await stage.start(ledger(seen, **options))
    ann = await stage.person("ann")
    topic = await ann.pair()
    for method in methods:
        await ann.ask(topic, method)
    bad = methods.count("bad")
    figures = running.process.items.statistics
    good = [method for method in methods if method != "bad"]

    def books() -> list[str]:
        return [row[0] for row in running.vault.query("SELECT entry FROM book")]

    # The inbox is empty between two messages as well: it is over when every good one is in the books.
    await until(lambda: figures().depth == 0 and figures().dead >= bad and len(books()) >= len(good))
    await ann.hears(topic, len(good) + good.count("explicit"))
    return ann.answers(topic), books()


async def test_a_taker_commits_books_inbox_and_outbox_together(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        seen: list[int] = []
        heard, books = await _asked(stage, ["a", "b", "explicit", "c"], seen)
        assert sorted(books) == ["a", "b", "c", "explicit"]
        assert sorted(map(str, heard)) == ["a", "b", "c", "explicit", "said"]


async def test_a_bad_job_harms_no_other_of_its_batch(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        seen: list[int] = []
        heard, books = await _asked(stage, ["a", "bad", "b"], seen, attempts=2)
        assert sorted(books) == ["a", "b"]
        assert set(heard) == {"a", "b"}
        assert seen.count(1) >= 2


async def test_sql_that_fails_is_the_jobs_failure(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        seen: list[int] = []
        running = await stage.start(ledger(seen, attempts=1))
        ann = await stage.person("ann")
        topic = await ann.pair()
        await ann.ask(topic, "a")
        await ann.hears(topic, 1)
        await ann.ask(topic, "a")
        await until(lambda: letters.letters(running.vault))
        (letter,) = letters.letters(running.vault)
        assert letter.error.startswith(sqlite3.IntegrityError.__name__)


async def test_it_stops_between_jobs_and_what_waits_is_done_at_the_next_start(tmp_path: Path) -> None:
    go_on, begun = trio.Event(), trio.Event()

    async def answer(job: Job[Request]) -> None:
        begun.set()
        await go_on.wait()
        await job.reply(result(job.body.method))

    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker(answer))
        ann = await stage.person("ann")
        topic = await ann.pair()
        await ann.ask(topic, "one")
        await ann.ask(topic, "two")
        await begun.wait()
        await until(lambda: len(running.process.items) == 2)
        running.stop.set()
        await until(lambda: running.process.runner.stopping.is_set())
        go_on.set()
        await running.ended.wait()
        assert await ann.hears(topic, 1) == ["one"]
        with database(tmp_path) as vault:
            assert sum(vault.places("items").values()) == 1
        await stage.start(make_worker(answer))
        assert await ann.hears(topic, 2) == ["one", "two"]


async def test_a_job_of_a_slot_that_moved_is_done_by_its_new_holder_alone(tmp_path: Path) -> None:
    go_on = trio.Event()
    begun: list[bytes] = []

    async def answer(job: Job[Request]) -> None:
        begun.append(job.topic)
        await go_on.wait()
        await job.reply(result(job.body.method))

    async with open_stage(tmp_path) as stage:
        first = await stage.start(make_worker(answer))
        people = [await stage.person(f"person {n}") for n in range(6)]
        topics = [await person.pair() for person in people]
        for person, topic in zip(people, topics, strict=True):
            await person.ask(topic)
        await until(lambda: len(begun) == 6)
        second = await stage.start(make_worker(answer))
        await second.holds(128)
        moved = [topic for topic in topics if topic[0] in second.vault.held]
        await until(lambda: len(begun) == 6 + len(moved))
        go_on.set()
        for person, topic in zip(people, topics, strict=True):
            assert await person.hears(topic, 1) == ["hello"]
        await first.finish()
        await second.finish()
        assert all(len(person.answers(topic)) == 1 for person, topic in zip(people, topics, strict=True))
