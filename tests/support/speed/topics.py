"""Does a topic cost more when there are many? Rows in the store up to a million, hubs in memory up to 100,000."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import trio

from protocol.frames import AccessChange, Create, Role
from protocol.ids import TopicKind, group_topic
from relay import testing
from storage.base import Append, Appended, Entry, Outcome, Store, TopicState
from storage.sqlite import open_store, unix_ms
from tests.support.proof import check

ROWS: Final = 1_000_000
HUBS: Final = 100_000
GROWTH_GOAL: Final = 2.0
_WAITING: Final = 1000
_SAMPLE: Final = 300
_LIFE_MS: Final = 86_400_000


class Founder:
    """Founds conversations in a store as fast as it commits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.account = os.urandom(32)
        self._count = 0

    async def prepare(self) -> None:
        """Register."""
        expires_ms = unix_ms() + _LIFE_MS
        await self._store.accounts.publish_list(
            self.account, 1, b"list", expires_ms, [self.account], False, self.account
        )

    def topic(self, number: int) -> tuple[bytes, bytes]:
        """(topic, nonce) of a conversation."""
        nonce = number.to_bytes(16, "big")
        return group_topic(self.account, nonce), nonce

    def append(self, number: int, *, founds: bool) -> Append:
        """The commit that founds conversation ``number``, or a message in it."""
        self._count += 1
        topic, nonce = self.topic(number)
        id_ = unix_ms().to_bytes(6, "big") + self._count.to_bytes(10, "big")
        access, create = (AccessChange(), Create(TopicKind.GROUP, nonce)) if founds else (None, None)
        flags, epoch = (4 | 32, (1, 0)) if founds else (0, (1, 1))
        return Append(
            self.account, self.account, 0, topic, id_, id_ * 2, None, flags, epoch, None, 0, b"", bytes(300), access,
            0, create,
        )  # fmt: skip

    async def found(self, first: int, end: int) -> None:
        """Conversations from ``first`` up to ``end``, many at once."""
        for start in range(first, end, _WAITING):
            await self._found_together(range(start, min(end, start + _WAITING)))

    async def _found_together(self, numbers: range) -> None:
        left = len(numbers)
        done = trio.Event()

        def ended(outcome: Outcome) -> None:
            nonlocal left
            if not isinstance(outcome, Appended):
                raise RuntimeError(outcome.text)
            left -= 1
            if not left:
                done.set()

        for number in numbers:
            self._store.topics.append_nowait(self.append(number, founds=True), ended)
        await done.wait()

    async def costs_ms(self, count: int) -> tuple[float, float]:
        """Medians of appending to, and of reading the state of, conversations spread over all ``count``."""
        appends, reads = [], []
        for sample in range(_SAMPLE):
            number = sample * 7919 % count
            began = time.perf_counter()
            outcome = await self._store.topics.append(self.append(number, founds=False))
            appends.append(time.perf_counter() - began)
            assert isinstance(outcome, Appended), outcome
            began = time.perf_counter()
            assert await self._store.topics.state(self.topic(number)[0], self.account) is not None
            reads.append(time.perf_counter() - began)
        return statistics.median(appends) * 1000, statistics.median(reads) * 1000


async def rows(most: int = ROWS) -> dict[str, Any]:
    """Append and state read with a thousand conversations stored, and with ``most``."""
    figures: dict[str, Any] = {}
    costs = []
    with TemporaryDirectory(prefix="chappe-speed-") as temporary:
        async with open_store(Path(temporary)) as store:
            founder = Founder(store)
            await founder.prepare()
            had = 0
            began = time.perf_counter()
            for count in sorted({1000, most // 10, most}):
                await founder.found(had, count)
                had = count
                costs.append(await founder.costs_ms(count))
                figures[f"{count:,}"] = f"append {costs[-1][0]:.2f} ms, state {costs[-1][1]:.2f} ms"
            figures["founded/s"] = round(most / (time.perf_counter() - began))
            figures["bytes each"] = round(store.statistics().bytes / most)
    growth = max(costs[-1][0] / costs[0][0], costs[-1][1] / costs[0][1])
    figures |= {"growth": round(growth, 2), "goal": f"≤ {GROWTH_GOAL:g}", "load": round(os.getloadavg()[0], 1)}
    check(growth <= GROWTH_GOAL, f"over the goal: {figures}")
    return figures


def _resident_kib() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1])


def _median_us(do: Callable[[int], None], count: int) -> float:
    taken = []
    for sample in range(5000):
        number = sample * 7919 % count
        began = time.perf_counter()
        do(number)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e6


async def hubs(most: int = HUBS) -> dict[str, Any]:
    """An entry committed in one of 1,000 topics in use, and in one of ``most``; memory of a hub."""
    costs = []
    account = os.urandom(32)
    names = [number.to_bytes(32, "big") for number in range(most)]
    heads = [0] * most
    async with testing.open_relay() as relay:
        registry = relay.node.relay.hubs

        def commit(number: int) -> None:
            heads[number] += 1
            entry = Entry(
                names[number], 1, heads[number], bytes(16), account, account, 0, 0, 1, 0, b"", b"body", bytes(32)
            )
            relay.node.relay.committed(entry)

        had = 0
        gc.collect()
        before = _resident_kib()
        for count in (1000, most):
            for name in names[had:count]:
                registry.pin(name).start(TopicState(name, TopicKind.GROUP, 1, 0, bytes(32), 1, 1, 0, Role.OWNER, 0))
            had = count
            await trio.lowlevel.checkpoint()
            costs.append(_median_us(commit, count))
        gc.collect()
        each = (_resident_kib() - before) / most
        for name in names:
            found = registry.get(name)
            if found is not None:
                registry.unpin(found)
    figures = {
        "entry among 1,000 us": round(costs[0], 2), f"among {most:,} us": round(costs[1], 2),
        "growth": round(costs[1] / costs[0], 2), "goal": f"≤ {GROWTH_GOAL:g}", "KiB a hub": round(each, 2),
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    check(costs[1] <= GROWTH_GOAL * costs[0], f"over the goal: {figures}")
    return figures
