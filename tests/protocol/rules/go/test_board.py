"""The board of go."""

from __future__ import annotations

import pytest

from protocol.rules.go.board import (
    BLACK,
    WHITE,
    area,
    group_at,
    groups,
    handicap,
    name_of,
    neighbours,
    placed,
    point_of,
)


def read(*rows: str) -> bytes:
    return bytes(".xo".index(mark) for row in rows for mark in row)


def test_points_have_names() -> None:
    assert [name_of(point, 19) for point in (0, 18, 342, 360)] == ["a19", "t19", "a1", "t1"]
    assert all(point_of(name_of(point, 19), 19) == point for point in range(361))
    for text in ("i5", "a0", "a01", "k10", "aa", "a", "a1٣", "a100", ""):
        assert point_of(text, 9) is None


def test_groups_and_liberties() -> None:
    board = read("xx.", "ox.", "...")
    group = group_at(board, 3, 0)
    assert (group.stones, group.liberties) == (frozenset((0, 1, 4)), frozenset((2, 5, 7)))
    known = groups(board, 3)
    assert known[0] is known[4]
    assert known[3].liberties == {6}
    assert [len(beside) for beside in neighbours(3)] == [2, 3, 2, 3, 4, 3, 2, 3, 2]


def test_captures_and_suicide() -> None:
    board = read("xo.", "oo.", "...")
    assert placed(board, 3, 0, BLACK) is None  # taken
    assert placed(read(".o.", "o..", "..."), 3, 0, BLACK) is None  # no liberty
    assert placed(read(".ox", "ox.", "x.."), 3, 0, BLACK) == read("x.x", ".x.", "x..")  # takes both
    assert placed(read("xx.", "xo.", "oo."), 3, 2, WHITE) == read("..o", ".o.", "oo.")


def test_area() -> None:
    assert area(read("...", "...", "..."), 3) == (0, 0)
    assert area(read("x..", "...", "..."), 3) == (9, 0)
    assert area(read(".xo", "xx.", "..o"), 3) == (4, 2)
    assert area(read(".x.o.", ".x.o.", ".x.o.", ".x.o.", ".x.o."), 5) == (10, 10)


@pytest.mark.parametrize("count", range(2, 10))
def test_handicaps(count: int) -> None:
    for size in (9, 13, 19):
        points = handicap(size, count)
        assert len(set(points)) == count
        mirrored = {size * size - 1 - point for point in points}
        assert count in (3,) or mirrored == set(points)
    assert {name_of(point, 19) for point in handicap(19, 4)} == {"d4", "q16", "q4", "d16"}
    assert name_of(handicap(9, 5)[4], 9) == "e5"


@pytest.mark.parametrize(("size", "count"), [(9, 1), (9, 10), (5, 2), (8, 5)])
def test_no_handicap(size: int, count: int) -> None:
    with pytest.raises(ValueError, match="no handicap"):
        handicap(size, count)
