"""OpenSpiel's games behind the seam of all games, for the referee: ``openspiel:hex``.

A state is its history and what the engine says of it (``Facts``), so it is a value like every other. Actions are the
engine's numbers. Players do not have the engine: they check signatures, order and their own view, and the rest is the
referee's word until somebody who has the engine replays the log.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import msgspec

from extensions.games.openspiel_sandbox import EngineFailed, Sandbox
from protocol.rules.base import CHANCE, DRAW, LOSS, WIN, Allowed, IllegalAction, Params, Result, checked
from protocol.rules.deals import Stream, draw_key

if TYPE_CHECKING:
    from protocol.rules.base import AnyRules

PREFIX: Final = "openspiel:"
Step = int | tuple[int, ...]
#: What may be set, with every value: a parameter string is made of these, never of anybody's text.
ALLOWED: Final[dict[str, Allowed]] = {
    "breakthrough": {"rows": (8, *range(4, 13)), "columns": (8, *range(4, 13))},
    "dots_and_boxes": {"num_rows": (2, 3, 4, 5), "num_cols": (2, 3, 4, 5)},
    "go": {"board_size": (19, 13, 9)},
    "havannah": {"board_size": (8, *range(3, 11))},
    "hex": {"board_size": (11, *range(3, 20))},
    "kuhn_poker": {"players": range(2, 11)},
    "leduc_poker": {"players": range(2, 11)},
    "liars_dice": {"numdice": (1, 2, 3)},
    "mancala": {},
    "y": {"board_size": (19, *range(3, 19))},
}
_PLAYERS: Final = "players"
_PARTS: Final = 1 << 30  # chance is drawn in that many parts, as the probabilities are floats


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """What the engine says of a state; see ``openspiel_engine.Facts``."""

    turn: tuple[int, ...]
    legal: tuple[tuple[int, ...], ...]
    names: tuple[tuple[str, ...], ...]
    chance: tuple[tuple[int, float], ...]
    seen: tuple[str, ...]
    public: str
    returns: tuple[float, ...]


class About(msgspec.Struct, frozen=True, array_like=True):
    """What the engine says of a game; see ``openspiel_engine.About``."""

    name: str
    seats: int
    is_hidden: bool
    is_chance: bool
    is_playable: bool


@dataclass(frozen=True, slots=True)
class Spiel:
    """A state. ``chosen``: in a simultaneous turn, what is shown so far, by seat."""

    text: str
    history: tuple[Step, ...]
    facts: Facts
    chosen: tuple[int | None, ...]


class OpenSpiel:
    """One game."""

    version = 1

    def __init__(self, about: About, sandbox: Sandbox) -> None:
        self._about = about
        self._sandbox = sandbox
        self.name = PREFIX + about.name
        self.parameters: Allowed = ALLOWED.get(about.name, {})
        players = self.parameters.get(_PLAYERS)
        self.seats = (min(players), max(players)) if isinstance(players, range) else (about.seats, about.seats)
        self.hidden = about.is_hidden
        self.undoable = not (about.is_hidden or about.is_chance)

    def initial(self, params: Params, seats: int, seed: bytes) -> Spiel:
        """The first state. Raises ``ParameterError``, ``EngineFailed``."""
        full = checked(self, {_PLAYERS: seats, **params} if _PLAYERS in self.parameters else params, seats)
        given = {name: value for name, value in full.items() if name in params or name == _PLAYERS}
        if given.get(_PLAYERS, seats) != seats:
            raise IllegalAction(f"{self.name} for {given[_PLAYERS]} has {given[_PLAYERS]} seats, not {seats}")
        inner = ",".join(f"{name}={value}" for name, value in sorted(given.items()))
        text = f"{self._about.name}({inner})" if inner else self._about.name
        return Spiel(text, (), self._sandbox.ask(Facts, "start", text), (None,) * seats)

    def turn(self, state: Spiel) -> tuple[int, ...]:
        """Chance, one seat, or those of a simultaneous turn who have not shown yet."""
        return tuple(seat for seat in state.facts.turn if seat == CHANCE or state.chosen[seat] is None)

    def actions(self, state: Spiel, seat: int) -> tuple[str, ...]:
        """The engine's numbers."""
        return tuple(map(str, state.facts.legal[seat])) if seat in self.turn(state) and seat != CHANCE else ()

    def labels(self, state: Spiel, seat: int) -> dict[str, str]:
        """The same with the engine's words for them."""
        return dict(zip(self.actions(state, seat), state.facts.names[seat], strict=False))

    def apply(self, state: Spiel, seat: int, action: str) -> Spiel:
        """The next state. Raises ``IllegalAction``, ``EngineFailed``."""
        if seat not in self.turn(state):
            raise IllegalAction("it is not your turn")
        number = int(action) if action.isascii() and action.isdecimal() and len(action) < 16 else -1
        if seat == CHANCE:
            if number not in (outcome for outcome, _ in state.facts.chance):
                raise IllegalAction(f"chance cannot decide {action[:16]!r}")
            return self._stepped(state, number)
        if number not in state.facts.legal[seat]:
            raise IllegalAction(f"{action[:16]!r} is not legal here")
        if len(state.facts.turn) == 1:
            return self._stepped(state, number)
        chosen = tuple(number if at == seat else old for at, old in enumerate(state.chosen))
        if any(chosen[at] is None for at in state.facts.turn):
            return replace(state, chosen=chosen)
        return self._stepped(state, tuple(value or 0 for value in chosen))

    def _stepped(self, state: Spiel, step: Step) -> Spiel:
        facts = self._sandbox.ask(Facts, "step", state.text, state.history, step)
        return Spiel(state.text, (*state.history, step), facts, (None,) * len(state.chosen))

    def chance(self, state: Spiel, seed: bytes) -> str:
        """What the seed decides, by the engine's probabilities. Raises ``IllegalAction``."""
        if state.facts.turn != (CHANCE,):
            raise IllegalAction("chance has no turn here")
        drawn = Stream(draw_key(seed, f"openspiel {len(state.history)}")).below(_PARTS)
        passed = 0.0
        for outcome, probability in state.facts.chance:
            passed += probability * _PARTS
            if drawn < passed:
                return str(outcome)
        return str(state.facts.chance[-1][0])

    def observe(self, state: Spiel, seat: int | None) -> bytes:
        """The engine's words."""
        return (state.facts.public if seat is None else state.facts.seen[seat]).encode()

    def result(self, state: Spiel) -> Result | None:
        """Who got most."""
        if state.facts.turn:
            return None
        returns = state.facts.returns
        best = max(returns)
        if min(returns) == best:
            return Result((DRAW,) * len(returns), "equal")
        shared = returns.count(best) > 1
        points = tuple((DRAW if shared else WIN) if value == best else LOSS for value in returns)
        return Result(points, "score " + " : ".join(f"{value:g}" for value in returns))

    def claim(self, state: Spiel, seat: int, action: str) -> Result | None:
        """Nothing can be claimed."""
        return None

    def flag(self, state: Spiel, seat: int) -> Result:
        """Who runs out of time loses to all others."""
        return Result(tuple(LOSS if at == seat else WIN for at in range(len(state.chosen))), "time")


def is_there() -> bool:
    """Whether OpenSpiel is installed (the extra ``games``)."""
    return find_spec("pyspiel") is not None


def version() -> str:
    """Of the engine that is installed."""
    return metadata.version("open_spiel")


def games(sandbox: Sandbox) -> dict[str, AnyRules]:
    """All games that people can play against each other, by name. Blocks for a second. Raises ``EngineFailed``."""
    found: dict[str, AnyRules] = {}
    for name in sandbox.ask(list[str], "names"):
        about = sandbox.ask(About, "about", name)
        if about.is_playable and name not in UNPLAYABLE:
            found[PREFIX + name] = OpenSpiel(about, sandbox)
    return found


#: Games that load, but give no lists of actions, or draw by themselves what only the referee's seed may decide.
UNPLAYABLE: Final = frozenset({"crossword", "negotiation"})
__all__ = ["ALLOWED", "PREFIX", "UNPLAYABLE", "EngineFailed", "OpenSpiel", "Spiel", "games", "is_there", "version"]
