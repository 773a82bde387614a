"""``make prove-settlement``: what is promised about money."""

from __future__ import annotations

import sys
from functools import partial

import trio

from tests.support import settlement_operators, settlement_standby, workers_proof
from tests.support import settlement_proof as S
from tests.support import settlement_tail_proof as T
from tests.support.proof import Proof, parser_of


async def run(seed: int, only: str, rounds: int, operations: int) -> int:
    """Every promise that exists by now; the exit code."""
    proof = Proof("settlement", seed, only)
    await proof.show("C8 a killed payer", partial(S.c8_killed_payer, seed))
    await proof.show("B8 a worker dies in the middle of jobs", partial(workers_proof.b8_worker_dies, seed))
    await proof.show("B9 a worker that was not added", partial(workers_proof.b9_not_added, seed))
    await proof.show("bad input", partial(S.bad_input, seed))
    await proof.show("revoked, closed, the clock back", partial(S.troubles, seed))
    await proof.show("1 poisoned of 1,000", partial(S.poison, seed))
    await proof.show(f"an oracle, {operations:,} operations", partial(S.oracle, seed, operations))
    await proof.show(f"the writer of the books killed, {rounds} rounds", partial(S.kills, seed, rounds))
    await proof.show("two processes, the one at work stopped", partial(settlement_standby.stopped, seed))
    await proof.show("a worker that dies at each start", partial(workers_proof.crash_loop, seed))
    await proof.show("a job that never ends", partial(workers_proof.never_answers, seed))
    await proof.show("a worker that answers for another payment", partial(S.other_answer, seed))
    await proof.show("red packets", partial(T.packets, seed))
    await proof.show("stakes", partial(T.stakes, seed))
    await proof.show("disputes", partial(T.disputes, seed))
    await proof.show("the demo's money", partial(T.demo, seed))
    await proof.show("operators, and a receipt offline", partial(settlement_operators.operators, seed))
    await proof.show("an old backup", partial(settlement_operators.restored, seed))
    await proof.show("a worker that shows two histories", partial(S.two_histories, seed))
    await proof.show("a million records", partial(S.restart_1m, seed))
    await proof.show("a worker with 100,000 conversations", partial(S.many_pairs, seed))
    await proof.show("throughput of the books", partial(S.throughput, seed))
    await proof.show("throughput end to end", partial(S.end_to_end, seed))
    return proof.conclude()


def main() -> int:
    """Read the command line and run."""
    parser = parser_of("settlement", __doc__)
    parser.add_argument("--rounds", type=int, default=200, help="kills of the writer of the books")
    parser.add_argument("--operations", type=int, default=20_000, help="of the oracle")
    arguments = parser.parse_args()
    return trio.run(run, arguments.seed, arguments.only, arguments.rounds, arguments.operations)


if __name__ == "__main__":
    sys.exit(main())
