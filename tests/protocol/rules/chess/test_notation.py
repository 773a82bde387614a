"""SAN and UCI."""

from __future__ import annotations

import random

import pytest

from protocol.rules.base import IllegalAction
from protocol.rules.chess.fen import START, parse_fen
from protocol.rules.chess.moves import legal_moves, make
from protocol.rules.chess.notation import parse_san, parse_uci, to_san, to_uci

KNIGHTS = "4k3/8/8/8/8/2N1N3/8/2N1K3 w - - 0 1"
QUEENS = "8/k7/8/8/4Q2Q/8/8/K6Q w - - 0 1"


@pytest.mark.parametrize(
    ("fen", "uci", "san"),
    [
        (START, "e2e4", "e4"),
        (START, "g1f3", "Nf3"),
        (KNIGHTS, "c3d5", "Ncd5"),
        (KNIGHTS, "c1e2", "N1e2"),
        (KNIGHTS, "c3e2", "N3e2"),
        (QUEENS, "h4e1", "Qh4e1"),
        ("4k3/8/8/3pP3/8/8/8/4K3 w - d6 0 1", "e5d6", "exd6"),
        ("1n2k3/P7/8/8/8/8/8/4K3 w - - 0 1", "a7b8q", "axb8=Q+"),
        ("1n2k3/P7/8/8/8/8/8/4K3 w - - 0 1", "a7a8n", "a8=N"),
        ("4k3/8/8/8/8/8/8/R3K2R w KQ - 0 1", "e1g1", "O-O"),
        ("4k3/8/8/8/8/8/8/R3K2R w KQ - 0 1", "e1c1", "O-O-O"),
        ("6k1/5ppp/8/8/8/8/8/4RK2 w - - 0 1", "e1e8", "Re8#"),
        ("4k3/8/8/3r4/8/8/8/3QK3 w - - 0 1", "d1d5", "Qxd5"),
    ],
)
def test_both_ways(fen: str, uci: str, san: str) -> None:
    position = parse_fen(fen)
    move = parse_uci(position, uci)
    assert to_uci(move) == uci
    assert to_san(position, move) == san
    assert parse_san(position, san) == move


@pytest.mark.parametrize(
    ("text", "uci"),
    [("0-0", "e1g1"), ("O-O-O!?", "e1c1"), ("Rxa8+", "a1a8"), ("R:a8", "a1a8"), ("Ra1a8", "a1a8"), ("Kd1", "e1d1")],
)
def test_other_spellings(text: str, uci: str) -> None:
    position = parse_fen("r3k3/8/8/8/8/8/8/R3K2R w KQ - 0 1")
    assert to_uci(parse_san(position, text)) == uci


@pytest.mark.parametrize("text", ["", "e5", "Nd5", "Ke2", "O-O", "Nbd2", "e9", "e2e4x", "--", "Z"])
def test_what_is_no_move(text: str) -> None:
    with pytest.raises(IllegalAction, match="no legal move"):
        parse_san(parse_fen(START), text)


def test_what_is_more_than_one() -> None:
    with pytest.raises(IllegalAction, match="more than one"):
        parse_san(parse_fen(KNIGHTS), "Ne2")
    with pytest.raises(IllegalAction):
        parse_san(parse_fen("4k3/P7/8/8/8/8/8/4K3 w - - 0 1"), "a8")  # into what?


@pytest.mark.parametrize("text", ["", "e2e5", "e2", "e2e4q", "e7e5", "E2E4", "e1g1"])
def test_what_is_no_uci_move(text: str) -> None:
    with pytest.raises(IllegalAction):
        parse_uci(parse_fen(START), text)


def test_every_move_of_random_games_comes_back() -> None:
    rng = random.Random(5)
    position = parse_fen(START)
    for _ in range(120):
        moves = legal_moves(position)
        if not moves:
            break
        names = {to_san(position, move) for move in moves}
        assert len(names) == len(moves)
        move = rng.choice(moves)
        assert parse_san(position, to_san(position, move)) == move
        assert parse_uci(position, to_uci(move)) == move
        position = make(position, move)
