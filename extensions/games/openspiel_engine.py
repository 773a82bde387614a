"""OpenSpiel behind two checks: what runs inside the sandbox (``openspiel_sandbox``), and nowhere else.

OpenSpiel's plain ``apply_action`` ends the process for an illegal action in some games and takes it in others. So no
action gets near it: it must be in the set of legal actions, and then the call is the one that checks again.
"""

from __future__ import annotations

import math
import random
from collections import OrderedDict
from typing import Any, Final

import msgspec
import pyspiel

from extensions.games import bounds as B

_OBSERVATION_CHARS: Final = 4000  # in UTF-8 within what one player's view may have
Step = int | tuple[int, ...]
FAILURES: Final = (pyspiel.SpielError, RuntimeError)  # how a check inside the engine that fails comes out


class Refused(Exception):
    """An action that is not legal, or a game that cannot be loaded; the text says why."""


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """All that the referee needs to know of a state. ``turn``: seats; −1 chance; none: it is over."""

    turn: tuple[int, ...]
    legal: tuple[tuple[int, ...], ...]  # by seat; of those who do not move, none
    names: tuple[tuple[str, ...], ...]  # the same as text
    chance: tuple[tuple[int, float], ...]  # outcomes with their probabilities, in the engine's order
    seen: tuple[str, ...]  # by seat
    public: str
    returns: tuple[float, ...]


class About(msgspec.Struct, frozen=True, array_like=True):
    """What a game says of itself."""

    name: str
    seats: int
    is_hidden: bool
    is_chance: bool
    is_playable: bool  # by people against each other: not alone, not a crowd, and chance is the referee's to draw


def names() -> list[str]:
    """The games that load without parameters."""
    return sorted(game.short_name for game in pyspiel.registered_games() if game.default_loadable)


def load(text: str) -> Any:
    """A game by its string. Raises ``Refused``."""
    try:
        return pyspiel.load_game(text)
    except FAILURES as error:
        raise Refused(str(error)[:200]) from None


def about(text: str) -> About:
    """What a game says of itself. Raises ``Refused``."""
    game = load(text)
    kind = game.get_type()
    crowd = kind.dynamics == pyspiel.GameType.Dynamics.MEAN_FIELD
    sampled = kind.chance_mode == pyspiel.GameType.ChanceMode.SAMPLED_STOCHASTIC
    hidden = kind.information != pyspiel.GameType.Information.PERFECT_INFORMATION
    chance = kind.chance_mode != pyspiel.GameType.ChanceMode.DETERMINISTIC
    seats = game.num_players()
    return About(kind.short_name, seats, hidden, chance, seats >= 2 and not crowd and not sampled)


# -- the two checks ----------------------------------------------------------------------------------------------------
def play(state: Any, step: Step) -> None:
    """Apply an action (of one, or of chance) or a joint action. Raises ``Refused``, and then nothing has changed."""
    if state.is_terminal() or state.is_mean_field_node():
        raise Refused("nobody moves here")
    if isinstance(step, tuple):
        if not state.is_simultaneous_node() or len(step) != state.num_players():
            raise Refused("not everybody moves here at once")
        for seat, action in enumerate(step):
            legal = state.legal_actions(seat)
            if action not in legal and not (action == 0 and not legal):
                raise Refused(f"{action} is not legal for player {seat + 1}")
        _checked(state.apply_actions_with_legality_checks, list(step))
        return
    if state.is_simultaneous_node() or step not in state.legal_actions():
        raise Refused(f"{step} is not legal here")
    _checked(state.apply_action_with_legality_check, step)


def _checked(call: Any, argument: Any) -> None:
    try:
        call(argument)
    except FAILURES as error:
        raise Refused(str(error)[:200]) from None


# -- looking -----------------------------------------------------------------------------------------------------------
def facts(game: Any, state: Any) -> Facts:
    """A state as the referee sees it."""
    seats = range(game.num_players())
    turn: tuple[int, ...] = ()
    chance: tuple[tuple[int, float], ...] = ()
    if state.is_terminal():
        pass
    elif state.is_chance_node():
        turn, chance = (-1,), tuple((int(a), float(p)) for a, p in state.chance_outcomes())
    elif state.is_simultaneous_node():
        turn = tuple(seat for seat in seats if state.legal_actions(seat))
    else:
        turn = (state.current_player(),)
    legal = tuple(tuple(state.legal_actions(seat)) if seat in turn else () for seat in seats)
    texts = tuple(tuple(state.action_to_string(seat, action)[:80] for action in legal[seat]) for seat in seats)
    returns = tuple(float(value) for value in state.returns()) if state.is_terminal() else ()
    return Facts(
        turn,
        legal,
        texts,
        chance,
        tuple(observation(game, state, seat) for seat in seats),
        public(game, state),
        returns,
    )


def observation(game: Any, state: Any, seat: int) -> str:
    """What a seat sees, in the engine's words."""
    kind = game.get_type()
    if kind.information == pyspiel.GameType.Information.PERFECT_INFORMATION:
        return str(state)[:_OBSERVATION_CHARS]
    if kind.provides_observation_string:
        return str(state.observation_string(seat))[:_OBSERVATION_CHARS]
    if kind.provides_information_state_string:
        return str(state.information_state_string(seat))[:_OBSERVATION_CHARS]
    return ""


def public(game: Any, state: Any) -> str:
    """What everybody may see: the whole of an open game; of a hidden one how far it is, and whose turn."""
    if game.get_type().information == pyspiel.GameType.Information.PERFECT_INFORMATION:
        return str(state)[:_OBSERVATION_CHARS]
    return f"move {state.move_number()}, player {state.current_player()}"


class Engine:
    """States by their history, so that each step costs one step. Answers requests of the sandbox's protocol."""

    def __init__(self) -> None:
        self._games: dict[str, Any] = {}
        self._states: OrderedDict[tuple[str, tuple[Step, ...]], Any] = OrderedDict()

    def _game(self, text: str) -> Any:
        if text not in self._games:
            self._games[text] = load(text)
        return self._games[text]

    def _state(self, text: str, history: tuple[Step, ...]) -> Any:
        known = self._states.get((text, history))
        if known is None:
            known = self._game(text).new_initial_state()
            for step in history:
                play(known, step)
            self._keep(text, history, known)
        return known

    def _keep(self, text: str, history: tuple[Step, ...], state: Any) -> None:
        self._states[text, history] = state
        self._states.move_to_end((text, history))
        while len(self._states) > B.ENGINE_STATES:
            self._states.popitem(last=False)

    def start(self, text: str) -> Facts:
        """The first state of a game. Raises ``Refused``."""
        return facts(self._game(text), self._state(text, ()))

    def step(self, text: str, history: tuple[Step, ...], step: Step) -> Facts:
        """The state after one more step. Raises ``Refused``."""
        state = self._state(text, history).clone()
        play(state, step)
        self._keep(text, (*history, step), state)
        return facts(self._game(text), state)


# -- trying everything -------------------------------------------------------------------------------------------------
def random_step(state: Any, chance: random.Random) -> Step | None:
    """A legal step by chance; None at the nodes of a crowd, whose distribution is set to a uniform one instead."""
    if state.is_mean_field_node():
        support = state.distribution_support()
        state.update_distribution([1 / len(support) for _ in support])
        return None
    if state.is_chance_node():
        outcomes, weights = zip(*state.chance_outcomes(), strict=True)
        return int(chance.choices(outcomes, weights)[0])
    if state.is_simultaneous_node():
        return tuple(chance.choice(state.legal_actions(seat) or [0]) for seat in range(state.num_players()))
    return int(chance.choice(state.legal_actions()))


def walk(text: str, seed: int, plies: int) -> int:
    """One random game, serialised and restored at every ply with equal observations; how many plies.

    Raises ``Refused`` where the restored state differs.
    """
    game, chance = load(text), random.Random(seed)
    state, steps = game.new_initial_state(), list[Step]()
    count = 0
    while not state.is_terminal() and count < plies:
        again = restored(game, state, steps)
        if facts_of(game, again) != facts_of(game, state):
            raise Refused(f"{text}: ply {count} is another state after it was restored")
        step = random_step(state, chance)
        if step is not None:
            play(state, step)
            steps.append(step)
        count += 1
    return count


def restored(game: Any, state: Any, steps: list[Step]) -> Any:
    """A state written and read again: by the engine's own format, where it can read it, else by its history."""
    try:
        return game.deserialize_state(state.serialize())
    except FAILURES:
        again = game.new_initial_state()
        for step in steps:
            play(again, step)
        return again


def facts_of(game: Any, state: Any) -> tuple[Any, ...]:
    """What must be the same after a state was restored."""
    if state.is_mean_field_node() or state.is_chance_node():
        return (str(state), state.current_player())
    found = facts(game, state)
    return (found.turn, found.legal, found.seen, [0.0 if math.isnan(value) else value for value in found.returns])


def fuzz(text: str, seed: int, count: int) -> tuple[int, int]:
    """Actions of all kinds against states of random games: (tried, accepted).

    Raises ``Refused`` if one is accepted that is not legal, or refused although it is.
    """
    game, chance = load(text), random.Random(seed)
    state, tried, accepted = game.new_initial_state(), 0, 0
    size = max(2, game.num_distinct_actions())
    while tried < count:
        if state.is_terminal():
            state = game.new_initial_state()
        good = random_step(state, chance)
        if good is None:
            continue
        junk = (chance.randrange(size), -1, size, -chance.randrange(1 << 31), chance.randrange(1 << 62), 2**63 - 1)
        steps: list[Step] = [chance.choice(junk) for _ in range(8)]
        steps += [(chance.choice(junk),) * chance.randrange(4), good]
        for step in steps:
            is_legal = _is_legal(state, step)
            tried += 1
            try:
                play(state, step)
            except Refused:
                if is_legal:
                    raise Refused(f"{text}: {step} is legal and was refused") from None
                continue
            if not is_legal:
                raise Refused(f"{text}: {step} is not legal and was accepted")
            accepted += 1
            break
    return tried, accepted


def _is_legal(state: Any, step: Step) -> bool:
    """By the engine's own list."""
    if isinstance(step, tuple):
        seats = range(state.num_players())
        return (
            state.is_simultaneous_node()
            and len(step) == state.num_players()
            and all(step[seat] in (state.legal_actions(seat) or [0]) for seat in seats)
        )
    return not state.is_simultaneous_node() and step in state.legal_actions()
