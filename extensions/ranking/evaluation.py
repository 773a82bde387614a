"""Evaluation without tricks: every item that a reader has not had is ranked, in the order of time, nothing is sampled.

* ``prequential``: before each interaction rank, then learn it, over the whole stream.
* ``global``: learn the first 80 % of the time, then rank the rest without learning more (readers' own histories grow).
* ``per-user``: hold each reader's last 20 % back; learn the rest in order of time, then rank what was held back.

Where items score the same they share their places: the rank of an item is the mean of the places it could have.
Calibration: in tenths of the log-odds between items, how often the expected item was the one, for the blend of
``chappe`` only, since the others state no probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from extensions.ranking.baselines import MODELS, Floats, Model, make
from extensions.ranking.datasets import Data, Interaction

Protocol = Literal["prequential", "per-user", "global"]
PROTOCOLS: Final = ("prequential", "per-user", "global")
SHOWN: Final = 10
RECALL_AT: Final = 20
HELD_BACK: Final = 0.2
POINTS: Final = 20  # of the curve over time
BINS: Final = 10
NEW: Final = 10  # interactions of a reader, or with an item, while it counts as new


@dataclass(slots=True)
class Tally:
    """Sums of one model."""

    readers: int
    items: int
    authors: NDArray[np.int64]
    gain: list[float] = field(default_factory=list)
    hit: list[bool] = field(default_factory=list)
    who: list[int] = field(default_factory=list)
    liked: list[bool] = field(default_factory=list)
    new_reader: list[bool] = field(default_factory=list)
    new_item: list[bool] = field(default_factory=list)
    shown: set[int] = field(default_factory=set)
    concentration: float = 0.0
    expected: Floats = field(default_factory=lambda: np.zeros(BINS))
    observed: Floats = field(default_factory=lambda: np.zeros(BINS))
    weight: Floats = field(default_factory=lambda: np.zeros(BINS))

    def add(self, one: Interaction, scores: Floats, had: NDArray[np.bool_]) -> None:
        """One ranking of everything that the reader has not had."""
        scores = np.nan_to_num(scores, nan=-np.inf)  # what has no score comes last
        mine = scores[one.item]
        open_ = ~had
        above = int((scores[open_] > mine).sum())
        level = int((scores[open_] == mine).sum()) - 1
        rank = above + level / 2
        self.gain.append(1 / math.log2(rank + 2) if rank < SHOWN else 0.0)
        self.hit.append(rank < RECALL_AT)
        self.who.append(one.reader)
        self.liked.append(one.liked)
        masked = np.where(had, -np.inf, scores)
        top = np.argpartition(-masked, SHOWN)[:SHOWN] if len(masked) > SHOWN else np.arange(len(masked))
        self.shown.update(top.tolist())
        _, counts = np.unique(self.authors[top], return_counts=True)
        self.concentration += float(counts.max()) / len(top)

    def add_chances(self, chances: Floats, item: int) -> None:
        """Probabilities that were stated for all items, and which it was."""
        bins = np.minimum(BINS - 1, (-np.log10(np.maximum(chances, 1e-12)) * BINS / 5).astype(np.int64))
        self.expected += np.bincount(bins, chances, BINS)
        self.weight += np.bincount(bins, minlength=BINS)
        self.observed[bins[item]] += 1


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one model."""

    model: str
    events: int
    ndcg: float  # mean over events
    recall: float
    ndcg_readers: float  # mean over readers of their means: each counts once, however much it reads
    recall_readers: float
    ndcg_liked: float  # over events that were liked
    recall_liked: float
    coverage: float  # share of all items that were among anybody's first ten
    ndcg_new_readers: float  # over events of readers with fewer than NEW before
    ndcg_new_items: float  # and of items with fewer than NEW before
    concentration: float  # mean share of the first ten that the author most often among them has
    calibration_error: float | None
    curve: tuple[float, ...]  # NDCG@10 in twentieths of the events


def _mean(values: Floats, chosen: list[bool]) -> float:
    found = values[np.array(chosen, dtype=np.bool_)]
    return float(found.mean()) if len(found) else 0.0


def _result(model: str, tally: Tally) -> Result:
    gain, hit = np.array(tally.gain), np.array(tally.hit, dtype=np.float64)
    who = np.array(tally.who, dtype=np.int64)
    counts = np.bincount(who, minlength=tally.readers)
    there = counts > 0
    per_reader = [np.bincount(who, values, tally.readers)[there] / counts[there] for values in (gain, hit)]
    error = None
    if tally.weight.sum():
        used = tally.expected > 0
        gaps = np.abs(tally.expected[used] - tally.observed[used])
        error = float(gaps.sum() / tally.observed.sum())
    pieces = [piece for piece in np.array_split(gain, POINTS) if len(piece)]
    return Result(
        model=model,
        events=len(gain),
        ndcg=float(gain.mean()),
        recall=float(hit.mean()),
        ndcg_readers=float(per_reader[0].mean()),
        recall_readers=float(per_reader[1].mean()),
        ndcg_liked=_mean(gain, tally.liked),
        recall_liked=_mean(hit, tally.liked),
        coverage=len(tally.shown) / tally.items,
        ndcg_new_readers=_mean(gain, tally.new_reader),
        ndcg_new_items=_mean(gain, tally.new_item),
        concentration=tally.concentration / len(gain),
        calibration_error=error,
        curve=tuple(float(piece.mean()) for piece in pieces),
    )


def _held_back(data: Data, protocol: Protocol) -> NDArray[np.bool_]:
    """Which interactions are ranked and (but for prequential) never learned."""
    size = len(data.interactions)
    if protocol == "prequential":
        return np.ones(size, dtype=np.bool_)
    if protocol == "global":
        return np.arange(size) >= int(size * (1 - HELD_BACK))
    of_reader: dict[int, list[int]] = {}
    for number, one in enumerate(data.interactions):
        of_reader.setdefault(one.reader, []).append(number)
    held = np.zeros(size, dtype=np.bool_)
    for numbers in of_reader.values():
        held[numbers[len(numbers) - int(len(numbers) * HELD_BACK) :]] = True
    return held


class _Stage:
    """Readers' histories, and who ranks for them."""

    def __init__(self, data: Data, model: Model, tally: Tally) -> None:
        self._model = model
        self._tally = tally
        self._had = np.zeros((data.readers, len(data.items)), dtype=np.bool_)
        self._history: list[list[int]] = [[] for _ in range(data.readers)]
        self._times = [0] * len(data.items)  # that an item was had

    def rank(self, one: Interaction) -> None:
        scores = self._model.scores(one.reader, self._history[one.reader], one.at_ms)
        self._tally.add(one, scores, self._had[one.reader])
        self._tally.new_reader.append(len(self._history[one.reader]) < NEW)
        self._tally.new_item.append(self._times[one.item] < NEW)
        chances = getattr(self._model, "chances", None)
        if chances is not None:
            self._tally.add_chances(chances(one.reader, self._had[one.reader]), one.item)

    def learn(self, one: Interaction) -> None:
        if not self._had[one.reader, one.item]:
            self._model.learn(one, self._history[one.reader])
            self._note(one)

    def pass_by(self, one: Interaction) -> None:
        if not self._had[one.reader, one.item]:
            self._model.pass_by(one)
            self._note(one)

    def _note(self, one: Interaction) -> None:
        self._had[one.reader, one.item] = True
        self._history[one.reader].append(one.item)
        self._times[one.item] += 1


def evaluate(
    data: Data, model_name: str, protocol: Protocol, told: Callable[[int, int], None] = lambda done, of: None
) -> Result:
    """Run one model over the data. ``told``: called now and then with what is done, of how much."""
    held = _held_back(data, protocol)
    authors: dict[bytes, int] = {}
    numbers = [authors.setdefault(post.author, len(authors)) for post in data.items]
    tally = Tally(data.readers, len(data.items), np.array(numbers, dtype=np.int64))
    stage = _Stage(data, make(model_name, data), tally)
    order = np.arange(len(held)) if protocol != "per-user" else np.argsort(held, kind="stable")
    for done, number in enumerate(order.tolist()):
        one = data.interactions[number]
        if held[number]:
            stage.rank(one)
        if protocol == "prequential" or not held[number]:
            stage.learn(one)
        else:
            stage.pass_by(one)
        if done % 1000 == 0:
            told(done, len(held))
    return _result(model_name, tally)


__all__ = ["MODELS", "PROTOCOLS", "Protocol", "Result", "evaluate"]
