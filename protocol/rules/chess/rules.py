"""Chess as a game of the seam: positions with what came before them, and all ways in which a game ends.

* Checkmate and stalemate (5.1.1, 5.2.1); dead positions by what is left on the board (5.2.2).
* Threefold repetition and 50 moves by claim (9.2, 9.3), with the move that completes it, or after it.
* Fivefold repetition and 75 moves without one (9.6); checkmate goes first.
* Out of time: a draw if the other side could not mate by any moves at all (6.9).

A position is *dead* here if too little is left: neither side can ever mate with bare kings, with one minor piece, or
with bishops that all stand on one colour; or if only the kings can ever move again (``walls``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from protocol.rules.base import Allowed, IllegalAction, Params, Plain, Result, checked, two_player
from protocol.rules.chess.board import BISHOP, BLACK, KNIGHT, PAWN, QUEEN, ROOK, Position
from protocol.rules.chess.fen import START, parse_fen, to_fen
from protocol.rules.chess.moves import in_check, legal_moves, make
from protocol.rules.chess.notation import parse_uci, to_uci
from protocol.rules.chess.walls import is_walled

_LIGHT: Final = tuple((square >> 3 ^ square) & 1 for square in range(64))

_MATING: Final = frozenset(kind | side for kind in (PAWN, ROOK, QUEEN) for side in (0, BLACK))


@dataclass(frozen=True, slots=True)
class ChessState:
    """A position, and the keys of all positions since the last capture or pawn move, this one the last."""

    position: Position
    keys: tuple[bytes, ...]

    @property
    def repetitions(self) -> int:
        """How often this position has been on the board."""
        return self.keys.count(self.keys[-1])


def state_of(position: Position) -> ChessState:
    """A game that begins with a position."""
    return ChessState(position, (position.key,))


def play(state: ChessState, move: int) -> ChessState:
    """The state after a legal move."""
    after = make(state.position, move)
    before = state.keys if after.halfmoves else ()
    return ChessState(after, (*before, after.key))


def can_mate(position: Position, side: int) -> bool:
    """Whether a side could mate with what is on the board, however badly the other one plays (6.9)."""
    own = [piece & 7 for piece in position.board if piece and piece & BLACK == side]
    if any(kind in (PAWN, ROOK, QUEEN) for kind in own):
        return True
    knights, bishops = own.count(KNIGHT), own.count(BISHOP)
    others = [piece & 7 for piece in position.board if piece and piece & BLACK != side]
    if knights:
        # A lone knight mates only a king that has a piece of its own in the way; a queen can always take or give way.
        return knights + bishops > 1 or any(kind in (PAWN, KNIGHT, BISHOP, ROOK) for kind in others)
    if not bishops:
        return False
    colours = {_LIGHT[square] for square, piece in enumerate(position.board) if piece & 7 == BISHOP}
    return len(colours) > 1 or PAWN in others or KNIGHT in others


def is_dead(position: Position) -> bool:
    """Whether too little is left for either side to mate: the game is over."""
    return _MATING.isdisjoint(position.board) and not can_mate(position, 0) and not can_mate(position, BLACK)


@lru_cache(maxsize=64)
def _legal(position: Position) -> tuple[int, ...]:
    """Legal moves; asked for several times of the same position in one step of a match."""
    return tuple(legal_moves(position))


@lru_cache(maxsize=64)
def _outcome(position: Position, repetitions: int) -> Result | None:
    """How a game has ended; asked for several times of the same position, too."""
    if not _legal(position):
        if in_check(position):
            return two_player(0 if position.side else 1, "checkmate")
        return two_player(None, "stalemate")
    if is_dead(position):
        return two_player(None, "dead position")
    if repetitions >= 5:
        return two_player(None, "fivefold repetition")
    return two_player(None, "75 moves") if position.halfmoves >= 150 else None


class Chess(Plain[ChessState]):
    """Actions are UCI moves. Seat 0 has white."""

    name = "chess"
    version = 1
    seats = (2, 2)
    parameters: Allowed = {}  # noqa: RUF012 (a constant of the class)

    def initial(self, params: Params, seats: int, seed: bytes) -> ChessState:
        """The starting position."""
        checked(self, params, seats)
        return state_of(parse_fen(START))

    def turn(self, state: ChessState) -> tuple[int, ...]:
        """White first."""
        return () if self.result(state) else (1 if state.position.side else 0,)

    def actions(self, state: ChessState, seat: int) -> tuple[str, ...]:
        """Every legal move."""
        return tuple(map(to_uci, _legal(state.position))) if seat in self.turn(state) else ()

    def apply(self, state: ChessState, seat: int, action: str) -> ChessState:
        """Make a move. Raises ``IllegalAction``."""
        if seat not in self.turn(state):
            raise IllegalAction("it is not your turn")
        return play(state, parse_uci(state.position, action, _legal(state.position)))

    def observe(self, state: ChessState, seat: int | None) -> bytes:
        """The position as FEN."""
        return to_fen(state.position).encode()

    def result(self, state: ChessState) -> Result | None:
        """What ends a game without anybody's word."""
        return _outcome(state.position, state.repetitions)

    def claim(self, state: ChessState, seat: int, action: str) -> Result | None:
        """Threefold repetition or 50 moves: now, or after the move that is announced; a wall of pawns between kings.

        A wall makes a position dead too (article 5.2.2), but people play on behind one, and games that they have played
        must replay: so it is claimed.
        """
        if action:
            try:
                state = self.apply(state, seat, action)
            except IllegalAction:
                return None
        if state.repetitions >= 3:
            return two_player(None, "threefold repetition")
        if is_walled(state.position):
            return two_player(None, "dead position")
        return two_player(None, "50 moves") if state.position.halfmoves >= 100 else None

    def flag(self, state: ChessState, seat: int) -> Result:
        """The other side wins, if it could mate at all."""
        if can_mate(state.position, 0 if seat else BLACK) and not is_walled(state.position):
            return two_player(1 - seat, "time")
        return two_player(None, "time, and too little left to mate")
