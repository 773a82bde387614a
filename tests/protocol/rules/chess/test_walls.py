"""Walls of pawns: what is called dead is searched through to the end, and nobody can win there."""

from __future__ import annotations

import os
from random import Random

import pytest

from protocol.rules.base import Result
from protocol.rules.chess.board import BLACK, KING, NOWHERE, PAWN, Position
from protocol.rules.chess.fen import parse_fen
from protocol.rules.chess.moves import attacked, in_check, legal_moves, make
from protocol.rules.chess.rules import Chess, state_of
from protocol.rules.chess.walls import is_walled

WALL = "4k3/8/p1p1p1p1/PpPpPpPp/1P1P1P1P/8/8/4K3 w - - 0 1"
SEARCHED = 300 if os.environ.get("CHAPPE_LONG") == "1" else 12


def _can_change(position: Position) -> bool:
    """By exhaustive search: whether a pawn ever moves, anything is taken, or anybody is mated."""
    seen, to_do = {position.key}, [position]
    while to_do:
        here = to_do.pop()
        moves = legal_moves(here)
        if not moves and in_check(here):
            return True
        for move in moves:
            after = make(here, move)
            if not after.halfmoves:
                return True
            if after.key not in seen:
                seen.add(after.key)
                to_do.append(after)
    return False


@pytest.mark.parametrize(
    ("fen", "dead"),
    [
        (WALL, True),
        (WALL.replace(" w ", " b "), True),
        ("4k3/8/p1p1p1p1/PpPpPpP1/1P1P1P2/8/8/4K3 w - - 0 1", True),  # an open file that nobody can enter
        ("4k3/8/2p1p1p1/1pPpPpPp/1P1P1P1P/8/8/4K3 w - - 0 1", True),
        ("4k3/8/p1p1p1p1/PpPpPpPp/1P1P1P1P/8/8/4KN2 w - - 0 1", False),  # a knight jumps over walls
        ("4k3/8/p1p1p1p1/PpPpPpPp/1P1P1P2/7P/8/4K3 w - - 0 1", False),  # a pawn can advance
        ("4k3/8/p1p1p1p1/PpPpPpPp/1P1P1PPp/8/8/4K3 w - - 0 1", False),  # a pawn can take
        ("4k3/8/8/4p3/4P3/8/8/4K3 w - - 0 1", False),  # a king walks around
        ("8/8/p1p1p1p1/PpPpPpPp/1P1P1P1P/4k3/8/4K3 b - - 0 1", False),  # the king is behind the wall already
    ],
)
def test_walls(fen: str, dead: bool) -> None:
    position = parse_fen(fen)
    assert is_walled(position) is dead
    chess, state = Chess(), state_of(position)
    assert chess.result(state) is None  # people play on, until somebody claims it
    assert (chess.claim(state, 0, "") == Result((1, 1), "dead position")) is dead
    assert (chess.flag(state, 0).points == (1, 1)) is dead
    assert _can_change(position) is not dead


def test_en_passant_opens_a_wall() -> None:
    position = parse_fen(WALL)
    assert not is_walled(Position(position.board, position.side, 0, 40, 0, 1))


def test_what_is_called_dead_is_dead() -> None:
    """Random walls, some with gaps: all that are called dead are searched; both kinds must come up."""
    random = Random(7)
    dead = live = 0
    while dead < SEARCHED:
        position = _random(random)
        if position is None:
            continue
        if is_walled(position):
            dead += 1
            assert not _can_change(position), position
        else:
            live += 1
    assert live


def _random(random: Random) -> Position | None:
    """Blocked pairs of pawns on most files, some of them moved out of place, and two kings; None: it cannot be."""
    board = bytearray(64)
    row = random.randrange(1, 5)
    for file in range(8):
        row = min(5, max(1, row + random.choice((1, -1))))
        if random.random() < 0.1:
            continue
        at = row + (random.random() < 0.05)
        board[at * 8 + file], board[min(at + 1, 6) * 8 + file] = PAWN, PAWN | BLACK
    free = [square for square in range(64) if not board[square]]
    white, black = random.sample(free, 2)
    board[white], board[black] = KING, KING | BLACK
    side = random.choice((0, BLACK))
    if attacked(board, black if not side else white, side):  # whoever has just moved cannot be in check
        return None
    return Position(bytes(board), side, 0, NOWHERE, 1, 1)
