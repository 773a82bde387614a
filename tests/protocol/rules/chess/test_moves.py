"""The move generator: the published counts, the traps, and an independent generator where one is installed."""

from __future__ import annotations

import random

import pytest

from protocol.rules.chess.board import INDEX
from protocol.rules.chess.fen import START, parse_fen, to_fen
from protocol.rules.chess.moves import attacked, in_check, legal_moves, make, perft
from protocol.rules.chess.notation import parse_uci, to_uci

KIWIPETE = "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1"
#: Positions and counts that every generator is checked against (the chess programming wiki's six).
COUNTS = [
    (START, 20, 400, 8902),
    (KIWIPETE, 48, 2039, 97862),
    ("8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 0 1", 14, 191, 2812, 43238),
    ("r3k2r/Pppp1ppp/1b3nbN/nP6/BBP1P3/q4N2/Pp1P2PP/R2Q1RK1 w kq - 0 1", 6, 264, 9467),
    ("rnbq1k1r/pp1Pbppp/2p5/8/2B5/8/PPP1NnPP/RNBQK2R w KQ - 1 8", 44, 1486, 62379),
    ("r4rk1/1pp1qppp/p1np1n2/2b1p1B1/2B1P1b1/P1NP1N2/1PP1QPPP/R4RK1 w - - 0 10", 46, 2079),
]


@pytest.mark.parametrize(("fen", "counts"), [(row[0], row[1:]) for row in COUNTS])
def test_published_counts(fen: str, counts: tuple[int, ...]) -> None:
    position = parse_fen(fen)
    assert tuple(perft(position, depth) for depth in range(1, len(counts) + 1)) == counts


@pytest.mark.long
@pytest.mark.parametrize(
    ("fen", "depth", "count"),
    [(START, 5, 4_865_609), (KIWIPETE, 4, 4_085_603), (COUNTS[2][0], 6, 11_030_083), (COUNTS[3][0], 5, 15_833_292)],
)
def test_deeper_counts(fen: str, depth: int, count: int) -> None:
    assert perft(parse_fen(fen), depth) == count


def uci(fen: str) -> set[str]:
    return {to_uci(move) for move in legal_moves(parse_fen(fen))}


def test_castling_through_and_out_of_check() -> None:
    assert {"e1g1", "e1c1"} <= uci("4k3/8/8/8/8/8/8/R3K2R w KQ - 0 1")
    assert "e1g1" not in uci("4kr2/8/8/8/8/8/8/R3K2R w KQ - 0 1")  # through f1
    assert "e1c1" in uci("1r2k3/8/8/8/8/8/8/R3K2R w KQ - 0 1")  # b1 may be attacked
    assert not {"e1g1", "e1c1"} & uci("4r1k1/8/8/8/8/8/8/R3K2R w KQ - 0 1")
    assert "e1c1" not in uci("4k3/8/8/8/8/8/8/RN2K2R w KQ - 0 1")
    assert not {"e1g1", "e1c1"} & uci("4k3/8/8/8/8/8/8/R3K2R w - - 0 1")


def test_rights_to_castle_go() -> None:
    position = parse_fen("r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 0 1")
    for move, rights in (("e1e2", "kq"), ("a1a2", "Kkq"), ("h1h8", "Qq"), ("e1c1", "kq")):
        assert to_fen(make(position, parse_uci(position, move))).split()[2] == rights
    after = make(position, parse_uci(position, "e1c1"))
    assert to_fen(after).startswith("r3k2r/8/8/8/8/8/8/2KR3R b")
    black = make(position, parse_uci(position, "h1h2"))
    assert to_fen(make(black, parse_uci(black, "e8g8"))).startswith("r4rk1/")


def test_en_passant() -> None:
    assert "e5d6" in uci("4k3/8/8/3pP3/8/8/8/4K3 w - d6 0 1")
    position = parse_fen("4k3/8/8/3pP3/8/8/8/4K3 w - d6 0 1")
    assert to_fen(make(position, parse_uci(position, "e5d6"))) == "4k3/8/3P4/8/8/8/8/4K3 b - - 0 1"
    answers = uci("8/8/8/2k5/3Pp3/8/8/4K3 b - d3 0 1")
    assert "e4d3" in answers  # the pawn that gives check is taken in passing
    after = make(parse_fen(START), parse_uci(parse_fen(START), "e2e4"))
    assert to_fen(after).split()[3] == "-"


def test_pins_and_checks() -> None:
    assert uci("4r1k1/8/8/8/8/8/4R3/4K3 w - - 0 1") >= {"e2e8", "e2e3"}
    assert "e2d2" not in uci("4r1k1/8/8/8/8/8/4R3/4K3 w - - 0 1")
    assert uci("4r1k1/8/8/8/8/5n2/3P4/4K2R w K - 0 1") == {"e1f1", "e1d1", "e1f2"}  # two checks: only the king moves
    assert attacked(parse_fen(START).board, INDEX["f3"], 0)
    assert in_check(parse_fen("4k3/8/8/8/8/8/3p4/4K3 w - - 0 1"))


def test_promotion() -> None:
    moves = uci("1n2k3/P7/8/8/8/8/8/4K3 w - - 0 1")
    assert {f"a7{to}{kind}" for to in ("a8", "b8") for kind in "qrbn"} <= moves
    position = parse_fen("1n2k3/P7/8/8/8/8/8/4K3 w - - 0 1")
    assert to_fen(make(position, parse_uci(position, "a7b8n"))).startswith("1N2k3/")


def test_against_an_independent_generator() -> None:
    """The package `chess`, where somebody has installed it; it is no dependency (GPL)."""
    chess = pytest.importorskip("chess", reason="the package chess is not installed: nothing to compare with")
    rng = random.Random(1)
    for _game in range(10):
        board, position = chess.Board(), parse_fen(START)
        while not board.is_game_over() and board.ply() < 200:
            assert {move.uci() for move in board.legal_moves} == {to_uci(move) for move in legal_moves(position)}
            assert board.fen(en_passant="legal") == to_fen(position)
            move = rng.choice(sorted(move.uci() for move in board.legal_moves))
            board.push_uci(move)
            position = make(position, parse_uci(position, move))
