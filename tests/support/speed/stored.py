"""Stored messages: the whole relay beside the bare engine, and one message beside the disk's own fsync."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.bench.peers.sweep import alone
from tests.bench.storage import bench_engine
from tests.support.proof import check
from tests.support.spine import benches

THROUGHPUT_GOAL: Final = 0.7
FSYNC_GOAL: Final = 2.0
_PAGE: Final = 4096
_ROUNDS: Final = 300


async def throughput(seconds: float) -> dict[str, Any]:
    """Stored messages a second through the relay, over those of the engine alone in the same run."""
    with alone():
        figures = await benches.throughput(seconds, THROUGHPUT_GOAL)
    return figures | {"load": round(os.getloadavg()[0], 1)}


def fsync_ms(folder: Path) -> float:
    """Median of writing a page behind a file's end and having it on the disk: what a commit cannot do without."""
    taken = []
    with (folder / "page").open("wb", buffering=0) as file:
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            file.write(bytes(_PAGE))
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


async def one_at_a_time(seconds: float) -> dict[str, Any]:
    """PUB to OK with one message under way, beside one fsync just before and just after."""
    with alone(), TemporaryDirectory(prefix="chappe-speed-") as temporary:
        before = fsync_ms(Path(temporary))
        calm = await benches.calm_latency(seconds)
        after = fsync_ms(Path(temporary))
        engine = await bench_engine(Path(temporary) / "engine", seconds, waiting=1)
    disk = (before + after) / 2
    ratio = calm["p50 ms"] / disk
    figures = {
        **calm, "engine alone p50 ms": round(engine.p50_ms, 2), "fsync ms": round(disk, 3), "ratio": round(ratio, 2),
        "goal": f"≤ {FSYNC_GOAL:g}", "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    check(ratio <= FSYNC_GOAL, f"over the goal: {figures}")
    return figures
