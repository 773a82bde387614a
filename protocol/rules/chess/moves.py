"""Legal moves of chess, without trying them: from the king out, what checks and what is pinned; then all the others.

A move is an integer: origin, destination × 64, promotion × 4096. Bit boards are integers too: bit n is square n.
"""

from __future__ import annotations

from typing import Final

from protocol.rules.chess.board import BISHOP, BLACK, KING, KNIGHT, NOWHERE, PAWN, QUEEN, ROOK, Position

EVERYWHERE: Final = (1 << 64) - 1
PROMOTIONS: Final = (QUEEN, ROOK, BISHOP, KNIGHT)
_STRAIGHT: Final = ((1, 0), (-1, 0), (0, 1), (0, -1))
_DIAGONAL: Final = ((1, 1), (1, -1), (-1, 1), (-1, -1))
_JUMPS: Final = ((1, 2), (2, 1), (-1, 2), (-2, 1), (1, -2), (2, -1), (-1, -2), (-2, -1))


def _ray(square: int, dx: int, dy: int) -> tuple[int, ...]:
    x, y, found = square & 7, square >> 3, []
    while 0 <= (x := x + dx) < 8 and 0 <= (y := y + dy) < 8:
        found.append(y * 8 + x)
    return tuple(found)


def _steps(square: int, steps: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    x, y = square & 7, square >> 3
    return tuple((y + dy) * 8 + x + dx for dx, dy in steps if 0 <= x + dx < 8 and 0 <= y + dy < 8)


Rays = tuple[tuple[tuple[int, ...], ...], ...]
STRAIGHT: Final[Rays] = tuple(tuple(filter(None, (_ray(s, *step) for step in _STRAIGHT))) for s in range(64))
DIAGONAL: Final[Rays] = tuple(tuple(filter(None, (_ray(s, *step) for step in _DIAGONAL))) for s in range(64))
_ALL: Final[Rays] = tuple(STRAIGHT[s] + DIAGONAL[s] for s in range(64))
JUMPS: Final = tuple(_steps(s, _JUMPS) for s in range(64))
STEPS: Final = tuple(_steps(s, _STRAIGHT + _DIAGONAL) for s in range(64))
#: Where a pawn of a side (0 white, 1 black) on a square takes.
TAKES: Final = tuple(tuple(_steps(s, ((-1, dy), (1, dy))) for s in range(64)) for dy in (1, -1))
_SLIDES: Final[dict[int, Rays]] = {BISHOP: DIAGONAL, ROOK: STRAIGHT, QUEEN: _ALL}
#: Rights to castle that go when something leaves or enters a square.
_RIGHTS: Final = {0: 2, 4: 3, 7: 1, 56: 8, 60: 12, 63: 4}
#: (bit, must be empty, must not be attacked, king from, king to) by side.
_CASTLES: Final = (
    ((1, (5, 6), (5, 6), 4, 6), (2, (1, 2, 3), (2, 3), 4, 2)),
    ((4, (61, 62), (61, 62), 60, 62), (8, (57, 58, 59), (58, 59), 60, 58)),
)


def attacked(board: bytes | bytearray, square: int, by: int) -> bool:
    """Whether a side (0 white, 8 black) attacks a square."""
    knight, king, queen = KNIGHT | by, KING | by, QUEEN | by
    for origin in JUMPS[square]:
        if board[origin] == knight:
            return True
    pawn = PAWN | by
    for origin in TAKES[0 if by else 1][square]:
        if board[origin] == pawn:
            return True
    for rays, slider in ((STRAIGHT, ROOK | by), (DIAGONAL, BISHOP | by)):
        for ray in rays[square]:
            for origin in ray:
                if piece := board[origin]:
                    if piece in (slider, queen):
                        return True
                    break
    return any(board[origin] == king for origin in STEPS[square])


def in_check(position: Position) -> bool:
    """Whether the side to move is in check."""
    return attacked(position.board, position.king(position.side), position.side ^ BLACK)


def _checks_and_pins(board: bytes, king: int, side: int) -> tuple[int, dict[int, int]]:
    """Where a move (not of the king) must end to answer every check, and for each pinned piece where it may go."""
    other = side ^ BLACK
    allowed = EVERYWHERE
    pins: dict[int, int] = {}
    for origin in JUMPS[king]:
        if board[origin] == KNIGHT | other:
            allowed &= 1 << origin
    for origin in TAKES[1 if side else 0][king]:
        if board[origin] == PAWN | other:
            allowed &= 1 << origin
    for rays, slider in ((STRAIGHT, ROOK | other), (DIAGONAL, BISHOP | other)):
        for ray in rays[king]:
            line, own = 0, NOWHERE
            for square in ray:
                line |= 1 << square
                piece = board[square]
                if not piece:
                    continue
                if piece & BLACK == side:
                    if own != NOWHERE:
                        break
                    own = square
                    continue
                if piece in (slider, QUEEN | other):
                    if own == NOWHERE:
                        allowed &= line
                    else:
                        pins[own] = line
                break
    return allowed, pins


def legal_moves(position: Position) -> list[int]:
    """Every legal move (article 3). Order: by origin from a1, and by destination in the order of rays."""
    board, side = position.board, position.side
    other, colour = side ^ BLACK, 1 if side else 0
    king = board.index(KING | side)
    allowed, pins = _checks_and_pins(board, king, side)
    moves: list[int] = []
    _king_moves(position, king, moves, allowed == EVERYWHERE)
    if not allowed:  # two checks on different lines: only the king moves
        return moves
    for origin, piece in enumerate(board):
        if not piece or piece & BLACK != side:
            continue
        kind = piece & 7
        targets = allowed & pins[origin] if origin in pins else allowed
        if kind == PAWN:
            _pawn_moves(board, origin, colour, other, targets, moves)
        elif kind == KNIGHT:
            for to in JUMPS[origin]:
                if targets >> to & 1 and not (board[to] and board[to] & BLACK == side):
                    moves.append(origin | to << 6)
        elif kind != KING:
            for ray in _SLIDES[kind][origin]:
                for to in ray:
                    if there := board[to]:
                        if there & BLACK != side and targets >> to & 1:
                            moves.append(origin | to << 6)
                        break
                    if targets >> to & 1:
                        moves.append(origin | to << 6)
    if position.ep != NOWHERE:
        moves += _ep_moves(position, position.ep)
    return moves


def _king_moves(position: Position, king: int, moves: list[int], free: bool) -> None:
    board, side = position.board, position.side
    other = side ^ BLACK
    without = bytearray(board)
    without[king] = 0  # the king does not hide what is behind it from a slider
    for to in STEPS[king]:
        there = board[to]
        if not (there and there & BLACK == side) and not attacked(without, to, other):
            moves.append(king | to << 6)
    if not free or not position.castling:
        return
    for bit, empty, safe, origin, to in _CASTLES[1 if side else 0]:
        if (
            position.castling & bit
            and not any(board[square] for square in empty)
            and not any(attacked(board, square, other) for square in safe)
        ):  # fmt: skip
            moves.append(origin | to << 6)


def _pawn_moves(board: bytes, origin: int, colour: int, other: int, targets: int, moves: list[int]) -> None:
    ahead = origin - 8 if colour else origin + 8
    ends = []
    if not board[ahead]:
        ends.append(ahead)
        if origin >> 3 == (6 if colour else 1):
            further = ahead - 8 if colour else ahead + 8
            if not board[further]:
                ends.append(further)
    for to in TAKES[colour][origin]:
        if board[to] and board[to] & BLACK == other:
            ends.append(to)
    for to in ends:
        if targets >> to & 1:
            if 8 <= to < 56:
                moves.append(origin | to << 6)
            else:
                moves += [origin | to << 6 | kind << 12 for kind in PROMOTIONS]


def _ep_moves(position: Position, ep: int) -> list[int]:
    """Captures en passant, each tried: two pawns leave one row at once, which no pin foresees."""
    board, side = position.board, position.side
    moves = []
    for origin in TAKES[0 if side else 1][ep]:
        if board[origin] != PAWN | side:
            continue
        after = bytearray(board)
        after[origin] = after[ep + (8 if side else -8)] = 0
        after[ep] = PAWN | side
        if not attacked(after, after.index(KING | side), side ^ BLACK):
            moves.append(origin | ep << 6)
    return moves


def is_ep_legal(position: Position, ep: int) -> bool:
    """Whether the side to move may take en passant on a square."""
    return bool(_ep_moves(position, ep))


def make(position: Position, move: int) -> Position:
    """The position after a legal move."""
    origin, to, promotion = move & 63, move >> 6 & 63, move >> 12
    side = position.side
    board = bytearray(position.board)
    piece = board[origin]
    kind = piece & 7
    quiet = not board[to] and kind != PAWN
    board[origin] = 0
    board[to] = promotion | side if promotion else piece
    ep = NOWHERE
    if kind == PAWN:
        if to == position.ep:
            board[to + (8 if side else -8)] = 0
        elif abs(to - origin) == 16:
            ep = (origin + to) >> 1
    elif kind == KING and abs(to - origin) == 2:
        rook_from, rook_to = (to + 1, to - 1) if to > origin else (to - 2, to + 1)
        board[rook_to], board[rook_from] = board[rook_from], 0
    castling = position.castling
    if castling:
        castling &= ~(_RIGHTS.get(origin, 0) | _RIGHTS.get(to, 0))
    number = position.number + (1 if side else 0)
    halfmoves = position.halfmoves + 1 if quiet else 0
    after = Position(bytes(board), side ^ BLACK, castling, NOWHERE, halfmoves, number)
    if ep != NOWHERE and any(board[square] == PAWN | side ^ BLACK for square in TAKES[1 if side else 0][ep]):
        return Position(after.board, after.side, castling, ep if is_ep_legal(after, ep) else NOWHERE, 0, number)
    return after


def perft(position: Position, depth: int) -> int:
    """How many games of ``depth`` moves there are: the usual check of a move generator."""
    moves = legal_moves(position)
    if depth == 1:
        return len(moves)
    return sum(perft(make(position, move), depth - 1) for move in moves)
