"""Stored messages per second of the bare engine: group commit under many waiting appends, and one by one.

``python -m tests.bench.storage [seconds] [directory]``. The directory decides which disk is measured; the default is a
temporary one.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from protocol.frames import AccessChange, Create, Role
from protocol.ids import TopicKind, group_topic
from storage.base import Append, Appended, Outcome, Store
from storage.sqlite import open_store, unix_ms

SWITCH_INTERVAL_S = 0.0005  # as the relay sets it: sqlite3 takes the GIL back for every row
LIFE_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """What one run stored. Latencies are from queueing an append to its outcome on the trio thread."""

    stored: int
    seconds: float
    per_second: float
    p50_ms: float
    p99_ms: float
    commits: int
    commit_p50_ms: float
    commit_p99_ms: float
    batch_max: int
    bytes: int  # of the database afterwards

    def line(self, name: str) -> str:
        """For people."""
        return (
            f"{name:<34} {self.per_second:>9,.0f} stored/s   p50 {self.p50_ms:7.2f} ms   p99 {self.p99_ms:7.2f} ms"
            f"   {self.commits} commits of ≤ {self.batch_max}, p50 {self.commit_p50_ms:.2f} ms"
        )


async def bench_engine(
    path: Path, seconds: float, *, waiting: int = 1000, body_bytes: int = 300, topics: int = 50
) -> EngineFigures:
    """Keep ``waiting`` appends under way for ``seconds`` in a new store at ``path``; raises on any refusal.

    Every append is a real one: dedupe, access, fence, chain hash. ``topics`` groups of two devices share the load.
    """
    async with open_store(path) as store:
        load = Load(store, waiting, body_bytes)
        await load.prepare(topics)
        before = store.statistics()
        started = time.perf_counter()
        latencies = await load.run(seconds)
        took = time.perf_counter() - started
        after = store.statistics()
    quantiles = statistics.quantiles(latencies, n=100)
    return EngineFigures(
        len(latencies), took, len(latencies) / took, quantiles[49] * 1000, quantiles[98] * 1000,
        after.commits - before.commits, after.commit_ms_p50, after.commit_ms_p99, after.batch_max, after.bytes,
    )  # fmt: skip


class Load:
    """A closed loop: each outcome starts the next append."""

    def __init__(self, store: Store, waiting: int, body_bytes: int) -> None:
        self._store = store
        self._waiting = waiting
        self._body = os.urandom(body_bytes)
        self._count = 0
        self._places: list[tuple[bytes, bytes, bytes]] = []  # (topic, account, device)
        self._latencies: list[float] = []
        self._until = 0.0
        self._under_way = 0
        self._ended = trio.Event()

    async def prepare(self, topics: int) -> None:
        """Register two accounts and found the groups."""
        people = [os.urandom(32) for _ in range(2)]
        for account in people:
            expires_ms = unix_ms() + LIFE_MS
            await self._store.accounts.publish_list(account, 1, b"list", expires_ms, [account], False, account)
        for _ in range(topics):
            nonce = os.urandom(16)
            topic = group_topic(people[0], nonce)
            access = AccessChange(((people[1], Role.MEMBER),))
            create = Create(TopicKind.GROUP, nonce)
            commit = self._append(topic, people[0], people[0], 4 | 32, (1, 0), access, create)
            outcome = await self._store.topics.append(commit)
            assert isinstance(outcome, Appended), outcome
            self._places += [(topic, account, account) for account in people]

    async def run(self, seconds: float) -> list[float]:
        """Latencies in seconds."""
        self._until = time.perf_counter() + seconds
        for _ in range(self._waiting):
            self._next()
        await self._ended.wait()
        return self._latencies

    def _next(self) -> None:
        topic, account, device = self._places[self._count % len(self._places)]
        intent = self._append(topic, account, device, 0, (1, 1))
        started = time.perf_counter()
        self._under_way += 1

        def done(outcome: Outcome) -> None:
            if not isinstance(outcome, Appended):
                raise RuntimeError(outcome.text)
            now = time.perf_counter()
            self._latencies.append(now - started)
            self._under_way -= 1
            if now < self._until:
                self._next()
            elif not self._under_way:
                self._ended.set()

        self._store.topics.append_nowait(intent, done)

    def _append(
        self, topic: bytes, account: bytes, device: bytes, flags: int, epoch: tuple[int, int],
        access: AccessChange | None = None, create: Create | None = None,
    ) -> Append:  # fmt: skip
        self._count += 1
        id_ = unix_ms().to_bytes(6, "big") + self._count.to_bytes(10, "big")
        digest = id_ * 2  # the engine only compares it
        return Append(
            account, device, 0, topic, id_, digest, None, flags, epoch, None, 0, b"", self._body, access, 0, create
        )  # fmt: skip


def main(seconds: float, folder: Path) -> None:
    """Print the figures."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    for name, waiting, topics in (
        ("group commit, 1,000 waiting", 1000, 50),
        ("group commit, one topic", 1000, 1),
        ("group commit, 1,000 topics", 1000, 1000),
        ("50 waiting", 50, 50),
        ("one by one", 1, 50),
    ):
        with TemporaryDirectory(dir=folder) as place:
            figures = trio.run(partial(bench_engine, Path(place), seconds, waiting=waiting, topics=topics))
        print(figures.line(name), flush=True)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    with TemporaryDirectory() as temporary:
        main(float(arguments[0]) if arguments else 5.0, Path(arguments[1] if len(arguments) > 1 else temporary))
