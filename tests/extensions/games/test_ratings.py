"""Glicko-2: the published example, and what must hold of any rating."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extensions.games.ratings import Rating, expected_score, rate, rate_match
from protocol.rules.base import Result

PLAYER = Rating(1500, 200, 0.06)
GAMES = [(Rating(1400, 30), 1.0), (Rating(1550, 100), 0.0), (Rating(1700, 300), 0.0)]


def test_the_published_example() -> None:
    after = rate(PLAYER, GAMES, 0.5)
    assert after.rating == pytest.approx(1464.06, abs=0.01)
    assert after.deviation == pytest.approx(151.52, abs=0.01)
    assert after.volatility == pytest.approx(0.05999, abs=0.00001)


def test_who_does_not_play_gets_less_certain() -> None:
    after = rate(PLAYER, [])
    assert (after.rating, after.volatility) == (1500, 0.06)
    assert after.deviation == pytest.approx(200.2714, abs=0.001)
    assert rate(Rating(), []).deviation == 350


def test_a_surprise_raises_the_volatility() -> None:
    after = rate(Rating(1500, 50, 0.06), [(Rating(2200, 30), 1.0)] * 6)
    assert after.volatility > 0.06
    assert after.rating > 1500
    assert after.interval[0] < after.rating < after.interval[1]


def test_a_match() -> None:
    one, other = rate_match((Rating(), Rating()), Result((2, 0), "checkmate"))
    assert one.rating - 1500 == pytest.approx(1500 - other.rating)
    assert one.rating > 1600
    draw = rate_match((Rating(), Rating()), Result((1, 1), "stalemate"))
    assert draw[0].rating == pytest.approx(1500)
    assert rate_match((one, other), Result((), "aborted")) == (one, other)
    with pytest.raises(ValueError, match="not of 3"):
        rate_match((one, other), Result((2, 0, 0), "x"))


ratings = st.builds(Rating, st.floats(500, 3000), st.floats(30, 350), st.floats(0.03, 0.1))


@given(ratings, st.lists(st.tuples(ratings, st.sampled_from((0.0, 0.5, 1.0))), max_size=5))
def test_what_holds_of_any_rating(player: Rating, games: list[tuple[Rating, float]]) -> None:
    after = rate(player, games)
    assert 0 < after.deviation <= 350
    assert 0 < after.volatility < 1
    expected = [expected_score(player, other) for other, _score in games]
    assert all(0 < value < 1 for value in expected)
    if games and all(score == 1 for _other, score in games):
        assert after.rating >= player.rating
    if games and all(score == 0 for _other, score in games):
        assert after.rating <= player.rating
