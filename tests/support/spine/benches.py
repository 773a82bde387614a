"""Figures of the spine: measured as ratios in one run, never asserted in the suite (these machines are noisy)."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from tests.bench.storage import bench_engine
from tests.protocol.mls import people as mls_people
from tests.protocol.mls.bench import AUTHENTICATED, MESSAGE, grown, median_ms
from tests.support.people import Person
from tests.support.proof import ROOT, check
from tests.support.spine.talks import open_relay_process
from tests.support.wire import open_wire

RATIO_GOAL = 0.5
SEAL_MS_GOAL, OPEN_MS_GOAL = 0.15, 0.25
WAITING, CONNECTIONS = 1000, 4
LIMITS_OFF = "publishes_per_s = 10000000\nconnections_per_address_max = 100000\nconnections_max = 100000\n"


async def throughput(seconds: float, goal: float = RATIO_GOAL) -> dict[str, Any]:
    """Stored messages per second through the whole relay beside the bare engine: engine, relay, engine in turn."""
    with TemporaryDirectory(prefix="chappe-bench-") as temporary:
        home = Path(temporary)
        first = await bench_engine(home / "one.db", seconds, waiting=WAITING)
        config = home / "relay.toml"
        config.write_text(LIMITS_OFF)
        async with open_relay_process(home, "--config", str(config)) as relay:
            arguments = [relay.url, str(seconds), str(CONNECTIONS), str(WAITING)]
            done = await trio.run_process(
                [sys.executable, "-m", "tests.bench.load", *arguments], cwd=ROOT, capture_stdout=True
            )
        second = await bench_engine(home / "two.db", seconds, waiting=WAITING)
    through = json.loads(done.stdout)
    engine = (first.per_second + second.per_second) / 2
    ratio = through["per_second"] / engine
    figures = {
        "relay stored/s": round(through["per_second"]), "p50 ms": round(through["p50_ms"], 1),
        "p99 ms": round(through["p99_ms"], 1), "engine stored/s": round(engine), "ratio": round(ratio, 2),
        "goal": f"≥ {goal}",
    }  # fmt: skip
    check(ratio >= goal, f"below the goal: {figures}")
    return figures


async def calm_latency(seconds: float) -> dict[str, Any]:
    """PUB to OK with one message under way at a time: what the commit to the disk costs."""
    with TemporaryDirectory(prefix="chappe-bench-") as temporary:
        async with open_relay_process(Path(temporary)) as relay:
            done = await trio.run_process(
                [sys.executable, "-m", "tests.bench.load", relay.url, str(seconds), "1", "1"],
                cwd=ROOT, capture_stdout=True,
            )  # fmt: skip
    figures = json.loads(done.stdout)
    return {"p50 ms": round(figures["p50_ms"], 2), "p99 ms": round(figures["p99_ms"], 2)}


async def sealing() -> dict[str, Any]:
    """Seal and open 300 bytes in a group of two."""
    seal_ms, open_ms = await trio.to_thread.run_sync(_sealing)
    figures = {
        "seal ms": round(seal_ms, 3), "goal": f"≤ {SEAL_MS_GOAL}",
        "open ms": round(open_ms, 3), "goal to open": f"≤ {OPEN_MS_GOAL}",
    }  # fmt: skip
    check(seal_ms <= SEAL_MS_GOAL and open_ms <= OPEN_MS_GOAL, f"over the goal: {figures}")
    return figures


def _sealing() -> tuple[float, float]:
    """Medians over fresh messages, each opened once."""
    one, other = grown([mls_people.Person(name) for name in ("one", "other")], 3)
    sealed = []
    state = [one]

    def seal() -> None:
        message, state[0] = state[0].seal(MESSAGE, authenticated_data=AUTHENTICATED, entropy=os.urandom)
        sealed.append(message)

    seal_ms = median_ms(seal, 2000)
    reader, waiting = [other], iter(sealed)

    def open_() -> None:
        _, reader[0] = reader[0].open(next(waiting), authenticated_data=AUTHENTICATED)

    return seal_ms, median_ms(open_, 2000)


async def idle_memory(count: int = 500) -> dict[str, Any]:
    """Resident memory of the relay for each further logged-in, idle connection."""
    with TemporaryDirectory(prefix="chappe-bench-") as temporary:
        home = Path(temporary)
        config = home / "relay.toml"
        config.write_text(LIMITS_OFF)
        async with open_relay_process(home, "--config", str(config)) as relay, trio.open_nursery() as nursery:
            now_ms = time.time_ns() // 1_000_000
            await _idle(nursery, relay.url, [Person(f"first-{n}", now_ms) for n in range(20)])
            before = _resident_kib(relay.pid)
            await _idle(nursery, relay.url, [Person(f"idle-{n}", now_ms) for n in range(count)])
            after = _resident_kib(relay.pid)
            nursery.cancel_scope.cancel()
    return {"connections": count, "KiB each": round((after - before) / count, 1), "relay MiB": round(after / 1024)}


async def _idle(nursery: trio.Nursery, url: str, people: list[Person]) -> None:
    """Connect and register people one after another; they stay."""
    for person in people:
        await nursery.start(_stay, url, person)


async def _stay(url: str, person: Person, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    async with open_wire(url) as wire:
        await wire.register(person)
        task_status.started()
        await trio.sleep_forever()


def _resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise LookupError("no VmRSS")
