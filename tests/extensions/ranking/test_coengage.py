"""What is read after what."""

from __future__ import annotations

import numpy as np

from extensions.ranking import bounds as B
from extensions.ranking.coengage import CoEngagement


def history(*slots: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(slots, dtype=np.int64)


def test_company_is_scored_and_recent_posts_count_most() -> None:
    company = CoEngagement()
    for _ in range(5):
        company.learn(history(1, 2), 3, 1.0)
    scores = company.score(history(1), history(3, 4))
    assert scores[0] > 0 == scores[1]
    near, far = (float(company.score(past, history(3))[0]) for past in (history(1, 9), history(9, 1)))
    assert near > far
    assert company.score(history(), history(3)).tolist() == [0.0]
    assert company.score(history(3), history(1))[0] > 0, "both ways"


def test_popular_posts_are_not_everybodys_company() -> None:
    company = CoEngagement()
    company.learn(history(1), 2, 1.0)
    company.learn(history(1), 3, 1.0)
    for _ in range(50):
        company.learn(history(), 3, 1.0)
    rare, popular = company.score(history(1), history(2, 3))
    assert rare > popular


def test_a_row_holds_the_heaviest_and_lets_frequent_newcomers_in() -> None:
    company = CoEngagement()
    company.reserve(2000)
    for other in range(1, B.NEIGHBOURS + 1):
        company.learn(history(other), 0, 1.0)
    for _ in range(3):
        company.learn(history(999), 0, 1.0)
    assert 999 in company.others[0]
    assert 0 in company.others[999]
    assert (company.others[0] >= 0).all()


def test_a_stranger_wears_the_lightest_down_first() -> None:
    company = CoEngagement()
    for _ in range(4):
        for other in range(1, B.NEIGHBOURS + 1):
            company.learn(history(other), 0, 1.0)
    company.learn(history(0), 999, 1.0)
    before = float(company.weights[0].min())
    company.learn(history(999), 0, 1.0)
    assert 999 not in company.others[0]
    assert float(company.weights[0].min()) < before


def test_nothing_points_to_a_dropped_post() -> None:
    company = CoEngagement()
    company.learn(history(1, 2), 3, 1.0)
    company.drop(history(3))
    assert not (company.others == 3).any()
    assert company.score(history(1), history(3)).tolist() == [0.0]


def test_back_from_its_state() -> None:
    company = CoEngagement()
    company.learn(history(1, 2), 3, 1.0)
    again = CoEngagement.restored(company.state(5))
    assert again.score(history(1), history(2, 3)).tolist() == company.score(history(1), history(2, 3)).tolist()
