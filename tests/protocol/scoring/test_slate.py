"""The order of a page."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.scoring.score import similarity, slate_terms
from protocol.scoring.slate import WINDOW, Candidate, select
from protocol.scoring.weights import DEFAULT


def post(number: int, base: int, author: int, *tags: str) -> Candidate:
    return Candidate(b"%06d" % number, b"a%d" % author, frozenset(tags), tags[0] if tags else "", base)


def plain_select(candidates: list[Candidate], count: int) -> list[int]:
    """The definition, without a heap: at each place the best that fits there."""
    chosen: list[int] = []
    while len(chosen) < count:
        window = [candidates[i] for i in chosen[-(WINDOW - 1) :]]
        scored = []
        for index, one in enumerate(candidates):
            if index in chosen or sum(o.author == one.author for o in window) >= DEFAULT.authors_in_ten:
                continue
            of_author = sum(candidates[i].author == one.author for i in chosen)
            likeness = max((similarity(one.tags, candidates[i].tags) for i in chosen), default=0)
            score = one.base + sum(slate_terms(one.base, of_author, likeness, DEFAULT))
            full = bool(one.topic) and sum(o.topic == one.topic for o in window) >= DEFAULT.topics_in_ten
            scored.append((full, -score, one.key, index))
        if not scored:
            break
        chosen.append(min(scored)[3])
    return chosen


candidates_of = st.lists(
    st.tuples(st.integers(-50, 50), st.integers(0, 6), st.lists(st.sampled_from("abcd"), max_size=3, unique=True)),
    max_size=30,
)


@given(candidates_of, st.integers(1, 25))
@settings(max_examples=60, deadline=None)
def test_the_heap_finds_what_the_definition_says(rows: list[tuple[int, int, list[str]]], count: int) -> None:
    candidates = [post(n, base * 1000, author, *tags) for n, (base, author, tags) in enumerate(rows)]
    assert [placed.index for placed in select(candidates, DEFAULT, count)] == plain_select(candidates, count)


def test_no_author_stands_more_than_twice_among_ten_in_a_row() -> None:
    candidates = [post(n, 1000 - n, n % 3) for n in range(40)] + [post(100 + n, 10, 10 + n) for n in range(40)]
    authors = [candidates[placed.index].author for placed in select(candidates, DEFAULT, 50)]
    assert all(authors[i : i + 10].count(a) <= 2 for i in range(len(authors)) for a in set(authors))


def test_rather_a_short_page_than_a_third_of_one_author() -> None:
    assert len(select([post(n, 100, 1) for n in range(30)], DEFAULT, 10)) == 2


def test_a_topic_has_four_of_ten_while_there_are_others() -> None:
    candidates = [post(n, 1000, n, "war") for n in range(10)] + [post(20 + n, 10, 20 + n) for n in range(6)]
    topics = [candidates[placed.index].topic for placed in select(candidates, DEFAULT, 16)]
    assert topics[:10].count("war") == 4
    assert len(topics) == 16


def test_what_was_lost_is_told() -> None:
    first, second = select([post(1, 1000, 1, "a"), post(2, 900, 1, "a")], DEFAULT, 2)
    assert (first.author_points, first.diversity_points) == (0, 0)
    assert (second.author_points, second.diversity_points) == slate_terms(900, 1, 1000, DEFAULT)
