"""Rock, paper, scissors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.rules.base import IllegalAction, Result
from protocol.rules.hands import Hands, RockPaperScissors
from tests.protocol.rules.random_games import walk

HANDS = RockPaperScissors()


def shown(state: Hands, one: str, other: str) -> Hands:
    return HANDS.apply(HANDS.apply(state, 1, other), 0, one)


@pytest.mark.parametrize(
    ("one", "other", "won"),
    [("rock", "scissors", (1, 0)), ("rock", "paper", (0, 1)), ("paper", "paper", (0, 0))],
)
def test_a_round(one: str, other: str, won: tuple[int, int]) -> None:
    state = shown(HANDS.initial({}, 2, b""), one, other)
    assert (state.won, state.rounds, state.shown) == (won, 1, ("", ""))


def test_the_end() -> None:
    state = HANDS.initial({"target": 2}, 2, b"")
    for _ in range(2):
        state = shown(state, "rock", "paper")
    assert HANDS.result(state) == Result((0, 2), "2 rounds won")
    assert HANDS.turn(state) == ()
    assert HANDS.result(Hands(rounds=50)) == Result((1, 1), "50 rounds")


def test_what_one_shows_is_not_seen_before_both_have() -> None:
    state = HANDS.initial({}, 2, b"")
    half = HANDS.apply(state, 0, "rock")
    assert HANDS.turn(half) == (1,)
    assert HANDS.observe(half, 1) == HANDS.observe(state, 1)
    for seat, action in ((0, "paper"), (1, "lizard")):
        with pytest.raises(IllegalAction):
            HANDS.apply(half, seat, action)


@given(st.integers())
def test_random_games(seed: int) -> None:
    walk(HANDS, seed)
