"""The arithmetic of one score."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol.scoring.score import (
    TERMS,
    Facts,
    Slider,
    author_share,
    base_terms,
    engagement_share,
    similarity,
    slate_terms,
)
from protocol.scoring.weights import ACTIONS, DEFAULT, PPB

SOME = (PPB // 2, PPB // 10, PPB // 20, PPB // 50, PPB // 100, PPB // 1000, 0)
facts_of = st.builds(
    Facts,
    st.tuples(*[st.integers(0, PPB)] * len(ACTIONS)),
    st.integers(-1000, 1000),
    st.integers(0, 1000),
)
sliders = st.builds(Slider, st.integers(0, 1000), st.integers(0, 1000))


def test_engagement_alone_is_the_weighted_sum() -> None:
    terms = base_terms(Facts(SOME, 900, 900), DEFAULT, Slider(0, 0))
    assert terms[:7] == tuple(w * p // 1000 for w, p in zip(DEFAULT.actions, SOME, strict=True))
    assert terms[7:] == (0, 0)
    assert len(terms) + 2 == len(TERMS)


@given(facts_of, sliders)
def test_bridging_moves_a_post_by_at_most_half_of_its_own_good(facts: Facts, slider: Slider) -> None:
    alone = sum(points for points in base_terms(facts, DEFAULT, Slider(0, 0))[:7] if points > 0)
    bridging = base_terms(facts, DEFAULT, slider)[7]
    assert abs(bridging) <= alone // 2 + 1
    assert all(abs(points) < 2**53 for points in base_terms(facts, DEFAULT, slider))


@given(facts_of, sliders)
def test_no_setting_makes_a_report_cheaper(facts: Facts, slider: Slider) -> None:
    assert base_terms(facts, DEFAULT, slider)[6] == base_terms(facts, DEFAULT, Slider(0, 0))[6]


@given(facts_of, sliders)
def test_likes_and_dislikes_keep_their_proportion(facts: Facts, slider: Slider) -> None:
    share = engagement_share(slider, DEFAULT)
    terms, whole = base_terms(facts, DEFAULT, slider), base_terms(facts, DEFAULT, Slider(0, 0))
    assert list(terms[:6]) == [term * share // 1000 for term in whole[:6]]


def test_the_slider_leaves_a_share_of_engagement() -> None:
    assert engagement_share(Slider(0, 0), DEFAULT) == 1000
    assert engagement_share(Slider(1000, 0), DEFAULT) == engagement_share(Slider(0, 1000), DEFAULT) == 200


def test_fresh_posts_gain_only_if_the_reader_wants_them() -> None:
    facts = Facts((0,) * 7, 0, 500)
    assert base_terms(facts, DEFAULT, Slider(0, 0))[8] == 0
    assert base_terms(facts, DEFAULT, Slider(0, 1000))[8] == PPB // 2


def test_further_posts_of_an_author_count_less_but_never_nothing() -> None:
    assert [author_share(n, DEFAULT) for n in (0, 1, 2, 3, 50)] == [1000, 625, 437, 343, 250]


def test_similarity_is_the_share_of_common_tags() -> None:
    assert similarity(frozenset("ab"), frozenset("bc")) == 333
    assert similarity(frozenset(), frozenset()) == 0


@given(st.integers(-(2**40), 2**40), st.integers(0, 20), st.integers(0, 1000))
def test_the_slate_only_takes_away(base: int, earlier: int, likeness: int) -> None:
    author, diversity = slate_terms(base, earlier, likeness, DEFAULT)
    assert author <= 0
    assert diversity <= 0
    assert slate_terms(base, 0, 0, DEFAULT) == (0, 0)
