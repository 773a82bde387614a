"""``make prove-ranker``: what is promised about the ranker alone, without a relay."""

from __future__ import annotations

import sys

import trio

from tests.support import ranking_proof
from tests.support.proof import Proof, parser_of


async def run(seed: int, only: str) -> int:
    """Every promise; the exit code."""
    proof = Proof("ranker", seed, only)
    await ranking_proof.show_all(proof, seed)
    return proof.conclude()


def main() -> int:
    """Read the command line and run."""
    arguments = parser_of("ranker", __doc__).parse_args()
    return trio.run(run, arguments.seed, arguments.only)


if __name__ == "__main__":
    sys.exit(main())
