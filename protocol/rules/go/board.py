"""The board of go: points, groups and their liberties, captures, and who owns what at the end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

EMPTY, BLACK, WHITE = 0, 1, 2
LETTERS: Final = "abcdefghjklmnopqrst"  # of columns; there is no i
#: Where stones of a handicap stand on lines 3 or 4 from the edge, in the usual order; 4 is the middle.
_STARS: Final = {
    2: "ad", 3: "adc", 4: "adcb", 5: "adcbm", 6: "adcbef", 7: "adcbefm", 8: "adcbefgh", 9: "adcbefghm",
}  # fmt: skip


@lru_cache(maxsize=4)
def neighbours(size: int) -> tuple[tuple[int, ...], ...]:
    """For each point (row by row from the top left) those beside it."""
    found = []
    for point in range(size * size):
        y, x = divmod(point, size)
        around = ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        found.append(tuple(b * size + a for b, a in around if 0 <= a < size and 0 <= b < size))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Group:
    """Stones that hang together, and the empty points beside them."""

    stones: frozenset[int]
    liberties: frozenset[int]


def group_at(board: bytes | bytearray, size: int, point: int) -> Group:
    """The group of the stone at a point."""
    beside, colour = neighbours(size), board[point]
    stones, liberties, open_ = {point}, set[int](), [point]
    while open_:
        for other in beside[open_.pop()]:
            if board[other] == colour and other not in stones:
                stones.add(other)
                open_.append(other)
            elif board[other] == EMPTY:
                liberties.add(other)
    return Group(frozenset(stones), frozenset(liberties))


def groups(board: bytes, size: int) -> dict[int, Group]:
    """The group of every stone, by its point."""
    found: dict[int, Group] = {}
    for point, colour in enumerate(board):
        if colour != EMPTY and point not in found:
            group = group_at(board, size, point)
            found.update(dict.fromkeys(group.stones, group))
    return found


def placed(board: bytes, size: int, point: int, colour: int) -> bytes | None:
    """The board after a stone: what has no liberty left of the other colour goes.

    None: the point is taken, or the stone's own group would have no liberty.
    """
    if board[point] != EMPTY:
        return None
    after = bytearray(board)
    after[point] = colour
    for other in neighbours(size)[point]:
        if after[other] == 3 - colour:
            group = group_at(after, size, other)
            if not group.liberties:
                for stone in group.stones:
                    after[stone] = EMPTY
    result = bytes(after)
    return result if group_at(result, size, point).liberties else None


def area(board: bytes, size: int) -> tuple[int, int]:
    """Points of black and of white: stones, and empty regions that reach one colour only. All stones are alive."""
    counts = [0, board.count(BLACK), board.count(WHITE)]
    seen: set[int] = set()
    beside = neighbours(size)
    for start, colour in enumerate(board):
        if colour != EMPTY or start in seen:
            continue
        region, open_, reaches = 1, [start], set[int]()
        seen.add(start)
        while open_:
            for other in beside[open_.pop()]:
                if board[other] != EMPTY:
                    reaches.add(board[other])
                elif other not in seen:
                    seen.add(other)
                    region += 1
                    open_.append(other)
        if len(reaches) == 1:
            counts[reaches.pop()] += region
    return counts[BLACK], counts[WHITE]


def handicap(size: int, count: int) -> tuple[int, ...]:
    """The star points of a handicap of 2 to 9 stones. Raises ``ValueError`` where the board has no room for it."""
    if not 2 <= count <= 9 or size < 7 or (size % 2 == 0 and count > 4):
        raise ValueError(f"no handicap of {count} stones on {size} × {size}")
    low = 2 if size < 13 else 3
    high, middle = size - 1 - low, size // 2
    corner = {"a": (high, low), "b": (low, low), "c": (high, high), "d": (low, high)}
    side = {"e": (middle, low), "f": (middle, high), "g": (low, middle), "h": (high, middle), "m": (middle, middle)}
    spots = corner | side
    return tuple(y * size + x for y, x in (spots[letter] for letter in _STARS[count]))


def name_of(point: int, size: int) -> str:
    """``d4``: the column from the left without i, the row from below."""
    y, x = divmod(point, size)
    return f"{LETTERS[x]}{size - y}"


def point_of(text: str, size: int) -> int | None:
    """The point that a name means; None: there is none."""
    if not 2 <= len(text) <= 3 or text[0] not in LETTERS[:size] or not text[1:].isascii() or not text[1:].isdecimal():
        return None
    row = int(text[1:])
    if not 1 <= row <= size or text[1] == "0":
        return None
    return (size - row) * size + LETTERS.index(text[0])
