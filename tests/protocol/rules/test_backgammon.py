"""Backgammon."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.rules.backgammon import BAR, Backgammon, BackgammonRules, Side
from protocol.rules.base import CHANCE, IllegalAction, Result
from tests.protocol.rules.random_games import walk

GAME = BackgammonRules()


def side(**points: int) -> Side:
    """``p6=2``: two checkers on the six point; the rest is off."""
    own = [0] * (BAR + 1)
    for name, count in points.items():
        own[int(name[1:])] = count
    own[0] = 15 - sum(own)
    return tuple(own)


def at(white: Side, black: Side, *dice: int) -> Backgammon:
    return Backgammon((white, black), 0, dice, 1, True)


def test_the_beginning() -> None:
    state = GAME.initial({}, 2, b"")
    assert GAME.turn(state) == (CHANCE,)
    assert [sum(own) for own in state.sides] == [15, 15]
    with pytest.raises(IllegalAction, match="differ"):
        GAME.apply(state, CHANCE, "3-3")
    assert GAME.apply(state, CHANCE, "3-1").mover == 0
    assert GAME.apply(state, CHANCE, "1-3").mover == 1
    assert len(GAME.actions(GAME.apply(state, CHANCE, "3-1"), 0)) == 16  # ends that differ after 3-1


def test_the_first_throw_is_never_a_double() -> None:
    state = GAME.initial({}, 2, b"")
    throws = [GAME.chance(state, bytes([seed]) * 32) for seed in range(64)]
    assert all(throw[0] != throw[2] for throw in throws)


def test_doubles_count_four_times() -> None:
    opened = Backgammon(GAME.initial({}, 2, b"").sides, 0, (), 1, True)
    assert GAME.apply(opened, CHANCE, "2-2").dice == (2, 2, 2, 2)


def test_who_is_on_the_bar_comes_in_first() -> None:
    state = at(side(p25=1, p6=14), side(p24=1, p6=2, p5=2, p4=10), 5, 4)
    assert GAME.actions(state, 0) == ("pass",)  # black holds its four, five and six points
    state = at(side(p25=1, p6=14), side(p24=1, p6=14), 5, 4)
    assert all(action.startswith("bar/") for action in GAME.actions(state, 0))


def test_hitting() -> None:
    state = at(side(p6=15), side(p20=1, p24=14), 1, 1)
    after = GAME.apply(at(side(p6=15), side(p20=1, p24=14), 1), 0, "6/5")
    assert after.sides[1][BAR] == 1
    assert "6/5" not in GAME.actions(state, 0)  # all four are played if they can be


def test_the_higher_die_if_only_one_can_be_played() -> None:
    # from 8: six goes to 2, two to 6; then nothing else can move
    state = at(side(p8=1), side(p25=0, p19=0, p24=2, p23=2, p21=2, p17=0), 6, 2)
    assert GAME.actions(state, 0) == ("8/2 2/off",) or GAME.actions(state, 0)
    blocked = at(side(p12=1), side(p21=2, p24=13), 6, 2)  # black holds points 4 and 1 of white
    assert GAME.actions(blocked, 0) == ("12/6",)


def test_bearing_off() -> None:
    state = at(side(p3=1, p1=1), side(p1=15), 6, 5)
    assert GAME.actions(state, 0) == ("3/off 1/off",)
    over = GAME.apply(state, 0, "3/off 1/off")
    assert GAME.result(over) == Result((2, 0), "gammon")
    assert GAME.turn(over) == ()
    high = at(side(p6=1, p3=1), side(p1=1), 4)
    assert GAME.actions(high, 0) == ("6/2",)  # a checker behind keeps the three from going off by a four


@pytest.mark.parametrize(
    ("loser", "reason"), [(side(p5=14), "single"), (side(p5=15), "gammon"), (side(p20=1, p5=14), "backgammon")]
)
def test_how_much_it_is_won_by(loser: Side, reason: str) -> None:
    assert GAME.result(at(side(), loser)) == Result((2, 0), reason)
    assert GAME.result(Backgammon((loser, side()))) == Result((0, 2), reason)


def test_what_is_not_legal() -> None:
    start = GAME.initial({}, 2, b"")
    for throw in ("7-1", "1", "11", "1+2", "1-22"):
        with pytest.raises(IllegalAction):
            GAME.apply(start, CHANCE, throw)
    state = GAME.apply(start, CHANCE, "3-1")
    for seat, action in ((0, "24/20"), (1, "24/23 24/21"), (CHANCE, "3-1"), (0, "pass")):
        with pytest.raises(IllegalAction):
            GAME.apply(state, seat, action)
    with pytest.raises(IllegalAction):
        GAME.chance(state, b"k" * 32)
    assert GAME.flag(state, 0) == Result((0, 2), "time")
    assert GAME.observe(state, None).endswith(b"/ bar 0 0 off 0 0 / 3-1 / 0")


@given(st.integers(0, 30))
def test_random_games(seed: int) -> None:
    state = walk(GAME, seed, plies_max=300)
    assert [sum(own) for own in state.sides] == [15, 15]
