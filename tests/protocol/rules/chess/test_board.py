"""Positions."""

from __future__ import annotations

from protocol.rules.chess.board import BLACK, INDEX, SQUARES
from protocol.rules.chess.fen import START, parse_fen


def test_squares() -> None:
    assert (SQUARES[0], SQUARES[7], SQUARES[63]) == ("a1", "h1", "h8")
    assert INDEX["e4"] == 28


def test_kings_and_keys() -> None:
    position = parse_fen(START)
    assert (position.king(0), position.king(BLACK)) == (INDEX["e1"], INDEX["e8"])
    other = parse_fen(START.replace("0 1", "7 9"))
    assert other != position
    assert other.key == position.key
    assert parse_fen(START.replace("KQkq", "Kkq")).key != position.key
    assert parse_fen(START.replace(" w ", " b ")).key != position.key
