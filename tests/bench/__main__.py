"""``python3 dev.py bench``: every measurement, a line each. Figures are for comparing within one run."""

from __future__ import annotations

import random
import sys
from functools import partial

import trio

from tests.support.proof import Proof
from tests.support.spine import benches

SECONDS = 5.0


async def run(seconds: float) -> int:
    """All measurements; the exit code is 1 if one is below its goal."""
    proof = Proof("bench", random.SystemRandom().randrange(1 << 31))
    await proof.show("relay beside the bare engine", partial(benches.throughput, seconds))
    await proof.show("one message at a time", partial(benches.calm_latency, seconds))
    await proof.show("seal and open 300 bytes", benches.sealing)
    await proof.show("memory of an idle connection", benches.idle_memory)
    return proof.conclude()


if __name__ == "__main__":
    sys.exit(trio.run(run, float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS))
