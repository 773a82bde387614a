"""``make prove-ranking``: what is promised about feeds and about the ranker."""

from __future__ import annotations

import sys
from functools import partial

import trio

from tests.support import feeds_proof as F
from tests.support import ranking_circle_proof, ranking_proof
from tests.support.proof import Proof, parser_of


async def run(seed: int, only: str) -> int:
    """Every promise that exists by now; the exit code."""
    proof = Proof("ranking", seed, only)
    await proof.show("C7 a feed by time, ranked on request", partial(F.c7_feed, seed))
    await proof.show("a week away", partial(F.a_week_away, seed))
    await proof.show("bad input into feeds and signals", partial(F.bad_input, seed))
    await proof.show("the ranker is killed", partial(F.restart, seed))
    await ranking_circle_proof.show_all(proof, seed)
    await ranking_proof.show_all(proof, seed)
    return proof.conclude()


def main() -> int:
    """Read the command line and run."""
    arguments = parser_of("ranking", __doc__).parse_args()
    return trio.run(run, arguments.seed, arguments.only)


if __name__ == "__main__":
    sys.exit(main())
