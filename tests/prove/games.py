"""``make prove-games``: what is promised about games."""

from __future__ import annotations

import sys
from functools import partial

import trio

from tests.support import games_oracle as O
from tests.support import games_proof as G
from tests.support import openspiel_proof as S
from tests.support.proof import Proof, parser_of


async def run(seed: int, only: str) -> int:
    """Every promise that exists by now; the exit code."""
    proof = Proof("games", seed, only)
    await proof.show("C9 chess, and a pulled cable", partial(G.c9_chess, seed))
    await proof.show("hidden hands, audited", partial(G.hidden, seed))
    await proof.show("the referee is killed", partial(G.killed, seed))
    await proof.show("500 live games", partial(G.live_games, seed))
    await proof.show("time-outs from the log alone", partial(O.timeouts, seed))
    await proof.show("validated moves", partial(O.validated, seed))
    await proof.show("perft to depth 4", partial(O.perft, seed))
    await proof.show("2,000 random games beside the oracle", partial(O.random_games, seed, 2000, 200))
    await proof.show("200 long games beside the oracle", partial(O.long_games, seed, 200))
    await proof.show("OpenSpiel: random games, restored at each ply", partial(S.every_game, seed))
    await proof.show("OpenSpiel: a million wrong actions", partial(S.fuzzed, seed))
    await proof.show("OpenSpiel: engines killed in the middle of matches", partial(S.engine_dies, seed))
    await proof.show("Glickman's example", O.glickman)
    return proof.conclude()


def main() -> int:
    """Read the command line and run."""
    arguments = parser_of("games", __doc__).parse_args()
    return trio.run(run, arguments.seed, arguments.only)


if __name__ == "__main__":
    sys.exit(main())
