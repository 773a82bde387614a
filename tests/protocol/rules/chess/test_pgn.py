"""PGN in and out."""

from __future__ import annotations

import pytest

from protocol.rules.chess.fen import START
from protocol.rules.chess.notation import to_uci
from protocol.rules.chess.pgn import Game, PgnError, parse_pgn, to_pgn

OPERA = """\
[Event "Opera \\"box\\""]
[White "Morphy"]
[Black "Duke and Count"]
[Date "1858.11.02"]
[Result "1-0"]
%an escaped line
[Opening "Philidor"]

1. e4 {[%clk 0:05:00] the best} e5 {[%clk 1:02:03.5]} 2.Nf3 d6 3. d4 $6 Bg4? (3... exd4 4. Qxd4 (4. Nxd4 g6)
Nc6) 4.dxe5 Bxf3 5.Qxf3 dxe5 6. Bc4 Nf6 7. Qb3 Qe7 ; a comment to the end of the line 8. xx
8. Nc3 c6 9. Bg5 b5 10. Nxb5 cxb5 11. Bxb5+ Nbd7 12. O-O-O Rd8 13. Rxd7 Rxd7 14. Rd1 Qe6
15. Bxd7+ Nxd7 16. Qb8+ !! Nxb8 17. Rd8# 1-0

[Event "the next one"] 1. e5 *
"""


def test_a_game() -> None:
    game = parse_pgn(OPERA)
    assert (len(game.moves), game.result) == (33, "1-0")
    tags = dict(game.tags)
    assert (tags["Event"], tags["Opening"]) == ('Opera "box"', "Philidor")
    assert game.clocks_ms[:3] == (300_000, 3_723_500, None)
    assert to_uci(game.moves[-1]) == "d1d8"


def test_it_comes_back() -> None:
    game = parse_pgn(OPERA)
    text = to_pgn(game)
    again = parse_pgn(text)
    assert (again.moves, again.result, again.clocks_ms) == (game.moves, game.result, game.clocks_ms)
    assert set(game.tags) <= set(again.tags)
    assert text.startswith('[Event "Opera \\"box\\""]\n[Site "?"]\n[Date "1858.11.02"]\n[Round "?"]\n')
    assert "1. e4 {[%clk 0:05:00]} 1... e5 {[%clk 1:02:03.500]} 2. Nf3 d6" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert text.endswith("17. Rd8# 1-0\n")
    assert to_pgn(again) == text


def test_a_game_from_a_position() -> None:
    game = parse_pgn('[FEN "4k3/8/8/8/8/8/4p3/K7 b - - 0 40"]\n[SetUp "1"]\n40... e1=Q+ 41. Kb2 *')
    assert "40... e1=Q+ 41. Kb2 *" in to_pgn(game)
    assert game.clocks_ms == ()


def test_nothing_at_all() -> None:
    assert parse_pgn("\ufeff") == Game((), ())
    assert parse_pgn("%only an escape") == Game((), ())
    assert "\n\n*\n" in to_pgn(Game((("White", "a\nb"),), ()))
    assert '[White "a b"]' in to_pgn(Game((("White", "a\nb"),), ()))
    assert Game((), ()).first().number == 1
    assert START


@pytest.mark.parametrize(
    "text",
    ["1. e5", "1. e4 e5 2. Ke3", "1. e4 (1. d4", "1. e4) e5", "1. e4 @", '[FEN "x"] *', "1. e4 { unclosed", "(("],
)
def test_what_is_no_game(text: str) -> None:
    with pytest.raises(PgnError):
        parse_pgn(text)


def test_a_game_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.limits.GAME_PLIES_MAX", 3)
    with pytest.raises(PgnError, match="at most 3"):
        parse_pgn("1. Nf3 Nf6 2. Ng1 Ng8")
