"""FEN: chess positions as text, read strictly."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from protocol.rules.chess.board import (
    BLACK,
    CASTLES,
    INDEX,
    KING,
    LETTERS,
    NOWHERE,
    PAWN,
    PIECES,
    ROOK,
    SQUARES,
    Position,
    PositionError,
)
from protocol.rules.chess.moves import attacked, is_ep_legal

START: Final = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1"
_COUNTER_MAX: Final = 9999
_TO_LETTERS: Final = LETTERS.encode().ljust(256, b"?")
_GAPS: Final = re.compile(r"\.+")


def parse_fen(text: str) -> Position:
    """Read a FEN. Raises ``PositionError`` for what is no position that could be played on."""
    fields = text.split()
    if len(fields) not in (4, 6) or fields[1] not in ("w", "b"):
        raise PositionError("a FEN has six fields: pieces, w or b, castling, en passant, half moves, number")
    board = _placement(fields[0])
    side = 0 if fields[1] == "w" else BLACK
    halfmoves, number = _counters(fields[4:])
    position = Position(board, side, _castling(fields[2], board), NOWHERE, halfmoves, number)
    if attacked(board, position.king(side ^ BLACK), side):
        raise PositionError("the side that is not to move is in check")
    ep = _ep_square(fields[3], position)
    return replace(position, ep=ep) if ep != NOWHERE and is_ep_legal(position, ep) else position


def _placement(text: str) -> bytes:
    rows = text.split("/")
    board = bytearray()
    for row in reversed(rows):
        cells = bytearray()
        for letter in row:
            if letter in "12345678":
                cells += bytes(int(letter))
            elif letter in PIECES:
                cells.append(PIECES[letter])
            else:
                raise PositionError(f"{letter!r} is no piece")
        if len(cells) != 8:
            raise PositionError(f"a row has {len(cells)} squares")
        board += cells
    if len(rows) != 8:
        raise PositionError(f"a board has 8 rows, not {len(rows)}")
    if board.count(KING) != 1 or board.count(KING | BLACK) != 1:
        raise PositionError("each side has one king")
    if any(piece & 7 == PAWN for piece in (*board[:8], *board[56:])):
        raise PositionError("a pawn stands on the first or the last row")
    return bytes(board)


def _castling(text: str, board: bytes) -> int:
    if text == "-":
        return 0
    bits = 0
    homes = ((4, 7), (4, 0), (60, 63), (60, 56))
    for letter in text:
        place = CASTLES.find(letter)
        if place < 0 or bits >> place & 1:
            raise PositionError(f"{text!r} are no rights to castle")
        king, rook = homes[place]
        side = BLACK if place > 1 else 0
        if board[king] != KING | side or board[rook] != ROOK | side:
            raise PositionError(f"{letter} cannot castle: king or rook has moved")
        bits |= 1 << place
    return bits


def _counters(fields: list[str]) -> tuple[int, int]:
    if not fields:
        return 0, 1
    if not all(field.isascii() and field.isdigit() and len(field) <= 4 for field in fields):
        raise PositionError(f"half moves and number are numbers up to {_COUNTER_MAX}")
    return int(fields[0]), max(1, int(fields[1]))


def _ep_square(text: str, position: Position) -> int:
    """The square of the fourth field, if a pawn can just have passed it."""
    if text == "-":
        return NOWHERE
    square = INDEX.get(text, NOWHERE)
    row, forward = (5, 8) if position.side == 0 else (2, -8)
    if (
        square == NOWHERE or square >> 3 != row
        or position.board[square - forward] != PAWN | position.side ^ BLACK
        or position.board[square] or position.board[square + forward]
    ):  # fmt: skip
        raise PositionError(f"no pawn has just passed {text!r}")
    return square


def _gap(found: re.Match[str]) -> str:
    return str(len(found.group()))


def to_fen(position: Position) -> str:
    """The FEN of a position."""
    letters = position.board.translate(_TO_LETTERS).decode()
    rows = _GAPS.sub(_gap, "/".join(letters[start : start + 8] for start in range(56, -1, -8)))
    castling = "".join(letter for bit, letter in enumerate(CASTLES) if position.castling >> bit & 1) or "-"
    ep = "-" if position.ep == NOWHERE else SQUARES[position.ep]
    side = "b" if position.side else "w"
    return f"{rows} {side} {castling} {ep} {position.halfmoves} {position.number}"
