"""Go by area: positional superko, no suicide, two passes end it, and what stands on the board then is alive.

So captures are played out before passing, as programs do it, and nobody has to agree on anything. Komi is given in
points; with a handicap black's stones stand already, and white begins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from protocol.rules.base import Allowed, IllegalAction, ParameterError, Params, Plain, Result, checked, two_player
from protocol.rules.go.board import BLACK, EMPTY, WHITE, area, groups, handicap, name_of, neighbours, placed, point_of

PASS: Final = "pass"
MARKS: Final = ".xo"
_KOMI: Final = ("7.5", "0.5", "5.5", "6.5", *(str(points) for points in range(10)), "3.75")


@dataclass(frozen=True, slots=True)
class Go:
    """A position and all boards before it. ``mover``: 0 black, 1 white."""

    size: int
    komi_quarters: int
    board: bytes
    mover: int = 0
    passes: int = 0
    captured: tuple[int, int] = (0, 0)  # stones that black and white have taken
    before: frozenset[bytes] = frozenset()


class GoRules(Plain[Go]):
    """Seat 0 has black. An action is a point, ``d4`` or ``q16`` (there is no column i), or ``pass``."""

    name = "go"
    version = 1
    seats = (2, 2)
    parameters: Allowed = {  # noqa: RUF012 (a constant of the class)
        "size": (19, 13, 9, 7, 5), "komi": _KOMI, "handicap": range(10)
    }  # fmt: skip

    def initial(self, params: Params, seats: int, seed: bytes) -> Go:
        """An empty board, or the stones of the handicap. Raises ``ParameterError``."""
        full = checked(self, params, seats)
        size, stones = int(full["size"]), int(full["handicap"])
        board = bytearray(size * size)
        if stones > 1:
            try:
                for point in handicap(size, stones):
                    board[point] = BLACK
            except ValueError as error:
                raise ParameterError(str(error)) from None
        first = bytes(board)
        return Go(size, round(float(full["komi"]) * 4), first, 1 if stones > 1 else 0, before=frozenset((first,)))

    def turn(self, state: Go) -> tuple[int, ...]:
        """In turns, until both have passed."""
        return () if state.passes > 1 else (state.mover,)

    def actions(self, state: Go, seat: int) -> tuple[str, ...]:
        """Every point where a stone may be put, and passing."""
        if seat not in self.turn(state):
            return ()
        colour, around, known = BLACK + seat, neighbours(state.size), groups(state.board, state.size)
        found = []
        for point, stone in enumerate(state.board):
            if stone != EMPTY:
                continue
            beside = [(state.board[other], other) for other in around[point]]
            takes = [other for mark, other in beside if mark == 3 - colour and len(known[other].liberties) == 1]
            if takes:
                after = placed(state.board, state.size, point, colour)
            elif any(mark == EMPTY or (mark == colour and len(known[other].liberties) > 1) for mark, other in beside):
                after = state.board[:point] + bytes((colour,)) + state.board[point + 1 :]
            else:
                continue
            if after is not None and after not in state.before:
                found.append(name_of(point, state.size))
        return (*found, PASS)

    def apply(self, state: Go, seat: int, action: str) -> Go:
        """Put a stone, or pass. Raises ``IllegalAction``."""
        if seat not in self.turn(state):
            raise IllegalAction("it is not your turn")
        if action == PASS:
            return replace(state, mover=1 - seat, passes=state.passes + 1)
        point = point_of(action, state.size)
        if point is None:
            raise IllegalAction(f"{action[:16]!r} is no point of this board; write d4, or pass")
        after = placed(state.board, state.size, point, BLACK + seat)
        if after is None:
            raise IllegalAction(f"{action} is taken, or your stones there would have no liberty")
        if after in state.before:
            raise IllegalAction(f"{action} would bring back a position that was there before (superko)")
        other = WHITE - seat
        gone = state.board.count(other) - after.count(other)
        captured = (state.captured[0] + gone * (seat == 0), state.captured[1] + gone * (seat == 1))
        return replace(
            state, board=after, mover=1 - seat, passes=0, captured=captured, before=state.before | {after}
        )  # fmt: skip

    def observe(self, state: Go, seat: int | None) -> bytes:
        """The rows from the top, then whose turn it is, and what each has taken."""
        letters = "".join(MARKS[stone] for stone in state.board)
        rows = [letters[at : at + state.size] for at in range(0, len(letters), state.size)]
        turn = "-" if state.passes > 1 else MARKS[1 + state.mover]
        return "\n".join([*rows, f"{turn} {state.captured[0]} {state.captured[1]} {state.passes}"]).encode()

    def result(self, state: Go) -> Result | None:
        """After two passes: the area of black against that of white with komi."""
        if state.passes < 2:
            return None
        black, white = area(state.board, state.size)
        margin = 4 * (black - white) - state.komi_quarters
        reason = f"{'black' if margin > 0 else 'white'} by {abs(margin) / 4:g}" if margin else "equal areas"
        return two_player(None if margin == 0 else 0 if margin > 0 else 1, reason)
