"""Nim: take any number of matches from one heap; who takes the last one wins (or, if so agreed, loses)."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.rules.base import Allowed, IllegalAction, Params, Plain, Result, checked, two_player


@dataclass(frozen=True, slots=True)
class Heaps:
    """What is left, who moves, and whether who takes the last one loses."""

    heaps: tuple[int, ...]
    mover: int = 0
    misere: bool = False


class Nim(Plain[Heaps]):
    """An action is ``heap-count``: ``0-2`` takes two from the first heap."""

    name = "nim"
    version = 1
    seats = (2, 2)
    parameters: Allowed = {"heaps": range(3, 8), "misere": range(2)}  # noqa: RUF012 (a constant of the class)

    def initial(self, params: Params, seats: int, seed: bytes) -> Heaps:
        """Heaps of 1, 3, 5, 7 …: as many as the parameter says."""
        full = checked(self, params, seats)
        return Heaps(tuple(1 + 2 * heap for heap in range(int(full["heaps"]))), 0, bool(full["misere"]))

    def turn(self, state: Heaps) -> tuple[int, ...]:
        """In turns."""
        return (state.mover,) if any(state.heaps) else ()

    def actions(self, state: Heaps, seat: int) -> tuple[str, ...]:
        """Any number from any heap."""
        if seat not in self.turn(state):
            return ()
        return tuple(f"{heap}-{count}" for heap, size in enumerate(state.heaps) for count in range(1, size + 1))

    def apply(self, state: Heaps, seat: int, action: str) -> Heaps:
        """Take matches. Raises ``IllegalAction``."""
        if action not in self.actions(state, seat):
            raise IllegalAction(f"{action[:16]!r} takes what is not there, or it is not your turn")
        heap, count = (int(part) for part in action.split("-"))
        left = (*state.heaps[:heap], state.heaps[heap] - count, *state.heaps[heap + 1 :])
        return Heaps(left, 1 - state.mover, state.misere)

    def observe(self, state: Heaps, seat: int | None) -> bytes:
        """The heaps, and whose turn it is."""
        return f"{' '.join(map(str, state.heaps))} / {state.mover}".encode()

    def result(self, state: Heaps) -> Result | None:
        """Who took the last one was not the mover."""
        if any(state.heaps):
            return None
        return two_player(state.mover if state.misere else 1 - state.mover, "the last match is taken")
