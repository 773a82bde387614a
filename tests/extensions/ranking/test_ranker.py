"""The ranker as its worker sees it."""

from __future__ import annotations

import msgspec
import pytest

from extensions.ranking import bounds as B
from extensions.ranking.events import Follow, Forget, Note, NoteRating, Post, Signal, Tick
from extensions.ranking.judgements import Rules
from extensions.ranking.ranker import Ranker, RankingError, Settings, served
from protocol.scoring.page import check_briefing, check_page
from tests.extensions.ranking.worlds import ANN, BOB, HOUR, NOW, lived


def test_pages_of_one_ranking_follow_each_other() -> None:
    ranker = lived()
    settings = Settings(count=5)
    first = ranker.page(ANN, NOW, settings)
    assert first.next == 5
    ranker.apply(Signal(BOB, first.items[0].post, "like", 1.0, NOW))
    second = ranker.page(ANN, NOW, settings, (first.ranking, 5))
    check_page(first, ranker.weights)
    assert ranker.above(ANN, (first.ranking, 5)) == first.items
    check_page(second, ranker.weights, ranker.above(ANN, (first.ranking, 5)))
    assert not {item.post for item in first.items} & {item.post for item in second.items}
    beyond = ranker.page(ANN, NOW, settings, (first.ranking, 10**9))
    assert (beyond.items, beyond.next) == ((), None)
    assert ranker.above(BOB, (first.ranking, 5)) == ()


def test_another_readers_cursor_and_an_old_one_are_refused() -> None:
    ranker = lived()
    page = ranker.page(ANN, NOW, Settings())
    with pytest.raises(RankingError, match="without a cursor"):
        ranker.page(BOB, NOW, Settings(), (page.ranking, 5))
    with pytest.raises(RankingError, match="without a cursor"):
        ranker.page(ANN, NOW + 2 * B.RANKING_LIFE_MS, Settings(), (page.ranking, 5))
    for later in range(B.RANKINGS_KEPT):
        ranker.page(ANN, NOW + later + 1, Settings())
    with pytest.raises(RankingError, match="without a cursor"):
        ranker.page(ANN, NOW, Settings(), (page.ranking, 5))


def test_counts_of_a_page_are_bounded() -> None:
    ranker = lived()
    assert len(ranker.page(ANN, NOW, Settings(count=10**9)).items) <= 50
    assert len(ranker.page(ANN, NOW, Settings(count=-3)).items) == 1


def test_a_page_is_an_event_that_signals_may_name() -> None:
    ranker = lived()
    page = ranker.page(ANN, NOW, Settings(count=50))
    event = served(page)
    assert event.ranking == page.ranking
    assert [place for place, _ in event.explored] == [n for n, item in enumerate(page.items) if item.explored]
    assert ranker.apply(Signal(ANN, page.items[3].post, "view", 1.0, NOW, page.ranking, 3)) == "learned"


def test_kept_rankings_are_bounded_by_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(B, "READERS_MAX", 2)
    ranker = lived()
    first = ranker.page(b"a", NOW, Settings())
    for reader in (b"b", b"c"):
        ranker.page(reader, NOW, Settings())
    with pytest.raises(RankingError):
        ranker.page(b"a", NOW, Settings(), (first.ranking, 5))


def judged() -> Ranker:
    """A day on which 24 people of two sides judge posts and a note: `p0055` and the note help all."""
    ranker = Ranker(seed=1, rules=Rules(note_min=5, rater_min=5, side_min=3))
    for post in range(40, 60):
        ranker.apply(Post(b"p%04d" % post, b"author%d" % post, NOW - HOUR, ("news",)))
    for number, about in ((1, b"p0055"), (2, b"p0041"), (3, b"p0042"), (4, b"p0043"), (5, b"p0044")):
        ranker.apply(Note(b"note%d" % number, about, b"writer", NOW, ("https://example.org",)))
    for person in range(24):
        who = b"person%d" % person
        for post in range(40, 60):
            good = post == 55 or (post < 48 and person % 2 == 0) or (48 <= post < 55 and person % 2 == 1)
            ranker.apply(Signal(who, b"p%04d" % post, "like" if good else "hide", 1.0, NOW + person))
        for number in range(1, 6):
            good = number in (1, 2) or (number == 3 and person % 2 == 0) or (number == 4 and person % 2 == 1)
            ranker.apply(NoteRating(b"note%d" % number, who, NOW, float(good)))
    ranker.apply(Tick(NOW))
    return ranker


def test_the_briefing_begins_with_what_bridges_and_says_who_agreed() -> None:
    ranker = judged()
    briefing = ranker.briefing(ANN, NOW)
    check_briefing(briefing, ranker.weights)
    assert 1 <= len(briefing.items) <= 7
    first = briefing.items[0]
    assert first.item.post == b"p0055"
    assert first.item.terms[7] > 0
    assert (first.agreement.helpful_one, first.agreement.helpful_other) == (12, 12)
    assert first.item.note == b"note1"
    assert first.sources == ("https://example.org",)
    assert first.note_agreement is not None
    assert first.note_agreement.raters_one == 12
    assert all(one.item.terms[7] <= 0 for one in briefing.items[1:])


def test_a_seen_post_is_still_in_the_briefing() -> None:
    ranker = judged()
    ranker.apply(Signal(ANN, b"p0055", "view", 1.0, NOW))
    assert ranker.briefing(ANN, NOW, Settings(count=3)).items[0].item.post == b"p0055"


def test_posts_without_judgements_have_nobodys_agreement() -> None:
    briefing = lived().briefing(ANN, NOW)
    assert {one.agreement.raters_one for one in briefing.items} == {0}


def test_what_is_known_is_told_and_forgotten() -> None:
    ranker = lived()
    ranker.apply(Follow(ANN, b"author1", NOW))
    ranker.apply(Signal(ANN, b"p0002", "like", 1.0, NOW))
    ranker.apply(Signal(ANN, b"p0003", "less", 1.0, NOW))
    ranker.page(ANN, NOW, Settings())
    told = ranker.export(ANN)
    assert told["follows"] == [b"author1".hex()]
    assert told["engaged"] == [b"p0002".hex()]
    assert set(told["saw"]) == {b"p0002".hex(), b"p0003".hex()}
    assert told["did"][b"p0002".hex()] == ["like"]
    assert len(told["wants_less_of"]) == 2
    assert told["judged_posts"] == {b"p0002".hex(): 1.0, b"p0003".hex(): 0.0}
    assert len(told["rankings_kept"]) == 1
    msgspec.json.encode(told)
    ranker.apply(Forget(ANN, NOW))
    ranker.forget(ANN)
    assert not any(ranker.export(ANN).values())


def test_statistics_say_what_was_refused_and_how_far_expectations_drift() -> None:
    ranker = lived()
    ranker.apply(Signal(ANN, b"gone", "like", 1.0, NOW))
    told = ranker.statistics()
    assert told.refused == {"unknown post": 1}
    assert (told.posts, told.readers) == (60, 10)
    assert told.features > 0
    assert set(told.drift) == {"view", "dwell", "like", "reply", "share", "hide", "report"}
    assert Ranker().statistics().drift["like"] == 1.0
