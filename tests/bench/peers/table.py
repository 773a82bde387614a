"""Results as tables: the best run of each system in each workload, beside the others of the same workload."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bench.peers.sweep import Result
from tests.bench.peers.systems import WORKLOADS


def read(path: Path) -> list[Result]:
    """The results of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def score(result: Result) -> float:
    """Higher is better: deliveries, connects, or (at a fixed rate) less latency."""
    if "error" in result:
        return float("-inf")
    if "-rate" in result["workload"]:
        return -float(result["lat_us"]["p50"])
    return float(result.get("deliv_per_s") or result["conn_per_s"])


def best(results: list[Result]) -> dict[tuple[str, str], Result]:
    """The best run by (workload, system)."""
    found: dict[tuple[str, str], Result] = {}
    for result in results:
        key = result["workload"], result["label"]
        if key not in found or score(result) > score(found[key]):
            found[key] = result
    return found


def _row(result: Result, top: float) -> str:
    if "error" in result:
        return f"| {result['label']} | {result['error'][:80]} |"
    latency = result.get("lat_us")
    if latency is None:
        return (
            f"| {result['label']} | {result['conn_per_s']:,.0f}/s | {result['conn_srv_cpu_us']:.0f} us each "
            f"| {result['conn_ms_p50']:.1f} ms | {result['conn_ms_p99']:.1f} ms "
            f"| {result['rss_per_conn_kib']:.2f} KiB each | {result['rss0_kib'] / 1024:.0f} MiB | {result['load1']} |"
        )
    first, last = result["first_us"], result["last_us"]
    return (
        f"| {result['label']} | {result['deliv_per_s']:,} | {result['deliv_per_s'] / top:.3f} "
        f"| {result['srv_us_per_deliv']:.2f} | {latency['p50']:,.0f} | {latency['p99']:,.0f} | {first['p50']:,.0f} "
        f"| {last['p50']:,.0f} | {last['p99']:,.0f} | {result['srv_cpu_pct']} | {result['gen_cpu_pct']} "
        f"| {result['lost']} | {result['load1']} |"
    )


def markdown(results: list[Result]) -> str:
    """All workloads, a table each."""
    chosen = best(results)
    parts = []
    for workload, what in WORKLOADS.items():
        rows = [result for (name, _), result in chosen.items() if name == workload]
        if not rows:
            continue
        parts.append(f"\n### {workload}  ({what.options})\n")
        if any("lat_us" in row for row in rows):
            parts.append(
                "| system | delivered/s | of best | server CPU us/delivery | p50 us | p99 us | first p50 | last p50 "
                "| last p99 | server % | load % | lost | load average |\n|" + "---|" * 13
            )
        else:
            parts.append("| system | connects | CPU | p50 | p99 | memory | base | load average |\n|" + "---|" * 8)
        top = max((row.get("deliv_per_s", 1) for row in rows), default=1) or 1
        parts += [_row(row, top) for row in rows]
    return "\n".join(parts)
