"""Ratings, and what bridging makes of them."""

from __future__ import annotations

import pytest

from extensions.ranking import bounds as B
from extensions.ranking.judgements import Judgements, Rules, Verdict
from protocol.scoring.page import Agreement

SMALL = Rules(note_min=5, rater_min=5, side_min=3)


def town(rules: Rules = SMALL) -> Judgements:
    """24 people of two sides: `good` helps all, `left` and `right` please one side, `bad` nobody; and each again."""
    found = Judgements(rules, 1)
    for person in range(24):
        side = person % 2
        for copy in range(4):
            said = {"good": 1.0, "bad": 0.0, "left": float(side == 0), "right": float(side == 1)}
            for name, value in said.items():
                found.rate(b"%s%d" % (name.encode(), copy), b"person%d" % person, value)
    return found


def test_only_what_both_sides_find_helpful_is_shown_and_lifted() -> None:
    judged = town()
    assert judged.refit() == len(judged) == 24 * 16
    good, left, bad = (judged.verdict(name) for name in (b"good0", b"left0", b"bad0"))
    assert good is not None
    assert left is not None
    assert bad is not None
    assert judged.shown(b"good0")
    assert good.lift > 500
    assert sorted((good.agreement.helpful_one, good.agreement.helpful_other)) == [12, 12]
    assert not judged.shown(b"left0")
    assert left.lift == -1000, "only one side likes it"
    assert bad.lift <= 0
    assert judged.verdict(b"unknown") is None


def test_without_both_sides_there_is_no_lift_upwards() -> None:
    agreement = Agreement(9, 9, 5, 9)
    assert Verdict(0.9, 0.1, agreement, False).lift == 0
    assert not Verdict(0.9, 0.1, agreement, False).helpful
    assert Verdict(0.9, 0.1, agreement, True).lift == 1000
    assert Verdict(-0.3, 0.0, agreement, False).lift == -750
    assert Verdict(0.9, 0.1, agreement, True, False).lift == 0, "they do not agree that it is helpful"
    assert Verdict(0.9, 0.1, agreement, True, False, 0.25).lift == -250, "the other side does not agree"
    assert Verdict(0.9, 0.1, agreement, False, False, 0.25).lift == 0, "the other side was not asked"
    assert Verdict(-9.0, 0.0, agreement, True).lift == -1000
    assert Verdict(-0.1, 0.9, agreement, True).lift == 0, "one side's note is not thereby bad"


def test_nothing_new_is_not_fitted_again_and_a_warm_fit_keeps_the_sides() -> None:
    judged = town()
    judged.refit()
    assert judged.refit() == 0
    before = judged.verdict(b"left0")
    judged.rate(b"good0", b"newcomer", 1.0)
    assert judged.refit() > 0
    after = judged.verdict(b"left0")
    assert before is not None
    assert after is not None
    assert before.factor * after.factor > 0


def test_a_shown_note_stays_until_it_falls_clearly() -> None:
    judged = town()
    judged.refit()
    assert judged.shown(b"good1")
    for person in range(24):
        judged.rate(b"good1", b"person%d" % person, 0.0)
    judged.refit()
    assert not judged.shown(b"good1")


def test_ratings_are_bounded_by_rater_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(B, "RATINGS_PER_RATER", 2)
    monkeypatch.setattr(B, "RATINGS_MAX", 3)
    judged = Judgements(SMALL, 1)
    assert judged.rate(b"a", b"r", 1.0)
    assert judged.rate(b"a", b"r", 0.0), "changing one's mind is no new rating"
    assert judged.rate(b"b", b"r", 1.0)
    assert not judged.rate(b"c", b"r", 1.0)
    judged.rate(b"c", b"s", 1.0)
    judged.rate(b"d", b"s", 1.0)
    assert len(judged) == 3
    assert judged.of_rater(b"r") == [(b"b", 1.0)]
    judged.rate(b"e", b"t", 1.0)
    assert judged.of_rater(b"r") == []


def test_who_and_what_is_dropped_is_gone() -> None:
    judged = town()
    judged.refit()
    judged.drop_subject(b"good0")
    judged.drop_rater(b"person3")
    judged.drop_rater(b"nobody")
    assert judged.verdict(b"good0") is None
    assert not judged.shown(b"good0")
    assert judged.of_rater(b"person3") == []
    assert len(judged) == 23 * 15


def test_back_from_its_state() -> None:
    judged = town()
    judged.refit()
    judged.rate(b"good0", b"newcomer", 1.0)
    again = Judgements(SMALL, 1)
    again.restore(judged.state())
    assert (again.refit(), len(again)) == (judged.refit(), len(judged))
    assert again.verdict(b"good0") == judged.verdict(b"good0")
    fresh = Judgements(SMALL, 1)
    fresh.restore(Judgements(SMALL, 1).state())
    assert len(fresh) == 0
