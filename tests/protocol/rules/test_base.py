"""What all games share."""

from __future__ import annotations

import pytest

from protocol.rules.base import ParameterError, Result, checked, two_player
from protocol.rules.games import GAMES
from protocol.rules.lines import TicTacToe
from protocol.rules.nim import Nim


def test_results_for_two() -> None:
    assert two_player(0, "r") == Result((2, 0), "r")
    assert two_player(1, "r") == Result((0, 2), "r")
    assert two_player(None, "r") == Result((1, 1), "r")


def test_defaults() -> None:
    assert checked(Nim(), {}, 2) == {"heaps": 3, "misere": 0}
    game = TicTacToe()
    state = game.initial({}, 2, b"")
    assert game.claim(state, 0, "") is None
    assert not game.hidden


@pytest.mark.parametrize(
    ("params", "seats"), [({}, 3), ({}, 1), ({"x": 1}, 2), ({"heaps": 99}, 2), ({"heaps": False}, 2)]
)
def test_what_is_not_on_the_list(params: dict[str, int], seats: int) -> None:
    with pytest.raises(ParameterError):
        checked(Nim(), params, seats)


@pytest.mark.parametrize("name", GAMES)
def test_every_game_is_known_by_its_name(name: str) -> None:
    assert GAMES[name].name == name
    assert GAMES[name].version >= 1
    low, high = GAMES[name].seats
    assert 1 <= low <= high
