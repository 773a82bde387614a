"""The ranker as its worker sees it."""

from __future__ import annotations

import pytest

from extensions.ranking.events import Deleted, Follow, Forget, Post, Signal
from extensions.ranking.ranker import Ranker, RankingError, Settings
from protocol.scoring.page import check_page

NOW = 1_700_000_000_000
ANN, BOB = b"ann", b"bob"


def ranker(posts: int = 30) -> Ranker:
    made = Ranker(seed=1)
    for n in range(posts):
        made.apply(Post(b"p%02d" % n, b"author%d" % (n % 12), NOW - 1000 * n, (f"tag{n % 5}",)))
    return made


def test_pages_of_one_ranking_follow_each_other() -> None:
    made = ranker()
    settings = Settings(count=5)
    first = made.page(ANN, NOW, settings)
    made.apply(Signal(BOB, b"p29", "like", 1.0, NOW))
    second = made.page(ANN, NOW, settings, (first.ranking, 5))
    check_page(first, made.weights)
    check_page(second, made.weights, first.items)
    assert not {item.post for item in first.items} & {item.post for item in second.items}


def test_another_readers_cursor_is_refused() -> None:
    made = ranker()
    page = made.page(ANN, NOW, Settings())
    with pytest.raises(RankingError, match="without a cursor"):
        made.page(BOB, NOW, Settings(), (page.ranking, 5))


def test_what_was_seen_or_deleted_does_not_come_again() -> None:
    made = ranker()
    made.apply(Signal(ANN, b"p00", "view", 1.0, NOW))
    made.apply(Deleted(b"p01", NOW))
    shown = {item.post for item in made.page(ANN, NOW, Settings(count=50)).items}
    assert shown
    assert not shown & {b"p00", b"p01"}


def test_a_reader_is_forgotten() -> None:
    made = ranker()
    made.apply(Follow(ANN, b"author1", NOW))
    made.apply(Signal(ANN, b"p00", "view", 1.0, NOW))
    assert made.export(ANN)["follows"]
    made.apply(Forget(ANN, NOW))
    assert not made.export(ANN)["follows"]
