"""What the ranker learns, and what it refuses to: bad input is bounded, counted, and lifts nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from extensions.ranking import bounds as B
from extensions.ranking.events import (
    Deleted,
    Edited,
    Follow,
    Forget,
    Kind,
    Note,
    NoteRating,
    Post,
    Served,
    Signal,
    Tick,
)
from extensions.ranking.learner import Learner
from extensions.ranking.readers import ENGAGED
from tests.extensions.ranking.worlds import ANN, BOB, HOUR, NOW, posts


def world(count: int = 30) -> Learner:
    learner = Learner(seed=1)
    for post in posts(count):
        assert learner.apply(post) == "learned"
    return learner


def look(reader: bytes, post: bytes = b"p0001", at_ms: int = NOW) -> Signal:
    return Signal(reader, post, "view", 1.0, at_ms)


def like(reader: bytes, post: bytes = b"p0001", **more: Any) -> Signal:
    return Signal(reader, post, more.pop("kind", "like"), more.pop("value", 1.0), more.pop("at_ms", NOW), **more)


def popularity(learner: Learner, post: bytes = b"p0001") -> float:
    return float(learner.affinity.counts[0, learner.catalog.slot_of[post]] / learner.affinity.unit[0])


def test_an_engagement_enters_the_history_and_the_counts_once() -> None:
    learner = world()
    assert learner.apply(like(ANN)) == "learned"
    assert learner.apply(like(ANN)) == "ignored"
    reader = learner.readers.get(ANN)
    assert reader is not None
    assert reader.engaged == 1
    assert learner.apply(like(ANN, kind="share")) == "learned"
    assert reader.engaged == 1
    assert 0 < popularity(learner) <= 1


@pytest.mark.parametrize(
    ("kind", "value", "engaged"),
    [("view", 1.0, False), ("dwell", 1.0, False), ("dwell", 9.0, True), ("open", 1.0, True), ("like", 0.2, False)],
)
def test_what_counts_as_engagement(kind: Kind, value: float, engaged: bool) -> None:
    learner = world()
    learner.apply(like(ANN, kind=kind, value=value))
    reader = learner.readers.get(ANN)
    assert reader is not None
    assert bool(reader.engaged) is engaged


def test_a_longer_look_after_a_short_one_is_an_engagement_then() -> None:
    learner = world()
    learner.apply(like(ANN, kind="dwell", value=1.0))
    assert learner.apply(like(ANN, kind="finish")) == "learned"
    reader = learner.readers.get(ANN)
    assert reader is not None
    assert set(reader.done.values()) == {2 | ENGAGED}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
def test_what_is_no_number_is_refused(value: float) -> None:
    learner = world()
    before = popularity(learner)
    assert learner.apply(like(ANN, value=value)) == "refused"
    assert learner.refused == {"value is no number": 1}
    assert popularity(learner) == before


def test_huge_values_and_times_are_bounded() -> None:
    learner = world()
    learner.apply(like(ANN, value=1e300))
    assert popularity(learner) <= 1
    assert learner.apply(like(BOB, at_ms=-5)) == "refused"
    assert learner.apply(like(BOB, at_ms=2**60)) == "refused"
    learner.apply(like(BOB, at_ms=NOW + 99 * 86_400_000))
    assert learner.clock_ms <= NOW, "one wrong clock does not move the log's"


def test_a_million_signals_of_one_account_are_worth_one_for_each_post() -> None:
    learner = world()
    for _ in range(B.SIGNALS_PER_HOUR + 50):
        learner.apply(like(ANN))
    assert learner.refused == {"too many signals in this hour": 50}
    assert popularity(learner) <= 1
    assert learner.apply(like(ANN, b"p0002", at_ms=NOW + HOUR)) == "learned", "and the next hour is a new one"


def test_posts_out_of_bounds() -> None:
    learner = world()
    assert learner.apply(Post(b"", b"a", NOW)) == "refused"
    assert learner.apply(Post(b"x" * 99, b"a", NOW)) == "refused"
    assert learner.apply(Post(b"future", b"a", NOW + 9 * 86_400_000)) == "refused"
    assert learner.apply(posts(30)[0]) == "ignored"
    many = tuple(f"tag{n}" for n in range(10_000))
    assert learner.apply(Post(b"many", b"a", NOW, ("", "x" * 99, *many), media=-1, words=2**60)) == "learned"
    post = learner.catalog.post(learner.catalog.slot_of[b"many"])
    assert post.tags == many[:8]
    assert (post.media, post.words) == (0, B.WORDS_MAX)


def test_back_dated_posts_stay_old() -> None:
    learner = world()
    assert learner.apply(Post(b"old", b"a", 5)) == "learned"
    assert learner.clock_ms == NOW - 60_000


def test_unknown_contexts_and_posts_never_served_are_refused() -> None:
    learner = world()
    learner.apply(Served(ANN, b"ranking", NOW, (b"p0001", b"p0002")))
    assert learner.apply(like(ANN, context=b"ranking", position=0)) == "learned"
    assert learner.apply(like(BOB, context=b"ranking")) == "refused", "another reader's page"
    assert learner.apply(like(ANN, b"p0009", context=b"ranking")) == "refused"
    assert learner.apply(like(ANN, b"gone")) == "refused"
    assert learner.refused == {"unknown context": 1, "never served there": 1, "unknown post": 1}


def test_what_was_passed_over_counts_as_not_looked_at() -> None:
    learner = world()
    learner.apply(Served(ANN, b"ranking", NOW, tuple(b"p%04d" % n for n in range(10))))
    before = learner.heads.lessons
    learner.apply(like(ANN, b"p0005", kind="view", context=b"ranking", position=5))
    assert learner.heads.lessons == before + 4
    learner.apply(like(ANN, b"p0006", kind="view", context=b"ranking", position=999))
    assert learner.heads.lessons == before + 5


def test_a_ring_of_accounts_that_like_each_other_lifts_itself_little() -> None:
    """Twenty accounts write one post each and like all of the others; twenty strangers like one honest post."""
    learner = Learner(seed=1)
    ring = [b"ring%d" % n for n in range(20)]
    for account in ring:
        learner.apply(Post(b"by " + account, account, NOW))
    learner.apply(Post(b"honest", b"writer", NOW))
    for account in ring:
        for other in ring:
            learner.apply(like(account, b"by " + other))
    for n in range(20):
        for m in range(5):
            if n == 0:
                learner.apply(Post(b"other%d" % m, b"somebody", NOW))
            learner.apply(like(b"stranger%d" % n, b"other%d" % m))
        learner.apply(like(b"stranger%d" % n, b"honest"))
    best = max(popularity(learner, b"by " + account) for account in ring)
    assert best < popularity(learner, b"honest")
    own = learner.apply(like(ring[0], b"by " + ring[0]))
    assert own == "ignored", "nobody lifts an own post"


def test_new_accounts_weigh_little_for_others() -> None:
    learner = world()
    reader = learner.readers.want(ANN, 0)
    assert learner.credibility(ANN, reader, b"author1") == B.CREDIBILITY_MIN
    reader.engaged = 500
    assert learner.credibility(ANN, reader, b"author1") == 1


def test_reports_beyond_the_cap_change_only_the_reporters_own_pages() -> None:
    learner = world(60)
    for n in range(B.NEGATIVES_PER_DAY + 10):
        learner.apply(look(ANN, b"p%04d" % n))
        learner.apply(like(ANN, b"p%04d" % n, kind="report"))
    assert len(learner.posts) == B.NEGATIVES_PER_DAY
    lessons = learner.heads.lessons
    assert lessons == B.NEGATIVES_PER_DAY * 2 + 10
    reader = learner.readers.get(ANN)
    assert reader is not None
    assert len(reader.acts) == B.NEGATIVES_PER_DAY + 10
    learner.apply(look(ANN, b"p0059", NOW + 86_400_000))
    learner.apply(like(ANN, b"p0059", kind="hide", at_ms=NOW + 86_400_000))
    assert learner.heads.lessons == lessons + 2, "a new day"


def test_who_only_tells_what_it_liked_teaches_the_heads_nothing() -> None:
    learner = world()
    learner.apply(like(ANN))
    assert learner.heads.lessons == 0
    learner.apply(look(ANN))
    learner.apply(like(ANN, kind="share"))
    assert learner.heads.lessons == 2


def test_wishes_for_less_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(B, "LESS_MAX", 3)
    learner = world()
    for n in range(5):
        learner.apply(like(ANN, b"p%04d" % n, kind="less"))
    reader = learner.readers.get(ANN)
    assert reader is not None
    assert len(reader.less) == 3
    assert int(learner.catalog.features[4][4]) in reader.less


def test_an_edited_post_loses_what_was_said_of_its_old_text() -> None:
    learner = world()
    learner.apply(Note(b"note", b"p0001", b"writer", NOW))
    learner.apply(NoteRating(b"note", ANN, NOW, 1.0))
    learner.apply(like(BOB))
    assert (len(learner.posts), len(learner.notes)) == (1, 1)
    assert learner.apply(Edited(b"p0001", NOW, ("other",), 1, 5)) == "learned"
    assert (len(learner.posts), len(learner.notes)) == (0, 0)
    assert learner.catalog.post(1).tags == ("other",)
    assert learner.apply(Edited(b"gone", NOW)) == "refused"


def test_a_deleted_post_takes_everything_with_it() -> None:
    learner = world()
    learner.apply(like(ANN))
    learner.apply(Note(b"note", b"p0001", b"writer", NOW))
    assert learner.apply(Deleted(b"p0001", NOW)) == "learned"
    assert learner.apply(Deleted(b"p0001", NOW)) == "refused"
    assert not learner.note_of
    reader = learner.readers.get(ANN)
    assert reader is not None
    assert not len(reader.history(learner.catalog))


def test_posts_are_bounded_and_the_untouched_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(B, "POSTS_MAX", 16)
    learner = world(16)
    learner.apply(like(ANN, b"p0000"))
    learner.apply(Post(b"new", b"a", NOW))
    assert len(learner.catalog) == 15
    assert b"p0000" in learner.catalog.slot_of
    assert b"p0001" not in learner.catalog.slot_of


def test_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(B, "FOLLOWS_MAX", 1)
    learner = world()
    assert learner.apply(Follow(ANN, b"author1", NOW)) == "learned"
    assert learner.apply(Follow(ANN, b"author2", NOW)) == "refused"
    assert learner.apply(Follow(ANN, b"author1", NOW, on=False)) == "learned"
    assert learner.apply(Follow(ANN, b"author1", NOW, on=False)) == "ignored"
    assert learner.apply(Follow(ANN, b"x" * 99, NOW)) == "refused"
    assert learner.apply(like(b"x" * 99)) == "refused"


def test_notes_and_their_ratings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(B, "NOTES_MAX", 2)
    monkeypatch.setattr(B, "RATINGS_PER_RATER", 1)
    learner = world()
    sources = tuple(f"https://example.org/{n}" for n in range(20))
    assert learner.apply(Note(b"one", b"p0001", b"writer", NOW, ("x" * 999, *sources))) == "learned"
    assert learner.note_of[b"one"].sources == sources[:8]
    assert learner.apply(Note(b"one", b"p0001", b"writer", NOW)) == "ignored"
    assert learner.apply(Note(b"n", b"gone", b"writer", NOW)) == "refused"
    assert learner.apply(NoteRating(b"one", ANN, NOW, 1.0)) == "learned"
    assert learner.apply(NoteRating(b"one", b"writer", NOW, 1.0)) == "ignored", "their own"
    assert learner.apply(NoteRating(b"one", BOB, NOW, 0.7)) == "refused"
    assert learner.apply(NoteRating(b"none", BOB, NOW, 1.0)) == "refused"
    learner.apply(Note(b"two", b"p0001", b"writer", NOW))
    assert learner.apply(NoteRating(b"two", ANN, NOW, 1.0)) == "refused"
    learner.apply(Note(b"three", b"p0002", b"writer", NOW))
    assert list(learner.note_of) == [b"two", b"three"]
    assert learner.notes_on[b"p0001"] == [b"two"]
    assert learner.apply(Tick(NOW)) == "learned"


def test_a_reader_is_forgotten_entirely() -> None:
    learner = world()
    for n in range(5):
        learner.apply(like(ANN, b"p%04d" % n))
    learner.apply(like(ANN, b"p0009", kind="hide"))
    learner.apply(Served(ANN, b"ranking", NOW, (b"p0001",)))
    assert learner.apply(Forget(ANN, NOW)) == "learned"
    assert learner.apply(Forget(ANN, NOW)) == "ignored"
    assert learner.readers.get(ANN) is None
    assert (len(learner.posts), len(learner.served), len(learner.rates)) == (0, 0, 0)


def test_memory_of_pages_and_rates_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = world()
    monkeypatch.setattr(B, "READERS_MAX", 3)
    for n in range(5):
        learner.apply(Served(b"r%d" % n, b"ranking", NOW, ()))
        learner.apply(like(b"r%d" % n))
    assert len(learner.served) == len(learner.rates) == 3
    for n in range(B.RANKINGS_KEPT + 2):
        learner.apply(Served(ANN, b"ranking%d" % n, NOW, ()))
    assert len(learner.served[ANN]) == B.RANKINGS_KEPT


def test_nothing_infinite_reaches_the_heads() -> None:
    assert np.isfinite(world().normal(np.array([np.nan, np.inf, -np.inf, 1e300]))).all()
