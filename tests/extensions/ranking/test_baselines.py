"""What a ranker has to beat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from extensions.ranking.baselines import MODELS, Ease, ItemCosine, Ours, Popularity, make
from extensions.ranking.datasets import Data, Interaction, load
from tests.extensions.ranking import films


@pytest.fixture
def data(tmp_path: Path) -> Data:
    films.write(tmp_path / "u.data")
    return load(tmp_path / "u.data", "movielens")


def one(reader: int, item: int, at_ms: int = 5) -> Interaction:
    return Interaction(reader, item, at_ms, True)


def test_popularity_counts_and_recent_popularity_fades(data: Data) -> None:
    plain, recent = Popularity(data), Popularity(data, 2)
    for model in (plain, recent):
        for item in (3, 3, 3, 7, 7, 7, 9, 9):
            model.learn(one(0, item), [])
    assert plain.scores(0, [], 5).argmax() == 3
    assert recent.scores(0, [], 5).argmax() == 9
    for _ in range(1000):
        recent.learn(one(0, 1), [])
    assert np.isfinite(recent.scores(0, [], 5)).all()


def test_cosine_finds_what_goes_together_and_begins_with_popularity(data: Data) -> None:
    model = ItemCosine(data)
    model.learn(one(0, 1), [])
    model.learn(one(0, 2), [1])
    model.learn(one(1, 2), [])
    assert model.scores(5, [], 5).argmax() == 2
    found = model.scores(5, [1], 5)
    found[1] = -1
    assert found.argmax() == 2


def test_ease_is_solved_now_and_then(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extensions.ranking.baselines.EASE_EVERY", 40)
    model = Ease(data)
    assert not model.scores(0, [1], 5)[2]
    for reader in range(20):
        model.learn(one(reader, 1), [])
        model.learn(one(reader, 2), [1])
    found = model.scores(25, [1], 5)
    found[1] = -1
    assert found.argmax() == 2
    assert model.scores(25, [], 5).argmax() in (1, 2)


def test_ours_is_the_ranker_itself(data: Data) -> None:
    model = Ours(data)
    for reader in range(12):
        model.learn(one(reader, 1), [])
        model.learn(one(reader, 2), [1])
    model.pass_by(one(20, 1))
    had = np.zeros(len(data.items), dtype=np.bool_)
    had[1] = True
    scores = model.scores(20, [1], 5)
    scores[had] = -np.inf
    chances = model.chances(20, had)
    assert scores.argmax() == chances.argmax() == 2
    assert chances.sum() == pytest.approx(1)
    assert chances[1] == 0
    assert model.ranker.statistics().refused == {}


def test_models_have_names(data: Data) -> None:
    made = [type(make(name, data)).__name__ for name in MODELS]
    assert made == ["Popularity", "Popularity", "ItemCosine", "Ease", "Ours"]
    make("popularity", data).pass_by(one(0, 1))
