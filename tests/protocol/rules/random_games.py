"""Legal games of any kind at random, the same for the same seed, and what holds of every game at every step."""

from __future__ import annotations

import random
from typing import Any

from protocol.plies import Kind
from protocol.rules.base import CHANCE, AnyRules
from protocol.rules.deals import move_commitment
from tests.protocol.playing import SEED, Scribe


def play_at_random(rules: AnyRules, seed: int, plies_max: int, seats: int | None = None, **more: Any) -> Scribe:
    """A match with a finished log, by resignation if it has not ended before."""
    rng = random.Random(seed)
    scribe = Scribe(rules, seats=seats or rules.seats[0], **more)
    while not scribe.log.match.is_over:
        match = scribe.log.match
        turn = rules.turn(match.state)
        if turn == (CHANCE,):
            scribe.rule(Kind.CHANCE, 0, rules.chance(match.state, match.secret))
        elif match.ply >= plies_max:
            scribe.say(rng.randrange(match.seats), Kind.RESIGN)
        elif len(turn) > 1:
            _together(scribe, turn, rng)
        else:
            scribe.say(turn[0], Kind.MOVE, rng.choice(rules.actions(match.state, turn[0])))
    return scribe.finish()


def _together(scribe: Scribe, turn: tuple[int, ...], rng: random.Random) -> None:
    match = scribe.log.match
    chosen = {seat: (rng.choice(scribe.rules.actions(match.state, seat)), rng.randbytes(16)) for seat in turn}
    for seat, (action, salt) in chosen.items():
        scribe.say(seat, Kind.COMMIT, move_commitment(match.match, seat, match.moves, action, salt).hex())
    for seat, (action, salt) in chosen.items():
        scribe.say(seat, Kind.REVEAL, f"{action} {salt.hex()}")


def walk(rules: AnyRules, seed: int, plies_max: int = 400, seats: int | None = None, **params: Any) -> Any:
    """One random game of the rules alone, checked at every step; its last state."""
    rng = random.Random(seed)
    count = seats or rules.seats[0]
    state = rules.initial(params, count, SEED)
    for _ in range(plies_max):
        turn = rules.turn(state)
        assert (not turn) == (rules.result(state) is not None)
        for seat in (*range(count), None):
            rules.observe(state, seat).decode()
        if not turn:
            result = rules.result(state)
            assert result is not None
            assert len(result.points) == count
            break
        assert not any(rules.actions(state, seat) for seat in range(count) if seat not in turn)
        if turn == (CHANCE,):
            state = rules.apply(state, CHANCE, rules.chance(state, SEED))
            continue
        seat = rng.choice(turn)
        legal = rules.actions(state, seat)
        assert len(set(legal)) == len(legal) > 0
        action = rng.choice(legal)
        after = rules.apply(state, seat, action)
        assert after == rules.apply(state, seat, action)
        state = after
    return state
