"""A process of a worker from its start to its end: databases, connections, fences, manifests, orders."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from clients.events import AnyEvent, Joined, Received, Removed, decode_event
from extensions import letters
from extensions.errors import WorkerError
from extensions.host import Process, open_database
from extensions.jobs import Job
from extensions.store import Write, place_of
from protocol.ids import slot_of
from protocol.manifest import is_genuine
from protocol.messages import parse
from protocol.messages.chat import Text
from protocol.messages.ext import Manifest, Request
from relay.testing import open_relay
from tests.support.workers import database, make_worker, open_stage, result, until


async def test_it_answers_and_shows_a_signed_manifest(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker(keeps="nothing", trust="nothing"))
        ann = await stage.person("ann")
        topic = await ann.pair()
        await ann.ask(topic)
        await ann.client.conversation(topic).send("not for it")
        assert await ann.hears(topic, 1) == ["hello"]
        rows = ann.client.engine.shelf.vault.events(0, 100, topic)
        events = [e for e in (decode_event(v, s) for s, v in rows) if isinstance(e, Received) and not e.mine]
        (manifest,) = [b for e in events if isinstance(b := parse(e.content).body, Manifest)]
        assert is_genuine(manifest, running.process.engine.shelf.account)
        assert (manifest.keeps, manifest.consumes) == ("nothing", ("ext.request",))
        assert len(running.process.items) == 0
        await running.finish()
        assert running.error is None


async def test_what_came_while_it_was_away_is_answered_once(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker())
        ann = await stage.person("ann")
        topic = await ann.pair()
        await ann.ask(topic, "one")
        await ann.hears(topic, 1)
        await running.crash()
        await ann.ask(topic, "two")
        await stage.start(make_worker())
        assert await ann.hears(topic, 2) == ["one", "two"]


async def test_two_processes_share_the_work_and_take_over(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        first, second = await stage.start(make_worker()), await stage.start(make_worker())
        await first.holds(128)
        await second.holds(128)
        assert not set(first.vault.held) & set(second.vault.held)
        ann = await stage.person("ann")
        topic = await ann.pair()
        await ann.ask(topic, "one")
        await ann.hears(topic, 1)
        mine = slot_of(topic) in first.vault.held
        holder, other = (first, second) if mine else (second, first)
        await holder.crash()
        await other.holds(256)
        await ann.ask(topic, "two")
        assert await ann.hears(topic, 2) == ["one", "two"]


async def test_a_process_that_was_fenced_off_writes_nothing_and_begins_anew(tmp_path: Path) -> None:
    begun, go_on = trio.Event(), trio.Event()

    async def slow(job: Job[Request]) -> None:
        if not go_on.is_set():
            begun.set()
            await go_on.wait()
        await job.reply(result(job.body.method))

    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker(slow))
        ann = await stage.person("ann")
        topic = await ann.pair()
        await ann.ask(topic)
        await begun.wait()
        slot = slot_of(topic)
        with database(tmp_path) as other:
            other.claim({slot: running.vault.held[slot] + 1})  # somebody else was granted it
        go_on.set()
        await until(lambda: len(running.processes) > 1, "a new beginning")
        assert ann.answers(topic) == []
        # The relay's next token is what the other one claimed; the one after that is ours again.
        assert await ann.hears(topic, 1) == ["hello"]
        assert len(ann.answers(topic)) == 1


async def test_a_single_worker_has_a_heir(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        first = await stage.start(make_worker(single=True))
        await first.holds(256)
        second = await stage.start(make_worker(single=True))
        await until(lambda: second.processes and second.process.engine.link is not None)
        assert second.vault.held == {}
        await first.finish()
        await second.holds(256)


async def test_a_relay_that_says_no_for_good_ends_it(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        first = await stage.start(make_worker())
        await first.holds(256)
        other = await stage.start(make_worker(single=True))
        await other.ended.wait()
        assert isinstance(other.error, WorkerError)
        assert "no slots" in str(other.error)
        lost = await stage.start(make_worker(), "not an address")
        await lost.ended.wait()
        assert "does not let this worker in" in str(lost.error)


async def test_it_waits_for_a_relay_that_is_away(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker(), "ws://127.0.0.1:1/ws")
        await until(lambda: len(running.processes) > 1)
        await running.finish()
        assert running.error is None


async def test_messages_that_nobody_wants_are_no_jobs(tmp_path: Path) -> None:
    async with open_relay() as relay:
        worker = make_worker()
        with open_database(worker, tmp_path / "worker") as vault:
            process = Process(worker, relay.url, vault, relay.clock_ms, lambda size: bytes(size))
            t, i, k = b"t" * 32, b"i" * 16, b"k" * 32
            said = Received(topic=t, offset=1, id=i, account=k, device=k, ts=1, content=b"")
            assert not process._wanted(said)
            assert process.items.statistics().depth == 0


async def test_a_handle_that_is_somebody_elses_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_stage(tmp_path) as stage:
        ann = await stage.person("ann")
        await ann.client.claim_handle("echo")
        running = await stage.start(make_worker())
        await running.holds(256)
        await until(lambda: "is not ours" in caplog.text)


async def test_a_database_is_made_once(tmp_path: Path) -> None:
    with database(tmp_path) as one, database(tmp_path) as two:
        assert one.get("meta", b"identity") == two.get("meta", b"identity")
        assert one.places("items") == {}
        assert place_of("items", 31) == "items/1f"
    nonsense = open_database(make_worker(tables="CREATE NONSENSE"), tmp_path / "other")
    with pytest.raises(WorkerError, match="tables of this worker"), nonsense:
        pass


async def test_texts_are_not_answered(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        await stage.start(make_worker())
        ann = await stage.person("ann")
        topic = await ann.pair()
        await ann.client.conversation(topic).send(Text(text="hello"))
        await ann.ask(topic, "one")
        assert await ann.hears(topic, 1) == ["one"]


async def test_slots_move_to_a_second_process_and_back(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        first = await stage.start(make_worker())
        await first.holds(256)
        second = await stage.start(make_worker())
        await second.holds(128)
        await first.finish()
        await second.holds(256)
        assert len(second.processes) == 1


async def test_orders_are_carried_out(tmp_path: Path) -> None:
    async def answer(job: Job[Request]) -> None:
        raise ValueError("never")

    async with open_stage(tmp_path) as stage:
        running = await stage.start(make_worker(answer, attempts=1))
        ann = await stage.person("ann")
        topic = await ann.pair()
        await ann.ask(topic)
        await until(lambda: letters.letters(running.vault))
        with database(tmp_path) as outside:
            letters.decide(outside, letters.letters(outside)[0].item.number, skip=True)
        await until(lambda: not letters.letters(running.vault))
        await until(lambda: not list(running.vault.scan("orders")))


async def test_what_happens_to_conversations_is_written_with_it(tmp_path: Path) -> None:
    worker = make_worker(tables="CREATE TABLE IF NOT EXISTS seen (event TEXT, topic BLOB)", single=True)
    heard: list[AnyEvent] = []

    @worker.watches
    def note(process: Process, event: AnyEvent) -> list[Write]:
        heard.append(event)
        row = (type(event).__name__, event.topic)
        return [lambda db: db.execute("INSERT INTO seen VALUES (?, ?)", row)] if isinstance(event, Joined) else []

    async with open_stage(tmp_path) as stage:
        running = await stage.start(worker)
        ann = await stage.person("ann")
        topic = await ann.pair()
        await ann.ask(topic)
        assert await ann.hears(topic, 1) == ["hello"]  # so that it has joined is written
        assert running.vault.query("SELECT * FROM seen") == [("Joined", topic)]
        running.process.engine.shut_out(topic)
        running.process.engine.shut_out(bytes(32))  # of which it knows nothing
        assert [type(event) for event in heard] == [Joined, Removed]
