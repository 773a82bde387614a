"""Tic-tac-toe and connect four: who has a row first wins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.rules.base import Allowed, IllegalAction, Params, Plain, Result, checked, two_player

EMPTY: Final = "."
MARKS: Final = "xo"


@dataclass(frozen=True, slots=True)
class Board:
    """The cells row by row from the top left, who moves next, and who has a row."""

    cells: str
    mover: int = 0
    winner: int | None = None

    @property
    def is_over(self) -> bool:
        """Somebody has a row, or no cell is free."""
        return self.winner is not None or EMPTY not in self.cells


class _Lines(Plain[Board]):
    name: str
    width: int
    height: int
    row: int
    version = 1
    seats = (2, 2)
    parameters: Allowed = {}  # noqa: RUF012 (a constant of the class)

    def initial(self, params: Params, seats: int, seed: bytes) -> Board:
        """An empty board."""
        checked(self, params, seats)
        return Board(EMPTY * (self.width * self.height))

    def turn(self, state: Board) -> tuple[int, ...]:
        """In turns, ``x`` first."""
        return () if state.is_over else (state.mover,)

    def observe(self, state: Board, seat: int | None) -> bytes:
        """The board as text, and whose turn it is."""
        rows = [state.cells[at : at + self.width] for at in range(0, len(state.cells), self.width)]
        return "\n".join([*rows, "-" if state.is_over else MARKS[state.mover]]).encode()

    def result(self, state: Board) -> Result | None:
        """A row wins; a full board is a draw."""
        if state.winner is not None:
            return two_player(state.winner, f"{self.row} in a row")
        return two_player(None, "the board is full") if state.is_over else None

    def _put(self, state: Board, cell: int) -> Board:
        cells = state.cells[:cell] + MARKS[state.mover] + state.cells[cell + 1 :]
        won = any(self._count(cells, cell, dx, dy) >= self.row for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1)))
        return Board(cells, 1 - state.mover, state.mover if won else None)

    def _count(self, cells: str, cell: int, dx: int, dy: int) -> int:
        """How many of the same mark lie in a line through a cell."""
        total = 1
        for sign in (1, -1):
            y, x = divmod(cell, self.width)
            while 0 <= (x := x + sign * dx) < self.width and 0 <= (y := y + sign * dy) < self.height:
                if cells[y * self.width + x] != cells[cell]:
                    break
                total += 1
        return total


class TicTacToe(_Lines):
    """Three in a row; an action is the number of a cell, ``0`` at the top left to ``8``."""

    name = "tictactoe"
    width = height = row = 3

    def actions(self, state: Board, seat: int) -> tuple[str, ...]:
        """Every free cell."""
        if seat not in self.turn(state):
            return ()
        return tuple(str(cell) for cell, mark in enumerate(state.cells) if mark == EMPTY)

    def apply(self, state: Board, seat: int, action: str) -> Board:
        """Put a mark. Raises ``IllegalAction``."""
        if action not in self.actions(state, seat):
            raise IllegalAction(f"{action[:16]!r} is no free cell, or it is not your turn")
        return self._put(state, int(action))


class ConnectFour(_Lines):
    """Four in a row on seven columns of six; an action is a column, ``0`` to ``6``."""

    name = "connectfour"
    width, height, row = 7, 6, 4

    def actions(self, state: Board, seat: int) -> tuple[str, ...]:
        """Every column with room."""
        if seat not in self.turn(state):
            return ()
        return tuple(str(column) for column in range(self.width) if state.cells[column] == EMPTY)

    def apply(self, state: Board, seat: int, action: str) -> Board:
        """Drop a disc. Raises ``IllegalAction``."""
        if action not in self.actions(state, seat):
            raise IllegalAction(f"{action[:16]!r} is no column with room, or it is not your turn")
        column = int(action)
        free = [cell for cell in range(column, len(state.cells), self.width) if state.cells[cell] == EMPTY]
        return self._put(state, free[-1])
