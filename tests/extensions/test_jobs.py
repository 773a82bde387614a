"""Jobs and batches: what they note, and when it counts."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from extensions.errors import WorkerError
from extensions.host import Process
from extensions.jobs import Batch, Effects, Job
from extensions.rows import Item
from protocol.messages.ext import Request
from relay.testing import open_relay
from tests.support.workers import database, make_worker, result

TABLE = "CREATE TABLE IF NOT EXISTS book (entry TEXT PRIMARY KEY)"
TOPIC = b"\x05" * 32


def item(number: int = 1) -> Item:
    return Item(number, TOPIC, 1, b"i" * 16, b"a" * 32, b"d" * 32, 7, b"")


async def test_effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_relay() as relay:
        with database(tmp_path, make_worker(tables=TABLE)) as vault:
            process = Process(make_worker(), relay.url, vault, relay.clock_ms, lambda size: bytes(size))
            shelf = process.engine.shelf
            effects = Effects(process.engine, shelf, process.items)
            job = Job(item(), Request(method="x"), effects)
            assert (job.topic, job.account, job.id, job.attempt) == (TOPIC, b"a" * 32, b"i" * 16, 1)
            assert job.key != Job(item(), Request(method="x"), effects).item.id
            with pytest.raises(WorkerError, match="another process"):
                await job.reply(result(1))
            assert not effects.commit([item()])
            vault.claim({5: 1})
            await job.reply(result(1))  # nobody is there any more: it is not said
            await job.say(result(2))
            job.execute("INSERT INTO book VALUES (?)", "a")
            await effects.check()
            assert effects.commit([item()])
            await shelf.journal.commit()
            assert await job.query("SELECT entry FROM book") == [("a",)]
            with pytest.raises(sqlite3.IntegrityError):
                await effects.check()
            monkeypatch.setattr("extensions.bounds.SENDS_MAX", 2)
            with pytest.raises(WorkerError, match="at most"):
                await job.say(result(3))


async def test_a_batch_is_committed_once(tmp_path: Path) -> None:
    async with open_relay() as relay:
        with database(tmp_path, make_worker(tables=TABLE)) as vault:
            vault.claim({5: 1})
            process = Process(make_worker(), relay.url, vault, relay.clock_ms, lambda size: bytes(size))
            effects = Effects(process.engine, process.engine.shelf, process.items)
            flushed: list[bool] = []

            async def flush() -> None:
                flushed.append(effects.commit([item()]))

            jobs: list[Job[Any]] = [Job(item(), Request(method="x"), effects)]
            batch = Batch(jobs, effects, flush)
            batch.reply(batch.jobs[0], result(1))
            batch.say(TOPIC, result(2))
            batch.write(lambda db: db.execute("INSERT INTO book VALUES ('a')"))
            await batch.commit()
            assert flushed == [True]
            with pytest.raises(WorkerError, match="already"):
                await batch.commit()
            await process.engine.shelf.journal.commit()
            assert await batch.query("SELECT entry FROM book") == [("a",)]
