"""The seven regressions."""

from __future__ import annotations

import numpy as np
import pytest

from extensions.ranking import bounds as B
from extensions.ranking.heads import HEADS, PRIORS, Heads, probabilities
from protocol.scoring.weights import PPB

NOTHING = np.zeros(HEADS)


def keys(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array(numbers, dtype=np.uint64)


def push(**actions: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    found = np.full(HEADS, np.nan)
    for number, value in actions.items():
        found[int(number[1:])] = value
    return found


def test_before_anything_is_known_the_priors_hold() -> None:
    chances = probabilities(Heads().log_odds(np.zeros(1), keys(5)[None])) / PPB
    assert np.allclose(chances[0], PRIORS, rtol=1e-3)


def test_a_feature_learns_and_others_do_not() -> None:
    heads = Heads()
    for _ in range(50):
        heads.learn(0.0, keys(5), push(h2=1.0), NOTHING, 1.0)
        heads.learn(0.0, keys(6), push(h2=0.0), NOTHING, 1.0)
    odds = heads.log_odds(np.zeros(2), keys(5, 6)[:, None])
    assert odds[0, 2] > odds[1, 2] + 500_000
    assert odds[0, 6] == odds[1, 6]


def test_probabilities_become_calibrated_though_actions_come_late() -> None:
    """Each look says "no like"; every fifth is liked afterwards, which takes that back."""
    heads = Heads()
    for number in range(6000):
        heads.learn(0.0, keys(5), push(h0=1.0, h2=0.0), NOTHING, 1.0)
        if number % 5 == 0:
            heads.learn(0.0, keys(5), push(h2=1.0), np.eye(HEADS)[2], 1.0)
    chance = probabilities(heads.log_odds(np.zeros(1), keys(5)[None]))[0, 2] / PPB
    assert chance == pytest.approx(0.2, abs=0.05)


def test_the_table_doubles_and_keeps_what_it_knew() -> None:
    heads = Heads()
    heads.learn(0.0, keys(77), push(h1=1.0), NOTHING, 1.0)
    before = heads.log_odds(np.zeros(1), keys(77)[None])[0] - heads.log_odds(np.zeros(1), keys(1)[None])[0]
    size = len(heads.keys)
    random = np.random.Generator(np.random.PCG64(1))
    for _ in range(size // 8):
        heads.learn(0.0, random.integers(1, 2**63, 8).astype(np.uint64), push(), NOTHING, 1.0)
    assert len(heads.keys) > size
    after = heads.log_odds(np.zeros(1), keys(77)[None])[0] - heads.log_odds(np.zeros(1), keys(1)[None])[0]
    assert before.tolist() == after.tolist()


def test_a_full_table_forgets_the_longest_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = Heads()
    monkeypatch.setattr(B, "FEATURES_MAX", len(heads.keys))
    size = len(heads.keys)
    old = keys(size)  # its place is 0, and so are those of the others
    heads.learn(0.0, old, push(h1=1.0), NOTHING, 1.0)
    for number in range(2, 6):
        heads.learn(0.0, keys(number * size), push(h1=1.0), NOTHING, 1.0)
    assert heads.expired == 1
    assert heads.rows(old).tolist() == [-1]
    assert heads.rows(keys(5 * size)).tolist() != [-1]


def test_forgetting_and_restoring() -> None:
    heads = Heads()
    heads.learn(0.5, keys(5, 6, 0), push(h1=1.0), NOTHING, 1.0)
    again = Heads.restored(heads.state())
    pair = keys(5, 6)[:, None]
    assert np.array_equal(again.log_odds(np.zeros(2), pair), heads.log_odds(np.zeros(2), pair))
    heads.forget(keys(5, 999))
    odds = heads.log_odds(np.zeros(3), keys(5, 6, 999)[:, None])
    assert odds[0].tolist() == odds[2].tolist() != odds[1].tolist()
