"""Tic-tac-toe and connect four."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.rules.base import IllegalAction, ParameterError, Result
from protocol.rules.lines import Board, ConnectFour, TicTacToe
from tests.protocol.rules.random_games import walk

THREE, FOUR = TicTacToe(), ConnectFour()


def played(rules: TicTacToe | ConnectFour, actions: str) -> Board:
    state = rules.initial({}, 2, b"")
    for at, action in enumerate(actions):
        state = rules.apply(state, at % 2, action)
    return state


@pytest.mark.parametrize("actions", ["03142", "01326", "01428", "21436"])
def test_rows_of_three(actions: str) -> None:
    state = played(THREE, actions)
    assert state.winner is not None
    assert THREE.actions(state, state.mover) == ()


def test_a_row_of_the_second_player() -> None:
    assert THREE.result(played(THREE, "830415")) == Result((0, 2), "3 in a row")


def test_a_full_board_is_a_draw() -> None:
    state = played(THREE, "012435768")
    assert state.is_over
    assert THREE.turn(state) == ()


@pytest.mark.parametrize(
    ("actions", "points"), [("0101010", (2, 0)), ("6543216", None), ("0112232333", None), ("01122323363", (2, 0))]
)
def test_four_in_a_row(actions: str, points: tuple[int, int] | None) -> None:
    result = FOUR.result(played(FOUR, actions))
    assert (result.points if result else None) == points


def test_rows_across() -> None:
    assert FOUR.result(played(FOUR, "0011223")) == Result((2, 0), "4 in a row")
    assert FOUR.result(played(FOUR, "6655443")) == Result((2, 0), "4 in a row")


def test_a_full_column_takes_no_more() -> None:
    state = played(FOUR, "000000")
    assert "0" not in FOUR.actions(state, 0)
    with pytest.raises(IllegalAction):
        FOUR.apply(state, 0, "0")


def test_what_is_not_legal() -> None:
    state = played(THREE, "0")
    for seat, action in ((1, "0"), (0, "1"), (1, "9"), (1, "x"), (1, "01")):
        with pytest.raises(IllegalAction):
            THREE.apply(state, seat, action)
    assert THREE.actions(state, 0) == ()
    assert FOUR.actions(FOUR.initial({}, 2, b""), 1) == ()
    assert THREE.flag(state, 1) == Result((2, 0), "time")
    with pytest.raises(IllegalAction):
        THREE.chance(state, b"")
    with pytest.raises(ParameterError):
        THREE.initial({"size": 4}, 2, b"")


def test_what_is_seen() -> None:
    assert THREE.observe(played(THREE, "04"), None) == b"x..\n.o.\n...\nx"


@given(st.sampled_from((THREE, FOUR)), st.integers())
def test_random_games(rules: TicTacToe | ConnectFour, seed: int) -> None:
    walk(rules, seed)
