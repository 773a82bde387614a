"""The blend of scorers."""

from __future__ import annotations

import numpy as np
import pytest

from extensions.ranking import affinity as A
from extensions.ranking.affinity import Affinity, level_of
from extensions.ranking.catalog import Catalog, Slots
from extensions.ranking.readers import Reader
from protocol.scoring.local import LEVELS
from tests.extensions.ranking.worlds import posts


def world(count: int = 30) -> tuple[Affinity, Catalog]:
    made, catalog = Affinity(1), Catalog()
    for post in posts(count):
        slot = catalog.add(post, 0)
        made.begin(slot, int(catalog.serial[slot]))
    return made, catalog


def history(*slots: int) -> Slots:
    return np.array(slots, dtype=np.int64)


def test_levels_follow_what_is_known() -> None:
    levels = [level_of(Reader(1, engaged=count)) for count in (0, 1, 3, 7, 15, 10_000)]
    assert levels == [0, 0, 1, 2, 2, 4]
    assert max(levels) == LEVELS - 1


def test_a_new_reader_gets_what_is_popular_and_a_known_one_company() -> None:
    made, catalog = world()
    known = Reader(1, engaged=50)
    for _ in range(30):
        made.learn(Reader(2), history(), made.others(catalog, 5, history()), 1.0)
        made.learn(known, history(7), made.others(catalog, 8, history(7)), 1.0)
    everything = catalog.slots()
    assert int(everything[made.odds(Reader(3), history(), everything).argmax()]) in (5, 8)
    assert int(everything[made.odds(known, history(7), everything).argmax()]) == 8


def test_others_are_all_or_a_sample_that_a_replay_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    made, catalog = world()
    assert sorted(made.others(catalog, 3, history()).tolist()) == list(range(30))
    assert made.others(catalog, 3, history())[0] == 3
    monkeypatch.setattr(A, "NEGATIVES", 8)
    sample = made.others(catalog, 3, history())
    assert len(sample) <= 9
    assert sample.tolist() == made.others(catalog, 3, history()).tolist()
    made.lessons += 1
    assert sample.tolist() != made.others(catalog, 3, history()).tolist()


def test_counts_are_rescaled_before_they_overflow() -> None:
    made, catalog = world(3)
    made.learn(Reader(1), history(), made.others(catalog, 1, history()), 1.0)
    before = made.scores(history(), catalog.slots())[:2]
    made.counts *= 1e101
    made.unit *= 1e101
    made.learn(Reader(1), history(), made.others(catalog, 1, history()), 1.0)
    after = made.scores(history(), catalog.slots())[:2]
    assert (made.unit <= 1e100).all()
    assert np.isfinite(after).all()
    assert (after[:, 1] > before[:, 1]).all()


def test_back_from_its_state() -> None:
    made, catalog = world(1100)
    made.learn(Reader(1), history(3), made.others(catalog, 4, history()), 1.0)
    again = Affinity.restored(made.state(1100))
    everything = catalog.slots()
    assert np.array_equal(again.scores(history(3), everything), made.scores(history(3), everything))
    made.drop(history(4))
    assert made.company.degree[4] == 0
