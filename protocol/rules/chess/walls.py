"""Walls of pawns that nobody can ever pass: a test that never calls a position dead in which somebody could still win.

With nothing but kings and pawns on the board, all of the following hold for good once they hold:

1. Each pawn has a pawn straight ahead, so none can advance.
2. No pawn attacks a pawn of the other colour, so none can take.
3. No king can get to a pawn of the other colour that is not protected by a pawn. A king is given every square that the
   pawns leave it, as if the other king were not there: it can go nowhere else.

Then only kings move, and a king gives no check. The reverse is not claimed: other dead positions exist.
"""

from __future__ import annotations

from typing import Final

from protocol.rules.chess.board import BISHOP, BLACK, KNIGHT, NOWHERE, PAWN, QUEEN, ROOK, Position
from protocol.rules.chess.moves import STEPS, TAKES

_OTHERS: Final = frozenset(kind | side for kind in (KNIGHT, BISHOP, ROOK, QUEEN) for side in (0, BLACK))


def is_walled(position: Position) -> bool:
    """Whether only kings can ever move again, by the three rules above."""
    board = position.board
    if not _OTHERS.isdisjoint(board) or position.ep != NOWHERE:
        return False
    guarded = {0: set[int](), BLACK: set[int]()}  # by side: squares that its pawns attack
    for square, piece in enumerate(board):
        if piece & 7 != PAWN:
            continue
        side = piece & BLACK
        if board[square + (-8 if side else 8)] & 7 != PAWN:
            return False
        takes = TAKES[1 if side else 0][square]
        if any(board[to] == PAWN | side ^ BLACK for to in takes):
            return False
        guarded[side].update(takes)
    return all(_is_kept_out(board, position.king(side), side, guarded[side ^ BLACK]) for side in (0, BLACK))


def _is_kept_out(board: bytes, king: int, side: int, guarded: set[int]) -> bool:
    """Whether a king can take no pawn, wherever it goes. ``guarded``: what the pawns of the other side attack."""
    own, other = PAWN | side, PAWN | side ^ BLACK
    seen, to_do = {king}, [king]
    while to_do:
        for square in STEPS[to_do.pop()]:
            if square in seen or square in guarded or board[square] == own:
                continue
            if board[square] == other:
                return False
            seen.add(square)
            to_do.append(square)
    return True
