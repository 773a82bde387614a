"""Evaluation over whole streams, without look-ahead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from extensions.ranking import evaluation
from extensions.ranking.baselines import Floats, Model
from extensions.ranking.datasets import Data, Interaction, load
from extensions.ranking.evaluation import evaluate
from tests.extensions.ranking import films


@pytest.fixture
def data(tmp_path: Path) -> Data:
    films.write(tmp_path / "u.data")
    return load(tmp_path / "u.data", "movielens")


class Witness(Model):
    """Notes what it is asked and told, and scores everything alike."""

    def __init__(self, data: Data) -> None:
        self.log: list[tuple[str, int, int]] = []
        self._size = len(data.items)

    def scores(self, reader: int, history: Sequence[int], at_ms: int) -> Floats:
        self.log.append(("rank", reader, len(history)))
        return np.zeros(self._size)

    def learn(self, one: Interaction, history: Sequence[int]) -> None:
        self.log.append(("learn", one.reader, one.item))

    def pass_by(self, one: Interaction) -> None:
        self.log.append(("pass", one.reader, one.item))


def witnessed(data: Data, protocol: evaluation.Protocol, monkeypatch: pytest.MonkeyPatch) -> Witness:
    witness = Witness(data)
    monkeypatch.setattr(evaluation, "make", lambda name, data: witness)
    evaluate(data, "witness", protocol)
    return witness


def test_prequential_ranks_before_it_learns_each_one(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    log = witnessed(data, "prequential", monkeypatch).log
    assert [kind for kind, _, _ in log] == ["rank", "learn"] * len(data.interactions)
    assert [item for kind, _, item in log if kind == "learn"] == [one.item for one in data.interactions]


def test_global_learns_nothing_after_the_cut(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    log = witnessed(data, "global", monkeypatch).log
    kinds = [kind for kind, _, _ in log]
    cut = int(len(data.interactions) * 0.8)
    assert kinds == ["learn"] * cut + ["rank", "pass"] * (len(data.interactions) - cut)


def test_per_user_holds_each_readers_end_back(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    log = witnessed(data, "per-user", monkeypatch).log
    learned = {(reader, item) for kind, reader, item in log if kind == "learn"}
    ranked = [(reader, item) for kind, reader, item in log if kind == "pass"]
    assert not learned & set(ranked)
    for reader in range(data.readers):
        items = [one.item for one in data.interactions if one.reader == reader]
        held = [item for who, item in ranked if who == reader]
        assert held == items[len(items) - int(len(items) * 0.2) :]
    assert max(number for number, row in enumerate(log) if row[0] == "learn") < min(
        number for number, row in enumerate(log) if row[0] == "rank"
    )


def test_equal_scores_share_their_places(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "make", lambda name, data: Witness(data))
    result = evaluate(data, "witness", "prequential")
    assert result.ndcg == 0, "48 films alike: the mean place is beyond ten"
    assert result.calibration_error is None


def test_ours_beats_popularity_and_states_probabilities(data: Data) -> None:
    told: list[tuple[int, int]] = []
    ours = evaluate(data, "chappe", "prequential", lambda done, of: told.append((done, of)))
    popular = evaluate(data, "popularity", "prequential")
    assert ours.ndcg_readers > 1.3 * popular.ndcg_readers
    assert ours.recall_readers > popular.recall_readers
    assert ours.calibration_error is not None
    assert ours.calibration_error < 0.5
    assert 0 < ours.coverage <= 1
    assert ours.concentration == pytest.approx(0.1)
    assert told == [(0, len(data.interactions))]
    assert len(ours.curve) == evaluation.POINTS
    assert 0 < ours.ndcg_liked < 1


def test_who_and_what_is_new_is_told_apart(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    tallies: list[evaluation.Tally] = []
    result_of = evaluation._result

    def result(name: str, tally: evaluation.Tally) -> evaluation.Result:
        tallies.append(tally)
        return result_of(name, tally)

    monkeypatch.setattr(evaluation, "_result", result)
    found = evaluate(data, "popularity", "prequential")
    tally = tallies[0]
    readers: dict[int, int] = {}
    items: dict[int, int] = {}
    for number, one in enumerate(data.interactions):
        assert tally.new_reader[number] == (readers.get(one.reader, 0) < evaluation.NEW)
        assert tally.new_item[number] == (items.get(one.item, 0) < evaluation.NEW)
        readers[one.reader] = readers.get(one.reader, 0) + 1
        items[one.item] = items.get(one.item, 0) + 1
    gains = [gain for gain, new in zip(tally.gain, tally.new_reader, strict=True) if new]
    assert found.ndcg_new_readers == pytest.approx(sum(gains) / len(gains))
    assert found.ndcg_new_items < found.ndcg


def test_few_items_are_all_shown(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("1\t1\t1\t5\n1\t2\t1\t6\n1\t1\t2\t7\n")
    result = evaluate(load(tmp_path / "u.data", "movielens"), "popularity", "prequential")
    assert (result.coverage, result.ndcg_liked) == (1.0, 0.0)
