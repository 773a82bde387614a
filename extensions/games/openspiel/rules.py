"""OpenSpiel's games behind the seam of all games: ``openspiel:NAME``.

States are values: what was done, and what the engine said of it. The engine is asked once for each move; who restores a
match after a crash, or verifies it elsewhere, plays the same history through. Where things are hidden, chance is drawn
from the match's secret as soon as it is its turn and stands in no log; elsewhere it is an entry of the log like a throw
of dice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from extensions.games.openspiel.engine import Engine, EngineFailed
from extensions.games.openspiel.wire import Chances, Describe, Described, Games, Observe, Outcomes, Position, Step, Text
from protocol import limits as L
from protocol.rules.base import (
    CHANCE,
    DRAW,
    LOSS,
    WIN,
    Allowed,
    AnyRules,
    IllegalAction,
    Params,
    Result,
    checked,
)
from protocol.rules.deals import Stream, draw_key

PREFIX: Final = "openspiel:"
VERSION: Final = 20_002  # of the library: 2.0.2
_WORD: Final = 1 << 32
#: What may be set: the first value is the library's own default.
PARAMETERS: Final[Mapping[str, Allowed]] = MappingProxyType(
    {
        "breakthrough": {"rows": (8, 6, 7), "columns": (8, 6, 7)},
        "go": {"board_size": (19, 9, 13)},
        "havannah": {"board_size": (8, 4, 5, 6, 7, 9, 10)},
        "hex": {"board_size": (11, 5, 7, 9, 13)},
        "y": {"board_size": (19, 5, 9, 13)},
    }
)


@dataclass(frozen=True, slots=True)
class Spiel:
    """Where a match is. ``chosen``: what seats of a simultaneous turn have chosen so far."""

    game: str
    history: tuple[Step, ...]
    now: Position
    chosen: tuple[int | None, ...]
    secret: bytes = field(default=b"", repr=False)


class SpielRules:
    """One game."""

    def __init__(self, described: Described, engine: Engine) -> None:
        self._described = described
        self._engine = engine
        self.name = PREFIX + described.name
        self.version = VERSION
        self.seats = (described.seats, described.seats)
        self.hidden = described.hidden
        self.undoable = not described.hidden and described.chance == "NONE"
        self.parameters: Allowed = PARAMETERS.get(described.name, {})

    # -- states --------------------------------------------------------------------------------------------------------
    def initial(self, params: Params, seats: int, seed: bytes) -> Spiel:
        """The first state. Raises ``ParameterError``, ``EngineFailed``."""
        full = checked(self, params, seats)
        text = ",".join(f"{name}={value}" for name, value in full.items())
        game = f"{self._described.name}({text})" if text else self._described.name
        secret = seed if self.hidden else b""
        return self._drawn(Spiel(game, (), self._engine.start_of(game), (None,) * seats, secret))

    def turn(self, state: Spiel) -> tuple[int, ...]:
        """Who may act; in a simultaneous turn all who have not chosen yet."""
        if state.now.over:
            return ()
        if state.now.chance:
            return (CHANCE,)
        return tuple(seat for seat, some in enumerate(state.now.actions) if some and state.chosen[seat] is None)

    def actions(self, state: Spiel, seat: int) -> tuple[str, ...]:
        """The library's own names of actions, which are short and distinct, or are given their number."""
        if seat == CHANCE:
            return tuple(str(action) for action, _ in self._chances(state)) if state.now.chance else ()
        return tuple(self._named(state, seat)) if seat in self.turn(state) else ()

    @staticmethod
    def _named(state: Spiel, seat: int) -> dict[str, int]:
        rows = [
            ("_".join(name.split())[: L.GAME_ACTION_CHARS_MAX // 2], action) for action, name in state.now.actions[seat]
        ]
        names = [name for name, _ in rows]
        return {name if name and names.count(name) == 1 else f"{name}#{action}": action for name, action in rows}

    def apply(self, state: Spiel, seat: int, action: str) -> Spiel:
        """One move. Raises ``IllegalAction``, ``EngineFailed``."""
        if seat not in self.turn(state):
            raise IllegalAction(f"it is not the turn of seat {seat}")
        if seat == CHANCE:
            if not action.isdecimal() or len(action) > L.GAME_ACTION_CHARS_MAX:
                raise IllegalAction(f"{action[:16]!r} is no outcome of chance")
            return self._after(state, int(action))
        number = self._named(state, seat).get(action)
        if number is None:
            raise IllegalAction(f"{action[:16]!r} is not legal now")
        if not state.now.together:
            return self._after(state, number)
        chosen = tuple(number if at == seat else other for at, other in enumerate(state.chosen))
        if any(choice is None and state.now.actions[at] for at, choice in enumerate(chosen)):
            return replace(state, chosen=chosen)
        return self._after(state, tuple(choice or 0 for choice in chosen))

    def _after(self, state: Spiel, step: Step) -> Spiel:
        now = self._engine.step(state.game, state.now.key, state.history, step)
        fresh = (None,) * len(state.chosen)
        return self._drawn(replace(state, history=(*state.history, step), now=now, chosen=fresh))

    # -- chance --------------------------------------------------------------------------------------------------------
    def _drawn(self, state: Spiel) -> Spiel:
        """Hidden chance is drawn at once."""
        while self.hidden and state.now.chance and len(state.history) < L.GAME_PLIES_MAX:
            step = self._draw(state, state.secret)
            now = self._engine.step(state.game, state.now.key, state.history, step)
            state = replace(state, history=(*state.history, step), now=now)
        return state

    def _chances(self, state: Spiel) -> tuple[tuple[int, float], ...]:
        answer = self._engine.about(Chances(state.game, state.now.key), state.history)
        if not isinstance(answer, Outcomes) or not answer.outcomes:
            raise EngineFailed("the engine has no chance to offer")
        return answer.outcomes

    def _draw(self, state: Spiel, secret: bytes) -> int:
        """An outcome with the probability that the game gives it, from the match's own key stream."""
        at = Stream(draw_key(secret, f"chance {len(state.history)}")).below(_WORD) / _WORD
        outcomes = self._chances(state)
        for action, share in outcomes:
            at -= share
            if at < 0:
                return action
        return outcomes[-1][0]

    def chance(self, state: Spiel, seed: bytes) -> str:
        """What the seed decides. Raises ``IllegalAction``."""
        if not state.now.chance:
            raise IllegalAction("it is not the turn of chance")
        return str(self._draw(state, seed))

    # -- looking -------------------------------------------------------------------------------------------------------
    def observe(self, state: Spiel, seat: int | None) -> bytes:
        """What a seat sees, in the library's words; None: what everybody sees."""
        answer = self._engine.about(Observe(state.game, state.now.key, seat), state.history)
        if not isinstance(answer, Text):
            raise EngineFailed("the engine does not say what is seen")
        return answer.text.encode()[: L.GAME_OBSERVATION_BYTES_MAX]

    def result(self, state: Spiel) -> Result | None:
        """Who has the highest return; what each has is the reason. Alone: more than nothing is a win."""
        if not state.now.over:
            return None
        returns = state.now.points
        reason = "returns " + " ".join(f"{value:g}" for value in returns)
        if len(returns) == 1:
            return Result((WIN if returns[0] > 0 else DRAW if returns[0] == 0 else LOSS,), reason)
        best = max(returns)
        shared = returns.count(best) > 1
        return Result(tuple((DRAW if shared else WIN) if value == best else LOSS for value in returns), reason)

    def claim(self, state: Spiel, seat: int, action: str) -> Result | None:
        """Nothing can be claimed."""
        return None

    def flag(self, state: Spiel, seat: int) -> Result:
        """Who runs out of time loses to all others."""
        return Result(tuple(LOSS if at == seat else WIN for at in range(len(state.chosen))), "time")


def offered(described: Described) -> bool:
    """Whether matches of a game can be replayed by anybody: not where the library throws dice of its own."""
    playable = described.plain and described.watchable and described.seats <= L.GAME_SEATS_MAX
    return playable and described.chance != "SAMPLED"


def spiel_games(engine: Engine) -> Mapping[str, AnyRules]:
    """All games of the engine that can be offered, by name. Raises ``EngineFailed`` where it is not installed."""
    answer = engine.ask(Describe())
    if not isinstance(answer, Games):
        raise EngineFailed("the engine does not say which games it has")
    return {rules.name: rules for rules in (SpielRules(game, engine) for game in answer.games if offered(game))}
