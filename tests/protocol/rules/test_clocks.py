"""Clocks: each way of giving time, the network's share, and when a flag falls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.limits import GAME_LAG_MOVES
from protocol.rules import clocks as C
from protocol.rules.base import ParameterError


def running(text: str, lag_ms: int = 0, seats: tuple[int, ...] = (0,)) -> tuple[C.Spec, C.Clocks]:
    spec = C.parse_spec(text, lag_ms)
    return spec, C.run(C.new(spec, 2), seats, 1000)


def test_fischer() -> None:
    spec, clocks = running("10+2")
    after = C.charge(spec, clocks, 0, 5000, None)
    assert (after.left_ms, after.running) == ((8000, 10_000), ())
    assert C.charge(spec, clocks, 0, 5000, None, moved=False).left_ms[0] == 6000
    assert C.charge(spec, clocks, 0, 10_999, None).left_ms[0] == 2001
    with pytest.raises(C.FlagFallen, match="0 ms before"):
        C.charge(spec, clocks, 0, 11_000, None)
    assert C.charge(spec, clocks, 1, 99_000, None) == clocks  # it does not run


def test_bronstein() -> None:
    spec, clocks = running("bronstein 10+2")
    assert C.charge(spec, clocks, 0, 2500, None).left_ms[0] == 10_000  # less than the delay costs nothing
    assert C.charge(spec, clocks, 0, 6000, None).left_ms[0] == 7000
    assert C.deadline_ms(spec, clocks, 0) == 13_000
    with pytest.raises(C.FlagFallen):
        C.charge(spec, clocks, 0, 13_000, None)


def test_byo_yomi() -> None:
    spec, clocks = running("10+3x5")
    after = C.charge(spec, clocks, 0, 9000, None)
    assert (after.left_ms[0], after.periods[0]) == (2000, 3)
    into = C.charge(spec, clocks, 0, 1000 + 14_999, None)
    assert (into.left_ms[0], into.periods[0]) == (0, 3)  # within the first period: it comes back
    two = C.charge(spec, clocks, 0, 1000 + 10_000 + 5_000, None)
    assert (two.left_ms[0], two.periods[0]) == (0, 2)
    assert C.deadline_ms(spec, clocks, 0) == 1000 + 10_000 + 15_000
    with pytest.raises(C.FlagFallen):
        C.charge(spec, clocks, 0, 26_000, None)


def test_correspondence() -> None:
    spec, clocks = running("2d")
    day = 86_400_000
    assert C.charge(spec, clocks, 0, 1000 + day, None).left_ms[0] == 2 * day
    assert C.charge(spec, clocks, 0, 1000 + day, None, moved=False).left_ms[0] == day
    assert C.deadline_ms(spec, clocks, 0) == 1000 + 2 * day


def test_no_clock() -> None:
    spec, clocks = running("none")
    assert C.charge(spec, clocks, 0, 10**12, None).running == ()
    assert C.next_deadline_ms(spec, clocks) is None
    assert C.fallen(spec, clocks, 10**12) == ()


def test_the_networks_time_is_not_the_players_up_to_a_cap() -> None:
    spec, clocks = running("10+0", 500)
    assert C.charge(spec, clocks, 0, 5000, 3800).left_ms[0] == 6200  # 200 ms of the net
    assert C.charge(spec, clocks, 0, 5000, 0).left_ms[0] == 6500  # whoever says nothing was spent gains the cap
    assert C.charge(spec, clocks, 0, 5000, 9999).left_ms[0] == 6000  # nobody is charged more than went by
    assert C.charge(spec, clocks, 0, 5000, 3800).lag_ms[0] == 500 * GAME_LAG_MOVES - 200
    assert C.deadline_ms(spec, clocks, 0) == 11_500
    clocks = C.new(spec, 2)
    for move in range(GAME_LAG_MOVES + 2):
        clocks = C.charge(spec, C.run(clocks, (0,), 0), 0, 500, 0)
        assert clocks.left_ms[0] == 10_000 - max(0, move + 1 - GAME_LAG_MOVES) * 500


def test_flags() -> None:
    spec, clocks = running("10+0", seats=(0, 1))
    assert C.fallen(spec, clocks, 10_999) == ()
    assert C.fallen(spec, clocks, 11_000) == (0, 1)
    one = C.Clocks((10_000, 9_999), (0, 0), (0, 0), (0, 1), 1000)
    assert C.fallen(spec, one, 99_000) == (1,)
    assert C.deadline_ms(spec, C.run(clocks, (0,), 5), 1) is None
    assert C.run(clocks, (0, 1), 77) == clocks


@given(st.sampled_from(("10+2", "bronstein 10+2", "10+3x5", "1d")), st.integers(0, 200_000_000), st.integers(0, 10**9))
def test_a_flag_has_fallen_exactly_when_a_move_is_too_late(text: str, wait: int, think: int) -> None:
    spec, clocks = running(text, 0)
    fallen = bool(C.fallen(spec, clocks, 1000 + wait))
    try:
        after = C.charge(spec, clocks, 0, 1000 + wait, think)
    except C.FlagFallen:
        assert fallen
    else:
        assert not fallen
        assert after.left_ms[0] >= 0
        assert after.periods[0] >= (1 if spec.periods else 0)


@pytest.mark.parametrize("text", ["none", "300+3", "bronstein 300+3", "600+5x30", "3d"])
def test_a_clock_as_text(text: str) -> None:
    assert C.format_spec(C.parse_spec(text)) == text


def test_fischer_is_what_is_meant() -> None:
    assert C.parse_spec("fischer 5+1") == C.parse_spec("5+1")


@pytest.mark.parametrize("text", ["", "5", "0+3", "5+0x30", "5+3x0", "0d", "99d", "blitz", "9999999+0", "5+3 "])
def test_what_is_no_clock(text: str) -> None:
    with pytest.raises(ParameterError):
        C.parse_spec(text)


def test_too_much_lag() -> None:
    with pytest.raises(ParameterError):
        C.parse_spec("5+3", 1001)
    with pytest.raises(ParameterError):
        C.check_spec(C.Spec(C.System.NONE, 1))
