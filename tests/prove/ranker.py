"""``make prove-ranker``: what is promised about the ranker alone, without a relay."""

from __future__ import annotations

import argparse
import random
import sys

import trio

from tests.support import ranking_proof
from tests.support.proof import Proof


async def run(seed: int, only: str) -> int:
    """Every promise; the exit code."""
    proof = Proof("ranker", seed, only)
    await ranking_proof.show_all(proof, seed)
    return proof.conclude()


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="make prove-ranker", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--only", default="", help="run only the lines whose name holds this")
    arguments = parser.parse_args()
    return trio.run(run, arguments.seed, arguments.only)


if __name__ == "__main__":
    sys.exit(main())
