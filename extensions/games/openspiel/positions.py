"""OpenSpiel itself, in the process that may die. Nothing here is ever imported by the referee's own process.

An illegal action makes some games of the library write into foreign memory, and others accept it in silence. So an
action is compared with the legal ones first, and only the library's checked calls are used all the same.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import pyspiel

from extensions.games.openspiel.wire import Described, Outcomes, Position, Step, first_key, key_after

POSITIONS_MAX: Final = 512  # kept: the newest of some hundred matches; an older one is played through again
GAMES_MAX: Final = 64  # loaded at a time, with the parameters that they have
_MEAN_FIELD: Final = pyspiel.GameType.Dynamics.MEAN_FIELD
_CHANCE: Final = {
    pyspiel.GameType.ChanceMode.DETERMINISTIC: "NONE",
    pyspiel.GameType.ChanceMode.EXPLICIT_STOCHASTIC: "EXPLICIT",
    pyspiel.GameType.ChanceMode.SAMPLED_STOCHASTIC: "SAMPLED",
}


class Illegal(Exception):
    """An action that is not legal in this position."""


def describe() -> tuple[Described, ...]:
    """All games that load without parameters."""
    found = []
    for kind in pyspiel.registered_games():
        if kind.default_loadable:
            sees = kind.provides_observation_string or kind.provides_information_state_string
            hidden = kind.information != pyspiel.GameType.Information.PERFECT_INFORMATION
            simultaneous = kind.dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS
            found.append(
                Described(
                    kind.short_name, pyspiel.load_game(kind.short_name).num_players(),
                    # One-shot games hide nothing but the other's choice of the same moment, and that is committed to.
                    hidden and not (simultaneous and _CHANCE[kind.chance_mode] == "NONE"),
                    _CHANCE[kind.chance_mode], kind.dynamics != _MEAN_FIELD and _by_numbers(kind.short_name), sees,
                )
            )  # fmt: skip
    return tuple(found)


def _by_numbers(name: str) -> bool:
    """Whether actions are numbers: some games take structures only."""
    try:
        position(b"", pyspiel.load_game(name).new_initial_state())
    except pyspiel.SpielError:
        return False
    return True


def legal(state: Any, seat: int) -> list[int]:
    """The legal actions of a seat in a state that is nobody else's."""
    if state.is_terminal() or state.is_chance_node() or state.current_player() == pyspiel.PlayerId.MEAN_FIELD:
        return []
    if state.is_simultaneous_node():
        return list(state.legal_actions(seat))
    return list(state.legal_actions()) if state.current_player() == seat else []


def act(state: Any, step: Step) -> None:
    """Change a state, or raise ``Illegal`` and leave it as it was."""
    if state.is_terminal():
        raise Illegal("the game is over")
    if isinstance(step, tuple):
        seats = range(state.num_players())
        if not state.is_simultaneous_node() or len(step) != len(seats):
            raise Illegal("it is not everybody's turn")
        for seat, action in zip(seats, step, strict=True):
            if action not in legal(state, seat):
                raise Illegal(f"{action} is not legal for seat {seat}")
        state.apply_actions_with_legality_checks(list(step))
        return
    if state.is_chance_node():
        allowed = [action for action, _ in state.chance_outcomes()]
    else:
        allowed = [] if state.is_simultaneous_node() else legal(state, state.current_player())
    if step not in allowed:
        raise Illegal(f"{step} is not legal")
    state.apply_action_with_legality_check(step)


def seen(kind: Any, state: Any, seat: int) -> str:
    """What a seat sees, in the library's words."""
    if kind.provides_observation_string:
        return str(state.observation_string(seat))
    return str(state.information_state_string(seat))


class Positions:
    """Loaded games and the newest positions."""

    def __init__(self) -> None:
        self._games: OrderedDict[str, Any] = OrderedDict()
        self._states: OrderedDict[bytes, Any] = OrderedDict()

    def game(self, text: str) -> Any:
        """A game by name and parameters. Raises ``pyspiel.SpielError``."""
        if text not in self._games:
            self._games[text] = pyspiel.load_game(text)
            if len(self._games) > GAMES_MAX:
                self._games.popitem(last=False)
        self._games.move_to_end(text)
        return self._games[text]

    def find(self, key: bytes) -> Any | None:
        """A state that is kept; not to be changed."""
        if key not in self._states:
            return None
        self._states.move_to_end(key)
        return self._states[key]

    def _keep(self, key: bytes, state: Any) -> None:
        self._states[key] = state
        if len(self._states) > POSITIONS_MAX:
            self._states.popitem(last=False)

    def play(self, text: str, history: tuple[Step, ...]) -> Position:
        """A position from the start. Raises ``Illegal``."""
        state, key = self.game(text).new_initial_state(), first_key(text)
        for step in history:
            act(state, step)
            key = key_after(key, step)
        self._keep(key, state)
        return position(key, state)

    def step(self, base: bytes, step: Step) -> Position | None:
        """The position after a step; None: ``base`` is not here. Raises ``Illegal``."""
        before = self.find(base)
        if before is None:
            return None
        state, key = before.clone(), key_after(base, step)
        act(state, step)
        self._keep(key, state)
        return position(key, state)

    def observe(self, text: str, key: bytes, seat: int | None) -> str | None:
        """What a seat, or everybody, sees of a position; None: it is not here."""
        state = self.find(key)
        if state is None:
            return None
        kind = self.game(text).get_type()
        if seat is not None:
            return seen(kind, state, seat)
        if kind.information == pyspiel.GameType.Information.PERFECT_INFORMATION:
            return str(state)
        return f"ply {state.move_number()}, {'over' if state.is_terminal() else f'turn of {state.current_player()}'}"

    def chances(self, key: bytes) -> Outcomes | None:
        """What chance can do; None: the position is not here."""
        state = self.find(key)
        if state is None:
            return None
        outcomes = state.chance_outcomes() if state.is_chance_node() else ()
        return Outcomes(tuple(sorted((int(action), float(share)) for action, share in outcomes)))


def position(key: bytes, state: Any) -> Position:
    """What the referee has to know of a state."""
    seats = range(state.num_players())
    over, chance = bool(state.is_terminal()), bool(state.is_chance_node())
    actions = tuple(
        tuple((int(action), str(state.action_to_string(seat, action))) for action in legal(state, seat))
        for seat in seats
    )
    points = tuple(float(value) for value in state.returns()) if over else ()
    return Position(key, over, chance, bool(state.is_simultaneous_node()), actions, points)
