"""FEN in and out."""

from __future__ import annotations

import pytest

from protocol.rules.chess.board import PositionError
from protocol.rules.chess.fen import START, parse_fen, to_fen


@pytest.mark.parametrize(
    "fen",
    [
        START,
        "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1",
        "8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 12 345",
        "rnbqkbnr/ppp1pppp/8/8/3pP3/8/PPPP1PPP/RNBQKBNR b KQkq e3 0 3",
        "4k3/8/8/3pP3/8/8/8/4K3 w - d6 0 2",
    ],
)
def test_a_position_comes_back(fen: str) -> None:
    assert to_fen(parse_fen(fen)) == fen


@pytest.mark.parametrize(
    "fen",
    [
        "rnbqkbnr/pppppppp/8/8/4P3/8/PPPP1PPP/RNBQKBNR b KQkq e3 0 1",  # nobody is there to take
        "8/8/8/8/k2Pp2Q/8/8/3K4 b - d3 0 1",  # both pawns would leave the row, and the queen would see the king
    ],
)
def test_en_passant_that_is_not_legal_is_left_out(fen: str) -> None:
    assert to_fen(parse_fen(fen)).split()[3] == "-"


def test_four_fields_are_enough() -> None:
    assert to_fen(parse_fen("4k3/8/8/8/8/8/8/4K3 b - -")) == "4k3/8/8/8/8/8/8/4K3 b - - 0 1"


@pytest.mark.parametrize(
    "fen",
    [
        "",
        "4k3/8/8/8/8/8/8/4K3 w - - 0",
        "4k3/8/8/8/8/8/8/4K3 x - - 0 1",
        "4k3/8/8/8/8/8/4K3 w - - 0 1",
        "4k3/8/8/8/8/8/8/8/4K3 w - - 0 1",
        "4k3/7/8/8/8/8/8/4K3 w - - 0 1",
        "4k3/9/8/8/8/8/8/4K3 w - - 0 1",
        "4k3/8/8/8/8/8/8/4KK2 w - - 0 1",
        "8/8/8/8/8/8/8/4K3 w - - 0 1",
        "4k2P/8/8/8/8/8/8/4K3 w - - 0 1",
        "4k3/8/8/8/8/8/8/4K2R w Q - 0 1",
        "4k3/8/8/8/8/8/8/4K2R w KK - 0 1",
        "4k3/8/8/8/8/8/8/4K2R w x - 0 1",
        "3k4/8/8/8/8/8/8/3K3R w K - 0 1",
        "4k3/8/8/8/8/8/8/4K3 w - e9 0 1",
        "4k3/8/8/8/8/8/8/4K3 w - e6 0 1",
        "4k3/8/8/8/8/8/8/4K3 w - e3 0 1",
        "4k3/4p3/8/3pP3/8/8/8/4K3 w - e6 0 1",
        "4k3/8/8/8/8/8/8/4K3 w - - -1 1",
        "4k3/8/8/8/8/8/8/4K3 w - - 0 12345",
        "4k3/8/8/8/8/8/8/4K2r b - - 0 1",
    ],
)
def test_what_is_no_position(fen: str) -> None:
    with pytest.raises(PositionError):
        parse_fen(fen)
