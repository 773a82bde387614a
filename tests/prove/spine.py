"""``make prove-spine``: an encrypted conversation across the relay, durable and in order, whatever is killed."""

from __future__ import annotations

import sys
from functools import partial

import trio

from tests.support.proof import Proof, parser_of
from tests.support.spine import benches, kills, scenarios, suites, talks


async def run(seed: int, rounds: int, model_seconds: float, bench_seconds: float, only: str) -> int:
    """Every promise of the spine; the exit code."""
    proof = Proof("spine", seed, only)
    await proof.show(f"relay killed with -9, {rounds} rounds", partial(kills.relay_killed, seed, rounds))
    await proof.show(f"clients killed with -9, {rounds} rounds", partial(kills.clients_killed, seed, rounds))
    await proof.show("5,000 typing notices while a member is away", partial(talks.ephemerals, seed))
    await proof.show("a lost OK, an epoch change, the retry", partial(talks.lost_ok, seed))
    await proof.show("500 pipelined messages with 429s", partial(talks.pipelined, seed))
    await proof.show("a marker at the relay", partial(talks.marker, seed))
    await proof.show("official MLS vectors", suites.vectors)
    await proof.show("the rules' model: publish", partial(suites.model, "publish", model_seconds))
    await proof.show("the rules' model: delivery", partial(suites.model, "delivery", model_seconds))
    await proof.show("model tests", suites.model_tests)
    await proof.show("C1 from nothing to the first message", partial(scenarios.c1_first_message, seed))
    await proof.show("C2 the operator looks everywhere", partial(scenarios.c2_operator_looks, seed))
    await proof.show("C3 killed in the middle of a conversation", partial(scenarios.c3_killed_in_conversation, seed))
    await proof.show("C4 away, and away beyond retention", partial(scenarios.c4_away, seed))
    await proof.show("O1 one command", partial(scenarios.o1_one_command, seed))
    await proof.show("bench: relay beside the bare engine", partial(benches.throughput, bench_seconds))
    await proof.show("bench: one message at a time", partial(benches.calm_latency, bench_seconds))
    await proof.show("bench: seal and open 300 bytes", benches.sealing)
    await proof.show("bench: memory of an idle connection", benches.idle_memory)
    return proof.conclude()


def main() -> int:
    """Read the command line and run."""
    parser = parser_of("spine", __doc__)
    parser.add_argument("--rounds", type=int, default=20, help="kills of each kind")
    parser.add_argument("--model-seconds", type=float, default=600, help="limit of one run of the rules' model")
    parser.add_argument("--bench-seconds", type=float, default=5, help="length of one measurement")
    arguments = parser.parse_args()
    return trio.run(
        run, arguments.seed, arguments.rounds, arguments.model_seconds, arguments.bench_seconds, arguments.only
    )


if __name__ == "__main__":
    sys.exit(main())
