"""By how much bridging moves each post."""

from __future__ import annotations

import numpy as np

from extensions.ranking.events import Deleted, Edited, Kind, Post, Signal, Tick
from extensions.ranking.judgements import Rules
from extensions.ranking.learner import Learner
from extensions.ranking.lifts import SHRINK, Lifts
from extensions.ranking.ranker import Ranker, Settings
from protocol.scoring.score import Slider
from tests.support.ranking_population import live

NOW = 1_700_000_000_000
#: Who writes what: ``calm`` pleases both sides, ``red`` one, ``dull`` nobody.
WRITERS = {b"calm": (1.0, 1.0), b"red": (1.0, 0.0), b"dull": (0.0, 0.0)}
POSTS = 6


def town() -> Ranker:
    """Twenty people of two sides who have said of all posts what they think."""
    ranker = Ranker(rules=Rules(note_min=5, rater_min=5, side_min=3))
    for number in range(POSTS):
        for writer in WRITERS:
            ranker.apply(Post(b"%s%d" % (writer, number), writer, NOW, ("news",), words=30))
    for number in range(POSTS):
        for person in range(20):
            for writer, likes in WRITERS.items():
                kind: Kind = "like" if likes[person % 2] else "hide"
                ranker.apply(Signal(b"person%d" % person, b"%s%d" % (writer, number), kind, 1.0, NOW))
    ranker.apply(Tick(NOW))
    return ranker


def lift(learner: Learner, post: bytes) -> int:
    return int(learner.lifts.of(np.array([learner.catalog.slot_of[post]]))[0])


def test_what_both_sides_like_rises_and_what_one_side_likes_falls() -> None:
    learner = town().learner
    assert lift(learner, b"calm0") > 500
    assert lift(learner, b"red0") == -1000
    assert lift(learner, b"dull0") < 0


def test_a_new_post_is_expected_to_be_as_its_authors_others() -> None:
    learner = town().learner
    for writer in WRITERS:
        learner.apply(Post(b"%s-new" % writer, writer, NOW))
    learner.apply(Post(b"stranger-new", b"stranger", NOW))
    share = POSTS / (POSTS + SHRINK)
    assert lift(learner, b"red-new") == int(-1000 * share // 1)
    assert 0 < lift(learner, b"calm-new") <= lift(learner, b"calm0")
    assert lift(learner, b"stranger-new") == 0
    before = {post: lift(learner, post) for post in (b"calm-new", b"red-new", b"calm0", b"dull0")}
    learner.apply(Tick(NOW + 1))
    assert before == {post: lift(learner, post) for post in before}, "nobody said anything meanwhile"


def test_a_new_version_loses_what_the_old_one_had() -> None:
    learner = town().learner
    expected = learner.lifts.expected[b"red"]
    learner.apply(Edited(b"red0", NOW))
    assert lift(learner, b"red0") == expected != -1000


def test_a_slot_that_is_used_again_begins_anew() -> None:
    learner = town().learner
    slot = learner.catalog.slot_of[b"red0"]
    learner.apply(Deleted(b"red0", NOW))
    learner.apply(Post(b"other", b"stranger", NOW))
    assert learner.catalog.slot_of[b"other"] == slot
    assert lift(learner, b"other") == 0


def test_there_are_as_many_as_posts() -> None:
    lifts = Lifts()
    lifts.expected[b"calm"] = 400
    lifts.begin(5000, b"calm")
    assert lifts.of(np.array([4999, 5000])).tolist() == [0, 400]


def test_a_snapshot_keeps_them() -> None:
    ranker = town()
    for writer in WRITERS:
        ranker.apply(Post(b"%s-new" % writer, writer, NOW))
    again = Ranker.restore(ranker.snapshot(), rules=Rules(5, 5, 3))
    slots = ranker.learner.catalog.slots()
    assert again.learner.lifts.expected == ranker.learner.lifts.expected
    assert again.learner.lifts.of(slots).tolist() == ranker.learner.lifts.of(slots).tolist()
    assert any(ranker.learner.lifts.of(slots))


def test_the_briefing_begins_with_what_was_judged_not_with_what_is_expected() -> None:
    ranker = town()
    ranker.apply(Post(b"calm-new", b"calm", NOW))
    slider = Slider(1000, 0)
    brief = ranker.briefing(b"reader", NOW + 1)
    assert brief.items[0].item.post.startswith(b"calm")
    assert brief.items[0].item.post != b"calm-new"
    page = ranker.page(b"reader", NOW + 1, Settings(slider, 20))
    of_new = [item for item in page.items if item.post == b"calm-new"]
    assert not of_new or of_new[0].facts.bridging > 0


def test_in_a_population_the_slider_at_bridging_shows_less_heat_and_more_information() -> None:
    calm, loud = live(Slider(1000, 0), seed=2), live(Slider(0, 0), seed=2)
    assert calm.heat < loud.heat
    assert calm.information > loud.information
