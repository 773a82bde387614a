"""Boards as lines of plain text, from what a seat sees. Who sits second sees the board from the other side.

The last move stands in brackets. Every game has a board; one that is not known here is shown as its rules write it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from clients.games.following import Position
from protocol.match import outcome_text
from protocol.rules.go.board import LETTERS, point_of

_FILES: Final = "abcdefgh"
_SUITS: Final = {"s": "♠", "h": "♥", "d": "♦", "c": "♣"}


def board(position: Position) -> list[str]:
    """The board, from the side of the position's seat."""
    draw = _BOARDS.get(position.game, _plain)
    try:
        return draw(position)
    except (ValueError, IndexError):  # an observation of a later version
        return _plain(position)


def clock_text(ms: int | None) -> str:
    """``4:05``; below ten seconds with tenths; nothing without a clock."""
    if ms is None:
        return ""
    if ms < 10_000:
        return f"0:{ms / 1000:04.1f}"
    seconds = ms // 1000
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def status(position: Position, names: list[str]) -> str:
    """Players, clocks, whose turn it is, what is asked for, how it ended: one line."""
    parts = []
    for seat, name in enumerate(names):
        clock = clock_text(position.clocks_ms[seat]) if seat < len(position.clocks_ms) else ""
        turn = "▸" if seat in position.turn else " "
        parts.append(f"{turn}{name}{f' {clock}' if clock else ''}")
    line = "   ".join(parts)
    for by, what in ((position.draw_by, "offers a draw"), (position.takeback_by, "asks to take a move back")):
        line += f"   ({names[by]} {what})" if by is not None else ""
    return line + (f"   {outcome_text(position.outcome)}" if position.outcome else "")


def _plain(position: Position) -> list[str]:
    return position.seen.decode(errors="replace").splitlines()


# -- squares -----------------------------------------------------------------------------------------------------------
def _cell(mark: str, *, touched: bool) -> str:
    return f"[{mark}]" if touched else f" {mark} "


def _chess(position: Position) -> list[str]:
    ranks = position.seen.decode().split()[0].split("/")
    last = position.last.action if position.last else ""
    touched = {last[:2], last[2:4]}
    rows = []
    for number, rank in zip(range(8, 0, -1), ranks, strict=True):
        marks = "".join("·" * int(mark) if mark.isdigit() else mark for mark in rank)
        cells = [_cell(mark, touched=f"{file}{number}" in touched) for file, mark in zip(_FILES, marks, strict=True)]
        rows.append((str(number), cells))
    files = list(_FILES)
    if position.seat == 1:
        rows = [(number, cells[::-1]) for number, cells in rows[::-1]]
        files.reverse()
    return [*(f"{number} {''.join(cells)}" for number, cells in rows), "  " + "".join(f" {file} " for file in files)]


def _tictactoe(position: Position) -> list[str]:
    rows = position.seen.decode().splitlines()[:3]
    last = position.last.action if position.last else ""
    lines = []
    for y, row in enumerate(rows):
        cells = [(str(3 * y + x) if mark == "." else mark.upper(), 3 * y + x) for x, mark in enumerate(row)]
        lines.append("".join(_cell(mark, touched=str(cell) == last) for mark, cell in cells))
    return lines


def _connect_four(position: Position) -> list[str]:
    rows = position.seen.decode().splitlines()[:6]
    last = position.last.action if position.last else ""
    top = next((y for y, row in enumerate(rows) if last and row[int(last)] != "."), None)
    lines = [
        "".join(
            _cell("·" if mark == "." else mark.upper(), touched=(y == top and str(x) == last))
            for x, mark in enumerate(row)
        )
        for y, row in enumerate(rows)
    ]
    return [*lines, "".join(f" {x} " for x in range(7))]


def _go(position: Position) -> list[str]:
    *rows, state = position.seen.decode().splitlines()
    size = len(rows)
    last = point_of(position.last.action, size) if position.last else None
    marks = {".": "·", "x": "X", "o": "O"}
    lines = []
    for y, row in enumerate(rows):
        cells = "".join(_cell(marks[mark], touched=y * size + x == last) for x, mark in enumerate(row))
        lines.append(f"{size - y:>2} {cells}")
    _turn, black, white, passes = state.split()
    files = "".join(f" {letter} " for letter in LETTERS[:size])
    passed = f"   passes {passes}" if passes != "0" else ""
    return [*lines, f"   {files}", f"taken by X {black}, by O {white}{passed}"]


# -- backgammon --------------------------------------------------------------------------------------------------------
def _backgammon(position: Position) -> list[str]:
    """Points from the own side: 13 to 24 above, 12 to 1 below; own checkers are X, the other's O."""
    points_text, rest, dice, _ = (part.strip() for part in position.seen.decode().split("/"))
    points = [int(value) for value in points_text.split()]
    bar_white, bar_black, off_white, off_black = (int(word) for word in rest.split() if word.isdigit())
    bars, offs = (bar_white, bar_black), (off_white, off_black)
    own = 0 if position.seat != 1 else 1
    if own:
        points = [-value for value in reversed(points)]

    def cell(value: int, depth: int) -> str:
        mark = "X" if value > 0 else "O"
        if abs(value) > 5 and depth == 4:
            return f"{abs(value):>3}"
        return f"  {mark}" if abs(value) > depth else "  ·"

    above, below = points[12:], points[:12][::-1]
    lines = ["".join(f"{point:>3}" for point in range(13, 25))]
    lines += ["".join(cell(value, depth) for value in above) for depth in range(5)]
    lines += [""]
    lines += ["".join(cell(value, depth) for value in below) for depth in range(4, -1, -1)]
    lines += ["".join(f"{point:>3}" for point in range(12, 0, -1))]
    state = f"bar X{bars[own]} O{bars[1 - own]}   off X{offs[own]} O{offs[1 - own]}   dice {dice}"
    return [*lines, state]


# -- cards -------------------------------------------------------------------------------------------------------------
def card(text: str) -> str:
    """``Ts`` as ``10♠``."""
    return f"{'10' if text[0] == 'T' else text[0]}{_SUITS.get(text[1], text[1])}"


def _eights(position: Position) -> list[str]:
    top, sizes, stock, _turn, own = (part.strip() for part in position.seen.decode().split("/"))
    lies, suit = top.split()
    named = "" if lies[1] == suit else f", {_SUITS[suit]} counts"
    hands = "   ".join(f"player {seat + 1}: {size}" for seat, size in enumerate(sizes.split()))
    lines = [f"on top {card(lies)}{named}   stock {stock}", hands]
    return [*lines, "your hand  " + " ".join(card(one) for one in own.split())] if position.seat >= 0 else lines


def _nim(position: Position) -> list[str]:
    heaps = position.seen.decode().split("/")[0].split()
    return [f"{heap}: {'|' * int(size)}" for heap, size in enumerate(heaps)]


_BOARDS: Final[dict[str, Callable[[Position], list[str]]]] = {
    "chess": _chess, "tictactoe": _tictactoe, "connectfour": _connect_four, "backgammon": _backgammon,
    "eights": _eights, "nim": _nim, "go": _go,
}  # fmt: skip
