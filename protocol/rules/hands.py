"""Rock, paper, scissors: the smallest game in which both move at the same time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from protocol.rules.base import Allowed, IllegalAction, Params, Plain, Result, checked, two_player

SHAPES: Final = ("rock", "paper", "scissors")  # each is beaten by the next


@dataclass(frozen=True, slots=True)
class Hands:
    """What is shown in this round so far, the rounds won by each, how many are needed, and how many were played."""

    shown: tuple[str, str] = ("", "")
    won: tuple[int, int] = (0, 0)
    target: int = 2
    rounds: int = 0


class RockPaperScissors(Plain[Hands]):
    """An action is a shape; a round in which both show the same counts for nobody, and 50 rounds are a draw."""

    name = "hands"
    version = 1
    seats = (2, 2)
    undoable = False
    parameters: Allowed = {"target": range(2, 11)}  # noqa: RUF012 (a constant of the class)
    rounds_max: Final = 50

    def initial(self, params: Params, seats: int, seed: bytes) -> Hands:
        """Nothing is shown."""
        return Hands(target=int(checked(self, params, seats)["target"]))

    def turn(self, state: Hands) -> tuple[int, ...]:
        """Both, or the one who has not shown yet."""
        if self.result(state):
            return ()
        return tuple(seat for seat in (0, 1) if not state.shown[seat])

    def actions(self, state: Hands, seat: int) -> tuple[str, ...]:
        """Always all three."""
        return SHAPES if seat in self.turn(state) else ()

    def apply(self, state: Hands, seat: int, action: str) -> Hands:
        """Show a shape. Raises ``IllegalAction``."""
        if action not in self.actions(state, seat):
            raise IllegalAction(f"{action[:16]!r} is no shape, or you have shown yours")
        shown = (action, state.shown[1]) if seat == 0 else (state.shown[0], action)
        if not all(shown):
            return replace(state, shown=shown)
        one, other = (SHAPES.index(shape) for shape in shown)
        won = (state.won[0] + ((one - other) % 3 == 1), state.won[1] + ((other - one) % 3 == 1))
        return replace(state, shown=("", ""), won=won, rounds=state.rounds + 1)

    def observe(self, state: Hands, seat: int | None) -> bytes:
        """The score. What one has shown is seen when both have."""
        return f"{state.won[0]}-{state.won[1]} of {state.target}, round {state.rounds + 1}".encode()

    def result(self, state: Hands) -> Result | None:
        """Who has won enough rounds."""
        for seat in (0, 1):
            if state.won[seat] == state.target:
                return two_player(seat, f"{state.target} rounds won")
        return two_player(None, f"{self.rounds_max} rounds") if state.rounds == self.rounds_max else None
