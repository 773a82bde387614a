"""Low-rank company."""

from __future__ import annotations

import numpy as np

from extensions.ranking.embedding import Embedding


def slots(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers, dtype=np.int64)


def grown(seed: int = 1) -> Embedding:
    made = Embedding(seed)
    made.reserve(1500)
    for slot in range(40):
        made.begin(slot, slot + 1)
    return made


def test_what_follows_what_is_learned() -> None:
    made = grown()
    everything = np.arange(40)
    for _ in range(60):
        for first in range(0, 40, 2):  # after each even one comes the odd one behind it
            made.learn(slots(first), np.concatenate(([first + 1], np.delete(everything, first + 1))), 1.0)
    best = [int(made.score(slots(first), everything).argmax()) for first in range(0, 40, 2)]
    assert sum(one == first + 1 for one, first in zip(best, range(0, 40, 2), strict=True)) >= 18


def test_without_a_history_only_the_bias_speaks() -> None:
    made = grown()
    before = made.context.copy()
    made.learn(slots(), np.arange(40), 1.0)
    assert made.score(slots(), slots(0, 1))[0] > made.score(slots(), slots(0, 1))[1]
    assert np.array_equal(before, made.context)


def test_few_of_many_are_scored_alike() -> None:
    made = grown()
    all_scores = made.score(slots(3, 4), np.arange(40))
    assert np.allclose(made.score(slots(3, 4), slots(39, 2)), all_scores[[39, 2]], atol=1e-6)


def test_the_same_seed_gives_the_same_place() -> None:
    assert np.array_equal(grown(1).target, grown(1).target)
    assert not np.array_equal(grown(1).target, grown(2).target)


def test_back_from_its_state() -> None:
    made = grown()
    made.learn(slots(1), np.arange(5), 1.0)
    again = Embedding.restored(made.state(40))
    assert np.array_equal(again.score(slots(1), np.arange(40)), made.score(slots(1), np.arange(40)))
    assert np.array_equal(again.squares[:, :40], made.squares[:, :40])
