"""Go: ko and superko, captures, two passes, the score, handicaps."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from protocol.rules.base import IllegalAction, ParameterError, Result
from protocol.rules.go.board import BLACK
from protocol.rules.go.rules import PASS, Go, GoRules

GO = GoRules()


def start(size: int = 5, **params: object) -> Go:
    return GO.initial({"size": size, **params}, 2, b"")  # type: ignore[dict-item]


def played(state: Go, *actions: str) -> Go:
    for action in actions:
        state = GO.apply(state, GO.turn(state)[0], action)
    return state


def test_ko() -> None:
    shape = start()
    for colour, point in ((0, "b3"), (1, "c3"), (0, "a2"), (1, "d2"), (0, "b1"), (1, "c1"), (0, "c2")):
        shape = GO.apply(replace(shape, mover=colour), colour, point)
    white = played(shape, "b2")
    assert white.captured == (0, 1)
    with pytest.raises(IllegalAction, match="superko"):
        GO.apply(white, 0, "c2")
    assert "c2" not in GO.actions(white, 0)
    later = played(white, "e5", "e4")
    assert "c2" in GO.actions(later, 0)
    assert played(later, "c2").captured == (1, 1)


def test_what_cannot_be_played() -> None:
    state = played(start(), "a1")
    for action, why in (("a1", "taken"), ("i1", "no point"), ("z9", "no point"), ("", "no point")):
        with pytest.raises(IllegalAction, match=why):
            GO.apply(state, 1, action)
    with pytest.raises(IllegalAction, match="your turn"):
        GO.apply(state, 0, "b2")
    corner = played(start(), "a2", PASS, "b1", PASS, "e5")
    with pytest.raises(IllegalAction, match="no liberty"):
        GO.apply(corner, 1, "a1")
    assert "a1" not in GO.actions(corner, 1)
    assert GO.actions(corner, 0) == ()


def test_the_end_and_the_score() -> None:
    state = played(start(komi="7.5"), "c1", "d1", "c2", "d2", "c3", "d3", "c4", "d4", "c5", "d5")
    assert GO.result(state) is None
    over = played(state, PASS, PASS)
    assert GO.result(over) == Result((0, 2), "white by 2.5")
    assert (GO.turn(over), GO.actions(over, 0)) == ((), ())
    assert GO.observe(over, None).endswith(b"\n- 0 0 2")
    even = played(start(komi="5"), "c1", "d1", "c2", "d2", "c3", "d3", "c4", "d4", "c5", "d5", PASS, PASS)
    assert GO.result(even) == Result((1, 1), "equal areas")
    assert GO.result(played(start(komi="0"), "c3", PASS, PASS)) == Result((2, 0), "black by 25")
    with pytest.raises(IllegalAction):
        GO.apply(over, 0, PASS)


def test_what_is_seen() -> None:
    lines = GO.observe(played(start(), "c3"), None).decode().splitlines()
    assert lines == [".....", ".....", "..x..", ".....", ".....", "o 0 0 0"]


def test_handicap_and_parameters() -> None:
    state = GO.initial({"size": 9, "handicap": 4}, 2, b"")
    assert (state.board.count(BLACK), GO.turn(state), state.komi_quarters) == (4, (1,), 30)
    assert GO.turn(GO.initial({"handicap": 1}, 2, b"")) == (0,)
    for params in ({"size": 8}, {"komi": "9.9"}, {"handicap": 10}, {"size": 5, "handicap": 2}):
        with pytest.raises(ParameterError):
            GO.initial(params, 2, b"")


def test_random_games_never_repeat_a_position() -> None:
    for seed in range(3):
        chance = random.Random(seed)
        state = start()
        while GO.turn(state) and len(state.before) < 120:
            seat = GO.turn(state)[0]
            legal = GO.actions(state, seat)
            for action in ("a1", "c3", "e5"):
                allowed = action in legal
                try:
                    GO.apply(state, seat, action)
                except IllegalAction:
                    assert not allowed
                else:
                    assert allowed
            before = state.before
            state = GO.apply(state, seat, chance.choice(legal))
            assert state.passes or state.board not in before
