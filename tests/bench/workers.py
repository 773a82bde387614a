"""Workers with many conversations: how long a restart takes, and the first message of a conversation that is cold.

``python -m tests.bench.workers [PAIRS]``. The pairs are real MLS groups, one founded by a real client and copied under
other topics in the worker's database and the relay's, since founding 100,000 would take an hour: what is measured (what
is read, and when) depends on rows, not on whose they are.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import trio

from clients import records as R
from clients.groups import NOW
from extensions.host import Process, open_database
from extensions.shelf import WorkerShelf
from extensions.store import WorkerBatch, WorkerVault, place_of
from protocol.ids import slot_of
from relay.testing import open_relay
from storage.sqlite import FILE
from tests.support.workers import Asker, Stage, make_worker, open_stage, until

PAIRS = 100_000
GOAL_RESTART_S = 5.0
GOAL_COLD_MS = 5.0
_SAMPLE = 200


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """Of one run."""

    pairs: int
    bytes_a_pair: float
    restart_s: float
    cold_ms_p50: float
    cold_ms_max: float
    loaded: int


def copy_pairs(vault: WorkerVault, topic: bytes, count: int) -> list[bytes]:
    """Copies of a conversation's rows under other topics. Returns them."""
    slot = slot_of(topic)
    talk = msgspec.msgpack.decode(vault.get(place_of(R.CONVERSATIONS, slot), topic) or b"", type=R.Conversation)
    epoch = vault.get(place_of(R.GROUPS, slot), topic + NOW)
    ratchet = vault.get(place_of(R.RATCHETS, slot), topic + NOW)
    topics = [os.urandom(32) for _ in range(count)]
    for start in range(0, count, 2000):
        batch = WorkerBatch()
        for copy in topics[start : start + 2000]:
            home = slot_of(copy)
            row = msgspec.structs.replace(talk, topic=copy)
            batch.put(place_of(R.CONVERSATIONS, home), copy, msgspec.msgpack.encode(row))
            batch.put(place_of(R.GROUPS, home), copy + NOW, epoch)
            batch.put(place_of(R.RATCHETS, home), copy + NOW, ratchet)
        vault.commit([batch])
    return topics


def copy_topics(database: Path, topic: bytes, copies: list[bytes]) -> None:
    """The same topics at the relay, with the worker on their lists and everything acknowledged."""
    with sqlite3.connect(database) as db:
        (row,) = db.execute("SELECT * FROM topics WHERE topic = ?", (topic,)).fetchall()
        (first,) = db.execute("SELECT max(n) + 1 FROM topics").fetchone()
        members = db.execute("SELECT account, role, since, joined FROM members WHERE topic = ?", (row[0],)).fetchall()
        service = "SELECT d.n FROM devices d JOIN accounts a ON a.n = d.account WHERE a.service"
        (device,) = db.execute(service).fetchone()
        marks = ",".join("?" * len(row))
        rows = [(first + i, copy, *row[2:]) for i, copy in enumerate(copies)]
        db.executemany(f"INSERT INTO topics VALUES ({marks})", rows)
        db.executemany(
            "INSERT INTO members VALUES (?, ?, ?, ?, ?)",
            [(first + i, *member) for i in range(len(copies)) for member in members],
        )
        db.executemany("INSERT INTO acks VALUES (?, ?, ?)", [(first + i, device, row[5]) for i in range(len(copies))])
    db.close()


async def _founded(stage: Stage) -> bytes:
    running = await stage.start(make_worker())
    ann: Asker = await stage.person("ann")
    topic = await ann.pair()
    await ann.ask(topic)
    await ann.hears(topic, 1)
    await until(lambda: not running.process.engine.shelf.outgoing)
    await running.finish()
    return topic


def cold_ms(vault: WorkerVault, topics: list[bytes]) -> list[float]:
    """Milliseconds from nothing in memory to a group that can open a message, for each."""
    shelf = WorkerShelf(vault, lambda told: None, lambda: 0, os.urandom)
    taken = []
    for topic in topics:
        began = time.perf_counter()
        assert shelf.conversations[topic].topic == topic
        assert shelf.groups.get(topic) is not None
        taken.append((time.perf_counter() - began) * 1000)
    return taken


async def measure(pairs: int) -> WorkerFigures:
    """One run."""
    with TemporaryDirectory(prefix="chappe-bench-") as temporary:
        home = Path(temporary)
        async with open_relay(data=home / "relay") as relay, open_stage(home, relay) as stage:
            topic = await _founded(stage)
        before = (home / "worker" / "worker.db").stat().st_size
        worker = make_worker()
        with open_database(worker, home / "worker") as vault:
            vault.claim(dict.fromkeys(range(256), 1))
            topics = copy_pairs(vault, topic, pairs)
        copy_topics(home / "relay" / FILE, topic, topics)
        size = (home / "worker" / "worker.db").stat().st_size - before
        async with open_relay(data=home / "relay") as relay:
            began = trio.current_time()
            with open_database(worker, home / "worker") as vault:
                async with trio.open_nursery() as nursery:
                    process = Process(worker, relay.url, vault, relay.clock_ms, os.urandom)
                    nursery.start_soon(process.run, trio.Event())
                    await until(lambda: len(vault.held) == 256)
                    restart_s = trio.current_time() - began
                    taken = cold_ms(vault, topics[:: max(pairs // _SAMPLE, 1)])
                    loaded = process.engine.shelf.groups.loaded
                    nursery.cancel_scope.cancel()
        return WorkerFigures(pairs, size / pairs, restart_s, statistics.median(taken), max(taken), loaded)


async def run(pairs: int) -> int:
    """Measure and print; 1 if a goal is missed."""
    figures = await measure(pairs)
    print(
        f"{figures.pairs} pairs · {figures.bytes_a_pair:.0f} bytes a pair · restart {figures.restart_s:.2f} s (goal "
        f"{GOAL_RESTART_S:.0f}) · cold pair p50 {figures.cold_ms_p50:.2f} ms, max {figures.cold_ms_max:.2f} ms (goal "
        f"{GOAL_COLD_MS:.0f}) · {figures.loaded} groups in memory after the start"
    )
    return int(figures.restart_s > GOAL_RESTART_S or figures.cold_ms_p50 > GOAL_COLD_MS)


if __name__ == "__main__":
    sys.exit(trio.run(run, int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS))
