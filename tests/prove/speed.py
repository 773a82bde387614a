"""``make prove-speed``: our relay beside others, beside the disk, and beside itself when everything grows.

The figures are of this machine and this hour; goals are ratios within one run. See ``tests/bench/peers.md``.
"""

from __future__ import annotations

import sys
from functools import partial

import trio

from tests.bench.peers.systems import FANS
from tests.support.proof import Proof, parser_of
from tests.support.speed import beside, stored, topics


async def run(seed: int, only: str, runs: int, seconds: float, rows: int) -> int:
    """Every promise about speed; the exit code."""
    proof = Proof("speed", seed, only)
    for workload in FANS:
        await proof.show(f"fan-out beside NATS, {workload}", partial(beside.fan_out, workload, runs))
    for workload in ("pair50-pipe", "pair500-pipe"):
        await proof.show(f"pipelined pairs beside NATS, {workload}", partial(beside.pipelined, workload, runs))
    for workload in ("pair50-ping", "pair500-ping"):
        await proof.show(f"closed loop beside mosquitto, {workload}", partial(beside.closed_loop, workload, runs))
    await proof.show("a bystander beside a fan-out to 2,000", partial(beside.bystander, runs))
    await proof.show("TLS", partial(beside.tls, runs))
    await proof.show("stored messages beside the bare engine", partial(stored.throughput, seconds))
    await proof.show("one stored message beside one fsync", partial(stored.one_at_a_time, seconds))
    await proof.show("memory of an idle connection", beside.idle_memory)
    await proof.show("growth: a recipient among 100 to 20,000", partial(beside.recipients, runs))
    await proof.show(f"growth: a topic among {rows:,} stored", partial(topics.rows, rows))
    await proof.show("growth: a topic among 100,000 in memory", topics.hubs)
    return proof.conclude()


def main() -> int:
    """Read the command line and run."""
    parser = parser_of("speed", __doc__)
    parser.add_argument("--runs", type=int, default=2, help="of each system in each workload; the best one counts")
    parser.add_argument("--seconds", type=float, default=5, help="length of a measurement of stored messages")
    parser.add_argument("--rows", type=int, default=topics.ROWS, help="conversations stored; a million takes minutes")
    arguments = parser.parse_args()
    return trio.run(
        run, arguments.seed, arguments.only, arguments.runs, arguments.seconds, arguments.rows
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
