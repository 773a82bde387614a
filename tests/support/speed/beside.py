"""Our relay beside others, as promises: ratios within one workload of one sweep, the best of a few runs of each.

Rates and latencies are of the wall clock; on a machine where others compute too they say little, so the figures name
the load average and the server's CPU time a delivery, which is disturbed least.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import trio

from tests.bench.peers import bystander as beside
from tests.bench.peers import systems
from tests.bench.peers.sweep import Result, alone, run
from tests.bench.peers.table import score
from tests.support.proof import NotRun, check

FAN_GOAL, PIPE_GOAL, PING_GOAL, BYSTANDER_GOAL = 1.5, 1.0, 1.2, 0.1
IDLE_KIB_GOAL = 8.0
GROWTH_GOAL = 2.0  # a recipient's cost beside that of a bare broadcaster in C, among 100 and among 20,000


def _prepare(names: Iterable[str]) -> None:
    """Raises ``NotRun``."""
    missing = {part for name in names for part in systems.SYSTEMS[name].missing()}
    if missing:
        raise NotRun(f"not installed: {', '.join(sorted(missing))} (apt-get install; see tests/bench/peers.md)")
    if (os.cpu_count() or 1) < 2:
        raise NotRun("one core: server and load would measure each other")
    systems.build()


def _best(names: list[str], workload: str, runs: int) -> dict[str, Result]:
    """Each system's best run, the systems in turn."""
    found: dict[str, Result] = {}
    for _ in range(runs):
        for name in names:
            with alone():
                result = run(name, workload)
            if name not in found or score(result) > score(found[name]):
                found[name] = result
    for result in found.values():
        check("error" not in result, f"{result['label']} in {workload}: {result.get('error')}")
    return found


async def measured(names: list[str], workload: str, runs: int) -> dict[str, Result]:
    """In a thread, since it waits for processes. Raises ``NotRun``."""
    _prepare(names)
    return await trio.to_thread.run_sync(_best, names, workload, runs)


def _load() -> float:
    return round(os.getloadavg()[0], 1)


async def fan_out(workload: str, runs: int) -> dict[str, Any]:
    """Saturated fan-out beside NATS."""
    found = await measured(["ours", "nats"], workload, runs)
    ours, nats = found["ours"], found["nats"]
    ratio = round(ours["deliv_per_s"] / nats["deliv_per_s"], 2)
    figures = {
        "ours/s": ours["deliv_per_s"], "nats/s": nats["deliv_per_s"], "ratio": ratio, "goal": f"≥ {FAN_GOAL}",
        "CPU us": f"{ours['srv_us_per_deliv']} : {nats['srv_us_per_deliv']}", "load": _load(),
    }  # fmt: skip
    check(ours["lost"] == 0, f"{ours['lost']} deliveries were lost")
    check(ratio >= FAN_GOAL, f"below the goal: {figures}")
    return figures


async def pipelined(workload: str, runs: int) -> dict[str, Any]:
    """Pairs with 32 messages under way, beside NATS."""
    found = await measured(["ours", "nats"], workload, runs)
    ours, nats = found["ours"], found["nats"]
    ratio = round(ours["deliv_per_s"] / nats["deliv_per_s"], 3)
    figures = {
        "ours/s": ours["deliv_per_s"], "nats/s": nats["deliv_per_s"], "ratio": ratio, "goal": f"≥ {PIPE_GOAL}",
        "CPU us": f"{ours['srv_us_per_deliv']} : {nats['srv_us_per_deliv']}", "load": _load(),
    }  # fmt: skip
    check(ratio >= PIPE_GOAL, f"below the goal: {figures}")
    return figures


async def closed_loop(workload: str, runs: int) -> dict[str, Any]:
    """Pairs with one message under way, beside mosquitto."""
    found = await measured(["ours", "mosquitto"], workload, runs)
    ours, theirs = found["ours"]["lat_us"]["p50"], found["mosquitto"]["lat_us"]["p50"]
    figures = {
        "ours p50 us": ours, "mosquitto p50 us": theirs, "ratio": round(ours / theirs, 2), "goal": f"≤ {PING_GOAL}",
        "load": _load(),
    }  # fmt: skip
    check(ours <= PING_GOAL * theirs, f"over the goal: {figures}")
    return figures


async def bystander(runs: int) -> dict[str, Any]:
    """The p99 of 50 pairs beside a fan-out to 2,000, ours beside NATS."""
    _prepare(["ours", "nats"])
    p99: dict[str, float] = {}
    for _ in range(runs):
        for name in ("ours", "nats"):
            found = await trio.to_thread.run_sync(beside.bystander, name)
            p99[name] = min(p99.get(name, float("inf")), found["beside"]["p99"])
    ratio = round(p99["ours"] / p99["nats"], 3)
    figures = {
        "ours p99 us": p99["ours"], "nats p99 us": p99["nats"], "ratio": ratio, "goal": f"≤ {BYSTANDER_GOAL}",
        "load": _load(),
    }  # fmt: skip
    check(ratio <= BYSTANDER_GOAL, f"over the goal: {figures}")
    return figures


def _rate(found: dict[str, Result], one: str, other: str) -> float:
    ratio: float = round(found[one]["deliv_per_s"] / found[other]["deliv_per_s"], 3)
    return ratio


async def tls(runs: int) -> dict[str, Any]:
    """The same figures on wss, ours and NATS, and what TLS costs us."""
    names = ["ours", "ours-tls", "nats-tls"]
    fan = await measured(names, "fan1k-sat", runs)
    pipe = await measured(names, "pair50-pipe", runs)
    ping = await measured(names, "pair50-ping", runs)
    fan_ratio = _rate(fan, "ours-tls", "nats-tls")
    figures = {
        "fan-out to 1,000 beside NATS": fan_ratio, "goal": f"≥ {FAN_GOAL}",
        "beside plain": _rate(fan, "ours-tls", "ours"),
        "pipelined beside NATS": _rate(pipe, "ours-tls", "nats-tls"),
        "pipelined beside plain": _rate(pipe, "ours-tls", "ours"),
        "closed loop p50 beside NATS": round(
            ping["ours-tls"]["lat_us"]["p50"] / ping["nats-tls"]["lat_us"]["p50"], 2
        ),
        "load": _load(),
    }  # fmt: skip
    check(fan_ratio >= FAN_GOAL, f"below the goal: {figures}")
    return figures


async def idle_memory() -> dict[str, Any]:
    """Memory of the process for each connection that is logged in and follows a topic of its own."""
    found = (await measured(["ours"], "idle20k", 1))["ours"]
    figures = {
        "connections": found["conns"], "KiB each": found["rss_per_conn_kib"], "goal": f"≤ {IDLE_KIB_GOAL:g}",
        "connects/s": found["conn_per_s"], "base MiB": round(found["rss0_kib"] / 1024), "load": _load(),
    }  # fmt: skip
    check(found["lost_conns"] == 0, f"{found['lost_conns']} connections were lost")
    check(found["rss_per_conn_kib"] <= IDLE_KIB_GOAL, f"over the goal: {figures}")
    return figures


async def recipients(runs: int) -> dict[str, Any]:
    """Server CPU time a delivery from 100 to 20,000 subscribers, beside a bare broadcaster's in C.

    More sockets cost any server more each, since less is in the caches and each is woken for fewer messages.
    """
    figures: dict[str, Any] = {}
    ratios = []
    for workload in (*systems.FANS, "fan20k-sat"):
        found = await measured(["ours", "rawcast"], workload, runs)
        ours, bare = (found[name]["srv_us_per_deliv"] for name in ("ours", "rawcast"))
        ratios.append(ours / bare)
        figures[f"{found['ours']['subs']:,}"] = f"{ours:.2f} us (C {bare:.2f})"
    figures |= {"growth": round(ratios[-1] / ratios[0], 2), "goal": f"≤ {GROWTH_GOAL:g}", "load": _load()}
    check(ratios[-1] <= GROWTH_GOAL * ratios[0], f"over the goal: {figures}")
    return figures
