"""Boards and clocks as text."""

from __future__ import annotations

import pytest

from clients.games.boards import board, card, clock_text, status
from clients.games.following import Position
from protocol.match import new_match
from protocol.plies import Act, Kind
from protocol.rules.base import Result
from protocol.rules.clocks import NO_CLOCK
from protocol.rules.games import GAMES


def seen(game: str, text: str | bytes, seat: int = 0, last: str = "") -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    act = Act(Kind.MOVE, 0, last) if last else None
    return board(Position(game, seat, data, (0,), (), 1, (None, None), act))


def test_chess_from_both_sides() -> None:
    fen = "rnbqkbnr/pppppppp/8/8/4P3/8/PPPP1PPP/RNBQKBNR b KQkq - 0 1"
    white = seen("chess", fen, 0, "e2e4")
    assert white[0] == "8  r  n  b  q  k  b  n  r "
    assert white[4] == "4  ·  ·  ·  · [P] ·  ·  · "
    assert white[6] == "2  P  P  P  P [·] P  P  P "
    assert white[-1].split() == list("abcdefgh")
    black = seen("chess", fen, 1)
    assert black[0] == "1  R  N  B  K  Q  B  N  R "
    assert black[-1].split() == list("hgfedcba")


def test_rows() -> None:
    assert seen("tictactoe", "x..\n.o.\n...\nx", 0, "4") == [" X  1  2 ", " 3 [O] 5 ", " 6  7  8 "]
    rows = "\n".join(["......."] * 4 + ["...x...", "..ox..."]) + "\no"
    four = seen("connectfour", rows, 0, "3")
    assert four[4] == " ·  ·  · [X] ·  ·  · "
    assert four[5] == " ·  ·  O  X  ·  ·  · "
    assert four[6].split() == list("0123456")
    assert seen("nim", "1 3 / 0") == ["0: |", "1: |||"]


def test_go() -> None:
    lines = seen("go", "...\n.x.\n..o\nx 1 0 0", 0, "b2")
    assert lines[:3] == [" 3  ·  ·  · ", " 2  · [X] · ", " 1  ·  ·  O "]
    assert lines[3].split() == ["a", "b", "c"]
    assert lines[4] == "taken by X 1, by O 0"
    assert seen("go", "..\n..\n- 0 0 2", 0, "pass")[-1].endswith("passes 2")


def test_backgammon_from_both_sides() -> None:
    rules = GAMES["backgammon"]
    state = new_match(rules, {}, 2, NO_CLOCK, b"m" * 32, b"s" * 32, 0).state
    for seat in (0, 1):
        lines = seen("backgammon", rules.observe(state, seat), seat)
        assert lines[0].split()[0] == "13"
        assert lines[1].split() == ["X", "·", "·", "·", "O", "·", "O", "·", "·", "·", "·", "X"]
        assert lines[-1] == "bar X0 O0   off X0 O0   dice ?"
    many = "7 " + "0 " * 23 + "/ bar 1 2 off 3 4 / 6-5 / 1"
    assert seen("backgammon", many, 1)[5].split()[-1] == "7"
    assert seen("backgammon", many, 1)[-1] == "bar X2 O1   off X4 O3   dice 6-5"


def test_cards() -> None:
    assert card("Ts") == "10♠"
    assert seen("eights", "8h c / 3 2 / 2 / 0+ / 2s 8d", 0) == [
        "on top 8♥, ♣ counts   stock 2", "player 1: 3   player 2: 2", "your hand  2♠ 8♦"
    ]  # fmt: skip
    assert len(seen("eights", "2h h / 3 2 / 2 / 0 /", -1)) == 2


def test_what_is_not_known_is_shown_as_it_is() -> None:
    assert seen("hex", "a\nb") == ["a", "b"]
    assert seen("chess", "rubbish") == ["rubbish"]
    assert seen("chess", b"\xff") == ["�"]


@pytest.mark.parametrize(
    ("ms", "text"), [(None, ""), (0, "0:00.0"), (9_940, "0:09.9"), (245_000, "4:05"), (3_600_000, "1:00:00")]
)
def test_clocks(ms: int | None, text: str) -> None:
    assert clock_text(ms) == text


def test_status() -> None:
    position = Position("chess", 0, b"", (1,), (), 3, (60_000, None), draw_by=0, takeback_by=1)
    line = status(position, ["alice", "bob"])
    assert line.startswith(" alice 1:00   ▸bob   (alice offers a draw)   (bob asks to take a move back)")
    over = Position("chess", 0, b"", (), (), 3, (), outcome=Result((2, 0), "checkmate"))
    assert status(over, ["alice", "bob"]).endswith("2-0 checkmate")
