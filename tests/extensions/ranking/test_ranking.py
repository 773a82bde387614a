"""One ranking: filtered, scored, explored, laid out."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from extensions.ranking import bounds as B
from extensions.ranking.events import Deleted, Follow, Post, Signal
from extensions.ranking.ranker import Ranker, Settings
from extensions.ranking.ranking import base_of
from protocol.scoring.page import check_page
from protocol.scoring.score import Facts, Slider, base_terms
from protocol.scoring.weights import ACTIONS, DEFAULT, PPB
from tests.extensions.ranking.worlds import ANN, NOW, lived, posts

permille = st.integers(0, 1000)


@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, PPB), min_size=7, max_size=7), st.integers(-1000, 1000), permille),
        min_size=1,
        max_size=20,
    ),
    permille,
    permille,
)
@settings(max_examples=40, deadline=None)
def test_numpy_and_the_specification_get_the_same_terms(
    rows: list[tuple[list[int], int, int]], bridging: int, fresh: int
) -> None:
    slider = Slider(bridging, fresh)
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    found = base_of(columns[0], columns[1], columns[2], DEFAULT, slider)
    expected = [list(base_terms(Facts(tuple(p), lift, age), DEFAULT, slider)) for p, lift, age in rows]
    assert found.tolist() == expected


def shown(ranker: Ranker, **wanted: object) -> list[bytes]:
    page = ranker.page(ANN, NOW, msgspec.structs.replace(Settings(count=50), **wanted))
    check_page(page, ranker.weights)
    return [item.post for item in page.items]


def test_filters_come_first() -> None:
    ranker = lived()
    everything = set(shown(ranker))
    assert len(everything) > 20
    author = {b"p%04d" % n for n in range(1, 60, 12)}
    assert everything & author
    assert not set(shown(ranker, blocked=frozenset([b"author1"]))) & author
    assert not set(shown(ranker, muted=frozenset([b"author1"]))) & author
    assert not set(shown(ranker, muted_tags=frozenset(["tag1"]))) & {b"p%04d" % n for n in range(1, 60, 5)}
    ranker.apply(Post(b"mine", ANN, NOW))
    ranker.apply(Post(b"ancient", b"author1", NOW - B.POST_AGE_MS))
    ranker.apply(Deleted(b"p0005", NOW))
    ranker.apply(Signal(ANN, b"p0006", "view", 1.0, NOW))
    assert not set(shown(ranker)) & {b"mine", b"ancient", b"p0005", b"p0006"}


def test_why_not_says_why() -> None:
    ranker = lived()
    ranker.apply(Post(b"mine", ANN, NOW))
    ranker.apply(Post(b"ancient", b"author1", NOW - B.POST_AGE_MS))
    ranker.apply(Signal(ANN, b"p0006", "view", 1.0, NOW))

    def why(post: bytes, wanted: Settings | None = None) -> str:
        return ranker.why_not(ANN, post, NOW, wanted)

    assert "not known" in why(b"gone")
    assert "your own" in why(b"mine")
    assert "seen" in why(b"p0006")
    assert "older than 14 days" in why(b"ancient")
    assert "blocked" in why(b"p0001", Settings(blocked=frozenset([b"author1"])))
    assert "muted its author" in why(b"p0001", Settings(muted=frozenset([b"author1"])))
    assert "muted one of its tags" in why(b"p0001", Settings(muted_tags=frozenset(["tag1"])))
    first = ranker.page(ANN, NOW, Settings(count=50)).items[0].post
    assert why(first) == "it is on your pages, in place 1"


def test_why_not_of_a_post_that_others_beat() -> None:
    ranker = Ranker(seed=1)
    for post in posts(200, authors=200):
        ranker.apply(post)
    page = ranker.page(ANN, NOW, Settings(count=50, explore=False))
    rest = ranker.page(ANN, NOW, Settings(count=50, explore=False), (page.ranking, 50))
    left_out = set(ranker.learner.catalog.slot_of) - {item.post for item in (*page.items, *rest.items)}
    assert left_out
    assert "it scores" in ranker.why_not(ANN, min(left_out), NOW, Settings(explore=False))


def test_why_not_of_a_post_that_is_no_candidate() -> None:
    ranker = Ranker(seed=1)
    for post in posts(B.NEWEST + 400, authors=500):
        ranker.apply(post)
    index = next(
        n
        for n in range(400)
        if n not in ranker._maker.candidates(ranker.learner.readers.want(ANN, 0), np.zeros(0, dtype=np.int64))
    )
    assert f"more than {B.CANDIDATES}" in ranker.why_not(ANN, b"p%04d" % index, NOW)


def test_chronological_is_by_time_alone() -> None:
    ranker = lived()
    assert shown(ranker, chronological=True) == [b"p%04d" % n for n in range(59, 9, -1)]


def test_one_place_in_twenty_explores_with_its_propensity_told() -> None:
    ranker = Ranker(seed=1)
    for post in posts(200, authors=200):
        ranker.apply(post)
    page = ranker.page(ANN, NOW, Settings(count=50))
    check_page(page, ranker.weights)
    explored = [(place, item) for place, item in enumerate(page.items) if item.explored]
    assert [place // B.EXPLORE_EVERY for place, _ in explored] == list(range(len(explored)))
    assert len(explored) >= 2
    assert {item.source for _, item in explored} == {"exploration"}
    assert explored[0][1].explored == 1_000_000 // 200
    assert not any(item.explored for item in ranker.page(ANN, NOW, Settings(explore=False)).items)


def test_posts_that_many_looked_at_are_not_explored() -> None:
    ranker = Ranker(seed=1)
    for post in posts(3):
        ranker.apply(post)
    for post in posts(3):
        for n in range(B.EXPLORE_VIEWS):
            ranker.apply(Signal(b"r%d" % n, post.id, "view", 1.0, NOW))
    assert not any(item.explored for item in ranker.page(ANN, NOW, Settings()).items)


def test_less_like_this_changes_the_next_page() -> None:
    ranker = lived()
    before = shown(ranker, explore=False)
    first = ranker.learner.catalog.post(ranker.learner.catalog.slot_of[before[0]])
    ranker.apply(Signal(ANN, before[0], "less", 1.0, NOW))
    after = shown(ranker, explore=False)
    same = [post for post in before if ranker.learner.catalog.posts[int(post[1:])].tags == first.tags]  # type: ignore[union-attr]
    places = [after.index(post) for post in same if post in after]
    assert before[0] not in after
    assert sum(places) / len(places) > sum(before.index(post) for post in same[1:]) / len(same[1:])
    hide = ACTIONS.index("hide")
    page = ranker.page(ANN, NOW, Settings(count=50, explore=False))
    assert max(item.terms[hide] for item in page.items if item.post in same) < max(
        item.terms[hide] for item in page.items
    )


def test_people_one_follows_are_candidates_by_that() -> None:
    ranker = lived()
    ranker.apply(Follow(ANN, b"author3", NOW))
    page = ranker.page(ANN, NOW, Settings(count=50, explore=False))
    assert {item.source for item in page.items if item.author == b"author3"} == {"follows"}
    assert len({item.source for item in page.items}) > 1
