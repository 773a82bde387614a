"""Moves as people and programs write them: SAN (article C of the FIDE Laws, PGN 8.2.3) and UCI."""

from __future__ import annotations

import re
from typing import Final

from protocol.rules.base import IllegalAction
from protocol.rules.chess.board import INDEX, KING, LETTERS, PAWN, PIECES, SQUARES, Position
from protocol.rules.chess.moves import in_check, legal_moves, make

_UCI: Final = re.compile(r"([a-h][1-8])([a-h][1-8])([qrbn]?)")
_SAN: Final = re.compile(r"([KQRBN]?)([a-h]?)([1-8]?)[x:]?([a-h][1-8])(?:=?([QRBN]))?")
_MARKS: Final = re.compile(r"(?: ?e\.p\.)?[+#!?]*$")
_CASTLE: Final = {"O-O": 2, "O-O-O": -2}


def to_uci(move: int) -> str:
    """``e2e4``, ``e7e8q``; castling is the king's move, ``e1g1``."""
    promotion = LETTERS[move >> 12].lower() if move >> 12 else ""
    return SQUARES[move & 63] + SQUARES[move >> 6 & 63] + promotion


def parse_uci(position: Position, text: str, legal: tuple[int, ...] | None = None) -> int:
    """The legal move that a UCI text names; ``legal``: all of them, if they are known. Raises ``IllegalAction``."""
    found = _UCI.fullmatch(text)
    if found:
        origin, to, promotion = found.groups()
        move = INDEX[origin] | INDEX[to] << 6 | (PIECES[promotion.upper()] << 12 if promotion else 0)
        if move in (legal_moves(position) if legal is None else legal):
            return move
    raise IllegalAction(f"{text[:16]!r} is no legal move here")


def to_san(position: Position, move: int) -> str:
    """The move in short algebraic notation: as little of the origin as tells it from others, and ``+`` or ``#``."""
    origin, to = move & 63, move >> 6 & 63
    kind = position.board[origin] & 7
    if kind == KING and abs(origin - to) == 2:
        text = "O-O" if to > origin else "O-O-O"
    elif kind == PAWN:
        takes = f"{SQUARES[origin][0]}x" if (origin ^ to) & 7 else ""
        text = takes + SQUARES[to] + (f"={LETTERS[move >> 12]}" if move >> 12 else "")
    else:
        takes = "x" if position.board[to] else ""
        text = LETTERS[kind] + _distinct(position, move, kind) + takes + SQUARES[to]
    after = make(position, move)
    if in_check(after):
        text += "+" if legal_moves(after) else "#"
    return text


def _distinct(position: Position, move: int, kind: int) -> str:
    """File, rank or both of the origin, if another piece of the kind can go there too."""
    origin, to = move & 63, move >> 6 & 63
    if kind == KING:
        return ""
    rivals = [
        other & 63
        for other in legal_moves(position)
        if other >> 6 & 63 == to and other & 63 != origin and position.board[other & 63] & 7 == kind
    ]
    if not rivals:
        return ""
    name = SQUARES[origin]
    if all(rival & 7 != origin & 7 for rival in rivals):
        return name[0]
    return name[1] if all(rival >> 3 != origin >> 3 for rival in rivals) else name


def parse_san(position: Position, text: str) -> int:
    """The one legal move that a SAN text names; marks of check and praise, and ``0-0``, are taken too.

    Raises ``IllegalAction`` where no move or more than one fits.
    """
    bare = _MARKS.sub("", text.strip())
    legal = legal_moves(position)
    fits = _castlings(position, bare.replace("0", "O"), legal)
    found = _SAN.fullmatch(bare)
    if found:
        letter, file, rank, target, promotion = found.groups()
        kind = PIECES[letter] if letter else PAWN
        fits += [
            move
            for move in legal
            if move >> 6 & 63 == INDEX[target]
            and position.board[move & 63] & 7 == kind
            and (not file or SQUARES[move & 63][0] == file)
            and (not rank or SQUARES[move & 63][1] == rank)
            and move >> 12 == (PIECES[promotion] if promotion else 0)
            and not (kind == KING and abs((move & 63) - INDEX[target]) == 2)
        ]
    if len(fits) != 1:
        raise IllegalAction(f"{text[:16]!r} is {'more than one' if fits else 'no'} legal move here")
    return fits[0]


def _castlings(position: Position, bare: str, legal: list[int]) -> list[int]:
    step = _CASTLE.get(bare)
    if step is None:
        return []
    king = position.king(position.side)
    move = king | king + step << 6
    return [move] if move in legal else []
