"""The one seam of all games: states are values, actions are short strings, nothing is decided anywhere else.

Seats count from 0. ``turn`` names who may act: one seat, several (a simultaneous turn, played by commit and reveal),
``(CHANCE,)`` (the referee draws from the committed seed), or none: the game is over. Points are half points as players
know them: 2 for a win, 1 for a draw, 0 for a loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from protocol.errors import ChappeError

S = TypeVar("S")
Value = int | str
Params = Mapping[str, Value]
Allowed = Mapping[str, tuple[Value, ...] | range]
CHANCE: Final = -1
WIN, DRAW, LOSS = 2, 1, 0


class RulesError(ChappeError):
    """Something that the rules of a game do not allow; the text says what."""


class IllegalAction(RulesError):
    """An action that is not legal in this state."""


class ParameterError(RulesError):
    """Parameters of a game that are not on its list."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a game ended: points by seat, and the term of the rules for it (``checkmate``, ``five in a row``)."""

    points: tuple[int, ...]
    reason: str


class Described(Protocol):
    """What a game says of itself before it is played."""

    @property
    def name(self) -> str:
        """The name in offers and transcripts."""
        ...

    @property
    def seats(self) -> tuple[int, int]:
        """The least and the most players."""
        ...

    @property
    def parameters(self) -> Allowed:
        """What may be set, with every value that it may have; the first is the default."""
        ...


class Rules(Described, Protocol[S]):
    """What a game must be able to say. Every method is pure; states are immutable and comparable."""

    @property
    def version(self) -> int:
        """Goes up whenever the same actions may lead to another result: old transcripts name the version they mean."""
        ...

    @property
    def hidden(self) -> bool:
        """Whether players see different things: the state then depends on the seed from the start."""
        ...

    @property
    def undoable(self) -> bool:
        """Whether a move can be taken back: nobody can unsee a card or a die."""
        ...

    def initial(self, params: Params, seats: int, seed: bytes) -> S:
        """The first state. ``seed`` (32 bytes) matters in games of chance alone. Raises ``ParameterError``."""
        ...

    def turn(self, state: S) -> tuple[int, ...]:
        """Who may act."""
        ...

    def actions(self, state: S, seat: int) -> tuple[str, ...]:
        """The legal actions of a seat, each in the one spelling that ``apply`` takes; empty if it may not act."""
        ...

    def apply(self, state: S, seat: int, action: str) -> S:
        """The state after an action. Raises ``IllegalAction``."""
        ...

    def chance(self, state: S, seed: bytes) -> str:
        """The action of ``CHANCE`` that the seed decides, when it is its turn. Raises ``IllegalAction``."""
        ...

    def observe(self, state: S, seat: int | None) -> bytes:
        """What a seat sees of the state, as UTF-8 text; None: what everybody may see."""
        ...

    def result(self, state: S) -> Result | None:
        """How it ended; None while it goes on."""
        ...

    def claim(self, state: S, seat: int, action: str) -> Result | None:
        """What a claim gives, with the action that the player announces (or ``""``); None: it is not justified."""
        ...

    def flag(self, state: S, seat: int) -> Result:
        """How it ends if this seat runs out of time."""
        ...


AnyRules = Rules[Any]


class Plain(Generic[S]):
    """What holds for most games: nothing is hidden, nothing is claimed, no chance, who runs out of time loses."""

    hidden = False
    undoable = True

    def chance(self, state: S, seed: bytes) -> str:
        """There is none."""
        raise IllegalAction("there is no chance in this game")

    def claim(self, state: S, seat: int, action: str) -> Result | None:
        """Nothing can be claimed."""
        return None

    def flag(self, state: S, seat: int) -> Result:
        """Who runs out of time loses to the other."""
        return two_player(1 - seat, "time")


def two_player(winner: int | None, reason: str) -> Result:
    """A result for two: who won, or None for a draw."""
    if winner is None:
        return Result((DRAW, DRAW), reason)
    return Result((WIN, LOSS) if winner == 0 else (LOSS, WIN), reason)


def checked(rules: Described, params: Params, seats: int) -> dict[str, Value]:
    """Every parameter of a game, the given ones checked against its list. Raises ``ParameterError``."""
    low, high = rules.seats
    if not low <= seats <= high:
        raise ParameterError(f"{rules.name} is for {low if low == high else f'{low} to {high}'} players, not {seats}")
    for name in params:
        if name not in rules.parameters:
            known = ", ".join(rules.parameters) or "none"
            raise ParameterError(f"{rules.name} has no parameter {name[:32]!r}; it has: {known}")
    full: dict[str, Value] = {}
    for name, allowed in rules.parameters.items():
        value = params.get(name, allowed[0])
        if isinstance(value, bool) or value not in allowed:
            raise ParameterError(f"{name} of {rules.name} cannot be {str(value)[:32]!r}")
        full[name] = value
    return full
