"""Nim."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.rules.base import IllegalAction, ParameterError, Result
from protocol.rules.nim import Heaps, Nim
from tests.protocol.rules.random_games import walk

NIM = Nim()


def test_who_takes_the_last_wins_or_loses() -> None:
    for misere, points in ((False, (0, 2)), (True, (2, 0))):
        state = NIM.apply(Heaps((0, 2), 1, misere), 1, "1-2")
        assert NIM.result(state) == Result(points, "the last match is taken")
        assert NIM.turn(state) == ()


def test_the_beginning() -> None:
    state = NIM.initial({"heaps": 4, "misere": 1}, 2, b"")
    assert state == Heaps((1, 3, 5, 7), 0, True)
    assert len(NIM.actions(state, 0)) == 16
    assert NIM.actions(state, 1) == ()
    assert NIM.result(state) is None
    assert NIM.observe(state, 0) == b"1 3 5 7 / 0"


@pytest.mark.parametrize("action", ["0-2", "0-0", "9-1", "", "-", "0-1 ", "00-1"])
def test_what_is_not_legal(action: str) -> None:
    with pytest.raises(IllegalAction):
        NIM.apply(NIM.initial({}, 2, b""), 0, action)


@pytest.mark.parametrize("params", [{"heaps": 2}, {"heaps": 8}, {"heaps": "3"}, {"misere": True}, {"x": 1}])
def test_parameters_are_on_a_list(params: dict[str, int]) -> None:
    with pytest.raises(ParameterError):
        NIM.initial(params, 2, b"")


@given(st.integers())
def test_random_games(seed: int) -> None:
    walk(NIM, seed)
