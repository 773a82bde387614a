"""OpenSpiel behind the seam: every game of the library, restored at every ply, and a million wrong actions."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import trio

from extensions.games.openspiel.engine import Engine, EngineFailed
from extensions.games.openspiel.rules import SpielRules, spiel_games
from extensions.games.openspiel.wire import Bad, Describe, Exercise, Exercised, Games
from protocol.rules.base import CHANCE
from tests.support.proof import NotRun, check

GAMES: Final = 20
PLIES: Final = 1000
CALL_S: Final = 600.0  # of a whole order of random games
WRONG: Final = 1_000_000
#: What the library itself cannot do; none of them is offered.
DEFECTS: Final = {
    "bridge_uncontested_bidding": "its own serialised form cannot be read back",
    "crossword": "takes structures as actions, not numbers",
    "tarok": "deals from chance of its own, so that a copy sees other cards",
}
_SECRET: Final = b"proof of chance!" * 2


@contextmanager
def _engine() -> Iterator[Engine]:
    if importlib.util.find_spec("pyspiel") is None:
        raise NotRun("open-spiel is not installed: no wheel for this machine")
    engine = Engine(call_s=30.0)
    try:
        yield engine
    finally:
        engine.close()


def _exercise(engine: Engine, seed: int, games: int, wrong: int) -> dict[str, Any]:
    listed = engine.ask(Describe())
    assert isinstance(listed, Games)
    total, failed = [0, 0, 0, 0], {}
    for game in listed.games:
        try:
            done = engine.ask(Exercise(game.name, games, seed, wrong, PLIES), CALL_S)
        except EngineFailed as error:
            done = Bad(str(error))
        if isinstance(done, Exercised):
            total = [a + b for a, b in zip(total, (done.plies, done.restored, done.wrong, done.ended), strict=True)]
        else:
            failed[game.name] = done.why if isinstance(done, Bad) else str(done)
    check(set(failed) <= set(DEFECTS), f"games that failed: {failed}")
    plies, restored, refused, ended = total
    check(engine.statistics().starts == 1, "the engine's process died")
    impossible = {name: DEFECTS[name] for name in failed}
    return {
        "games": len(listed.games) - len(failed), "random games each": games, "plies": plies,
        "restored equal": restored, "to their end": ended, "wrong actions refused": refused, "not possible": impossible,
    }  # fmt: skip


async def every_game(seed: int, games: int = GAMES) -> dict[str, Any]:
    """Random games of every game that loads, serialised and restored at every ply with equal observations."""

    def run() -> dict[str, Any]:
        with _engine() as engine:
            return _exercise(engine, seed, games, 0)

    return await trio.to_thread.run_sync(run)


async def fuzzed(seed: int, wrong: int = WRONG) -> dict[str, Any]:
    """Wrong actions over all games: none is taken, none changes anything, the process lives."""

    def run() -> dict[str, Any]:
        with _engine() as engine:
            figures = _exercise(engine, seed, 2, 60)
            refused, rounds = figures["wrong actions refused"], 1
            while refused < wrong:
                refused += _exercise(engine, seed + rounds, 2, 60)["wrong actions refused"]
                rounds += 1
            return {"wrong actions refused": refused, "games": figures["games"], "taken": 0, "processes that died": 0}

    return await trio.to_thread.run_sync(run)


async def engine_dies(seed: int) -> dict[str, Any]:
    """Matches through the seam whose engine is killed in the middle: they go on as if nothing had been."""

    def run() -> dict[str, Any]:
        chosen, plies, killed = random.Random(seed), 0, 0
        with _engine() as engine:
            games = spiel_games(engine)
            for rules in games.values():
                assert isinstance(rules, SpielRules)
                log, seen = _play(rules, engine, chosen)
                plies, killed = plies + len(log), killed + 1
                state = rules.initial({}, rules.seats[0], _SECRET)
                for seat, action in log:
                    state = rules.apply(state, seat, action)
                check(rules.observe(state, 0) == seen, f"{rules.name} is another game after its replay")
            replays = engine.statistics().replays
            return {"games": len(games), "plies": plies, "engines killed": killed, "replays": replays}

    return await trio.to_thread.run_sync(run)


def _play(rules: SpielRules, engine: Engine, chosen: random.Random) -> tuple[list[tuple[int, str]], bytes]:
    """A random game of at most 60 plies, its engine killed before one of them; the log, and what seat 0 sees."""
    log: list[tuple[int, str]] = []
    state, dies_at = rules.initial({}, rules.seats[0], _SECRET), chosen.randrange(8)
    while rules.result(state) is None and len(log) < 60:
        turn = rules.turn(state)
        seat = turn[0] if turn == (CHANCE,) else chosen.choice(turn)
        action = rules.chance(state, _SECRET) if seat == CHANCE else chosen.choice(rules.actions(state, seat))
        if len(log) == dies_at and engine.pid is not None:
            os.kill(engine.pid, signal.SIGKILL)
        state = rules.apply(state, seat, action)
        log.append((seat, action))
    return log, rules.observe(state, 0)
