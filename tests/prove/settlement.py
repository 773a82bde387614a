"""``make prove-settlement``: what is promised about money."""

from __future__ import annotations

import argparse
import random
import sys
from functools import partial

import trio

from tests.support import settlement_proof as S
from tests.support import settlement_tail_proof as T
from tests.support.proof import Proof


async def run(seed: int, only: str) -> int:
    """Every promise that exists by now; the exit code."""
    proof = Proof("settlement", seed, only)
    await proof.show("C8 a killed payer", partial(S.c8_killed_payer, seed))
    await proof.show("bad input", partial(S.bad_input, seed))
    await proof.show("red packets", partial(T.packets, seed))
    await proof.show("stakes", partial(T.stakes, seed))
    await proof.show("disputes", partial(T.disputes, seed))
    await proof.show("the demo's money", partial(T.demo, seed))
    await proof.show("the writer of the books is killed", partial(S.kills, seed))
    await proof.show("two processes", partial(S.two_processes, seed))
    await proof.show("a million records", partial(S.restart_1m, seed))
    await proof.show("throughput", partial(S.throughput, seed))
    return proof.conclude()


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="make prove-settlement", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--only", default="", help="run only the lines whose name holds this")
    arguments = parser.parse_args()
    return trio.run(run, arguments.seed, arguments.only)


if __name__ == "__main__":
    sys.exit(main())
