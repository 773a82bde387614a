"""Random games inside the engine's process: every ply restored from its serialised form, and wrong actions tried."""

from __future__ import annotations

import random
from typing import Any, Final

import pyspiel

from extensions.games.openspiel.positions import Illegal, act, legal, seen
from extensions.games.openspiel.wire import Exercise, Exercised, Step

_WRONG: Final = (-(2**31), -4, -3, -2, -1, 2**31 - 1)  # and numbers that some other position would take


class NotEqual(Exception):
    """The engine did what it must not do; the text says where."""


def exercise(game: Any, order: Exercise) -> Exercised:
    """Play. Raises ``NotEqual`` where a restored state differs, or a wrong action is taken."""
    chosen = random.Random(order.seed)
    plies = restored = wrong = ended = 0
    for _ in range(order.games):
        state = game.new_initial_state()
        for _ in range(order.plies_max):
            if state.is_terminal():
                ended += 1
                break
            if state.current_player() == pyspiel.PlayerId.MEAN_FIELD:
                size = len(state.distribution_support())
                state.update_distribution([1 / size] * size if size else [])
                continue
            wrong += _try_wrong(game, state, chosen, order.wrong)
            act(state, _any(game, state, chosen))
            plies += 1
            state = _restore(game, state)
            restored += 1
    return Exercised(plies, restored, wrong, ended)


def _any(game: Any, state: Any, chosen: random.Random) -> Step:
    if state.is_chance_node():
        actions, shares = zip(*state.chance_outcomes(), strict=True)
        return int(chosen.choices(actions, shares)[0])
    if state.is_simultaneous_node():
        return tuple(chosen.choice(legal(state, seat)) for seat in range(game.num_players()))
    return chosen.choice(legal(state, state.current_player()))


def _try_wrong(game: Any, state: Any, chosen: random.Random, count: int) -> int:
    """Offer what is not legal; the state must refuse it and stay what it is."""
    before, tried = state.history_str(), 0
    seats = game.num_players()
    allowed = {seat: set(legal(state, seat)) for seat in range(seats)}
    chances = {action for action, _ in state.chance_outcomes()} if state.is_chance_node() else set()
    for _ in range(count):
        number = (
            chosen.choice(_WRONG) if chosen.random() < 0.3 else chosen.randrange(-2, game.num_distinct_actions() + 2)
        )
        step: Step = number
        if chosen.random() < 0.3:
            step = (number,) * chosen.choice((seats, seats, 1, seats + 1))
        if isinstance(step, tuple):
            right = state.is_simultaneous_node() and len(step) == seats
            right = right and all(action in allowed[seat] for seat, action in enumerate(step))
        else:
            right = number in (chances or allowed.get(state.current_player(), set()))
        if right:
            continue
        try:
            act(state, step)
        except Illegal:
            tried += 1
            continue
        raise NotEqual(f"{step} was taken after {before[-200:]}")
    if state.history_str() != before:
        raise NotEqual(f"a refused action changed the state after {before[-200:]}")
    return tried


def _restore(game: Any, state: Any) -> Any:
    """A copy from the serialised form, which must look the same to everybody."""
    _, copy = pyspiel.deserialize_game_and_state(pyspiel.serialize_game_and_state(game, state))
    kind = game.get_type()
    for seat in range(game.num_players()):
        if (
            (kind.provides_observation_string or kind.provides_information_state_string)
            and not state.is_terminal()
            and seen(kind, state, seat) != seen(kind, copy, seat)
        ):
            raise NotEqual(f"seat {seat} sees something else after {state.history_str()[-200:]}")
    return copy
