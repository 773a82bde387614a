"""How a game of chess ends."""

from __future__ import annotations

import pytest

from protocol.rules.base import IllegalAction, Result
from protocol.rules.chess.board import BLACK
from protocol.rules.chess.fen import parse_fen
from protocol.rules.chess.rules import Chess, ChessState, can_mate, is_dead, state_of
from tests.protocol.rules.random_games import walk
from tests.support.games_oracle import long_games, random_games

CHESS = Chess()


def played(state: ChessState, *actions: str) -> ChessState:
    for action in actions:
        state = CHESS.apply(state, CHESS.turn(state)[0], action)
    return state


def start() -> ChessState:
    return CHESS.initial({}, 2, b"")


def test_checkmate() -> None:
    state = played(start(), "f2f3", "e7e5", "g2g4", "d8h4")
    assert CHESS.result(state) == Result((0, 2), "checkmate")
    assert CHESS.turn(state) == ()
    assert CHESS.actions(state, 0) == ()
    scholar = played(start(), "e2e4", "e7e5", "d1h5", "b8c6", "f1c4", "g8f6", "h5f7")
    assert CHESS.result(scholar) == Result((2, 0), "checkmate")


def test_stalemate() -> None:
    assert CHESS.result(state_of(parse_fen("7k/5Q2/6K1/8/8/8/8/8 b - - 0 1"))) == Result((1, 1), "stalemate")


@pytest.mark.parametrize(
    ("pieces", "dead"),
    [
        ("4k3/8/8/8/8/8/8/4K3", True),
        ("4k3/8/8/8/8/8/8/4KN2", True),
        ("4k3/8/8/8/8/8/8/4KB2", True),
        ("4kb2/8/8/8/8/8/8/2B1K3", True),  # both on dark squares
        ("2b1k3/8/8/8/8/8/8/2B1K3", False),
        ("4kn2/8/8/8/8/8/8/4KN2", False),
        ("4kn2/8/8/8/8/8/8/4KB2", False),
        ("4k3/8/8/8/8/8/8/4KNN1", False),
        ("4k3/4p3/8/8/8/8/8/4K3", False),
        ("4k3/8/8/8/8/8/8/4K2R", False),
        ("4k3/8/8/8/8/8/8/2B1K1B1", True),
    ],
)
def test_dead_positions(pieces: str, dead: bool) -> None:
    position = parse_fen(f"{pieces} w - - 0 1")
    assert is_dead(position) is dead
    assert (CHESS.result(state_of(position)) == Result((1, 1), "dead position")) is dead


@pytest.mark.parametrize(
    ("pieces", "white", "black"),
    [
        ("4k3/8/8/8/8/8/8/4KN2", False, False),
        ("4k2q/8/8/8/8/8/8/4KN2", False, True),
        ("4k2r/8/8/8/8/8/8/4KN2", True, True),
        ("4k3/7p/8/8/8/8/8/4KB2", True, True),
        ("4k2r/8/8/8/8/8/8/4KB2", False, True),
        ("4k3/8/8/8/8/8/8/4K2Q", True, False),
        ("4k3/8/8/8/8/8/8/4KBN1", True, False),
    ],
)
def test_who_could_still_mate(pieces: str, white: bool, black: bool) -> None:
    state = state_of(parse_fen(f"{pieces} w - - 0 1"))
    assert (can_mate(state.position, 0), can_mate(state.position, BLACK)) == (white, black)
    assert CHESS.flag(state, 1).points == ((2, 0) if white else (1, 1))
    assert CHESS.flag(state, 0).points == ((0, 2) if black else (1, 1))


ROUND = ("g1f3", "g8f6", "f3g1", "f6g8")


def test_repetition() -> None:
    state = played(start(), *ROUND)
    assert CHESS.claim(state, 0, "") is None
    almost = played(state, *ROUND[:3])
    assert CHESS.claim(almost, 1, "") is None
    assert CHESS.claim(almost, 1, "f6g8") == Result((1, 1), "threefold repetition")
    assert CHESS.claim(almost, 1, "f6h5") is None
    assert CHESS.claim(almost, 1, "f6f6") is None
    state = played(almost, "f6g8")
    assert CHESS.claim(state, 0, "") == Result((1, 1), "threefold repetition")
    assert CHESS.result(state) is None
    state = played(state, *ROUND, *ROUND)
    assert CHESS.result(state) == Result((1, 1), "fivefold repetition")


def test_the_same_pieces_with_other_rights_are_another_position() -> None:
    state = state_of(parse_fen("4k3/8/8/8/8/8/8/4K2R w K - 0 1"))
    state = played(state, "h1h2", "e8d8", "h2h1", "d8e8", "h1h2", "e8d8", "h2h1", "d8e8")
    assert state.repetitions == 2  # the first had the right to castle


def test_fifty_and_seventy_five_moves() -> None:
    fen = "4k3/8/8/8/8/8/8/4K2R w - - {} 90"
    at99, at100 = state_of(parse_fen(fen.format(99))), state_of(parse_fen(fen.format(100)))
    assert CHESS.claim(at99, 0, "") is None
    assert CHESS.claim(at99, 0, "h1h2") == Result((1, 1), "50 moves")
    assert CHESS.claim(at100, 0, "") == Result((1, 1), "50 moves")
    assert CHESS.result(at100) is None
    assert CHESS.result(state_of(parse_fen(fen.format(150)))) == Result((1, 1), "75 moves")
    mate = state_of(parse_fen("R5k1/5ppp/8/8/8/8/8/4K3 b - - 150 90"))
    assert CHESS.result(mate) == Result((2, 0), "checkmate")


def test_what_is_not_legal() -> None:
    for seat, action in ((1, "e2e4"), (0, "e7e5"), (0, "e2e5")):
        with pytest.raises(IllegalAction):
            CHESS.apply(start(), seat, action)
    assert len(CHESS.actions(start(), 0)) == 20
    assert CHESS.observe(start(), None).startswith(b"rnbqkbnr/")


@pytest.mark.parametrize("seed", range(3))
def test_random_games(seed: int) -> None:
    walk(CHESS, seed, plies_max=150)


@pytest.mark.long
async def test_beside_the_oracle() -> None:
    """Other games than in `make prove-games`, and more of them."""
    pytest.importorskip("chess", reason="the oracle (GPL) is not installed")
    for seed in (11, 12):
        assert (await random_games(seed, 2000, 300))["differences"] == 0
        assert (await long_games(seed, 200))["differences"] == 0


async def test_a_few_games_beside_the_oracle() -> None:
    pytest.importorskip("chess", reason="the oracle (GPL) is not installed")
    assert (await random_games(3, 2, 60))["positions"] > 0
