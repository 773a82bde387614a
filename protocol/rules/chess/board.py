"""Chess positions: what stands where.

Squares count from a1 = 0 to h8 = 63. A piece is its kind (1 pawn to 6 king), plus 8 for black; 0 is an empty square.
En passant is kept, and written, only where such a capture is legal: so two positions are the same in the sense of
article 9.2.3 exactly when their ``key`` is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.rules.base import RulesError

PAWN, KNIGHT, BISHOP, ROOK, QUEEN, KING = range(1, 7)
BLACK: Final = 8  # the bit of colour
LETTERS: Final = ".PNBRQK..pnbrqk"
PIECES: Final = {letter: code for code, letter in enumerate(LETTERS) if letter != "."}
CASTLES: Final = "KQkq"  # bits 1, 2, 4, 8
SQUARES: Final = tuple(f"{file}{rank}" for rank in "12345678" for file in "abcdefgh")
INDEX: Final = {name: square for square, name in enumerate(SQUARES)}
NOWHERE: Final = -1


class PositionError(RulesError):
    """A position that cannot be read, or cannot be."""


@dataclass(frozen=True, slots=True)
class Position:
    """A position. ``side``: 0 white, 8 black; ``castling``: bits KQkq; ``ep``: the square behind the pawn, or −1."""

    board: bytes
    side: int
    castling: int
    ep: int
    halfmoves: int  # since the last capture or pawn move
    number: int  # of the full move

    @property
    def key(self) -> bytes:
        """Equal for positions that are the same by article 9.2.3."""
        return self.board + bytes((self.side, self.castling, self.ep + 1))

    def king(self, side: int) -> int:
        """Where the king of a side is."""
        return self.board.index(KING | side)
