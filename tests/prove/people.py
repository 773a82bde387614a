"""``make prove-people``: what people and bot authors use daily."""

from __future__ import annotations

import argparse
import random
import sys
from functools import partial

import trio

from tests.support import workers_proof
from tests.support.conformance_proof import b10_other_language
from tests.support.proof import Proof
from tests.support.spine import installs, suites

BOT_SCENARIOS = ("tests/clients/bot/test_scenarios.py", "tests/examples")
FUZZ = ("tests/fuzz",)


async def run(seed: int, only: str) -> int:
    """Every promise that exists by now; the exit code."""
    proof = Proof("people", seed, only)
    await proof.show("the base install runs the echo bot", partial(installs.echo_bot_on_the_base_install, seed))
    await proof.show("B1-B7 bots", partial(suites.passed, BOT_SCENARIOS))
    await proof.show("B10 a client in another language", partial(b10_other_language, seed))
    await proof.show("B8 a worker dies in the middle of jobs", partial(workers_proof.b8_worker_dies, seed))
    await proof.show("B9 a worker that was not added", partial(workers_proof.b9_not_added, seed))
    await proof.show("a worker that dies at each start", partial(workers_proof.crash_loop, seed))
    await proof.show("a job that never ends", partial(workers_proof.never_answers, seed))
    await proof.show("fuzzing frames and contents", partial(suites.passed, FUZZ))
    return proof.conclude()


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="make prove-people", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--only", default="", help="run only the lines whose name holds this")
    arguments = parser.parse_args()
    return trio.run(run, arguments.seed, arguments.only)


if __name__ == "__main__":
    sys.exit(main())
