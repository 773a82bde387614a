"""What any ranker has to beat: popularity, recent popularity, item cosine, EASE. Each is told what happens, online."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from extensions.ranking.datasets import Data, Interaction
from extensions.ranking.events import Post, Signal
from extensions.ranking.ranker import Ranker
from extensions.ranking.readers import Reader
from protocol.scoring.score import Slider

Floats = NDArray[np.float64]
RECENT_HALF: Final = 1000  # interactions that halve a popularity
COSINE_HALF: Final = 3.0  # places back that halve an item's weight in the reader's history
EASE_EVERY: Final = 5000  # interactions between two fits
EASE_LAMBDA: Final = 200.0
EASE_HALF: Final = 10.0


class Model(Protocol):
    """Something that can be evaluated."""

    def scores(self, reader: int, history: Sequence[int], at_ms: int) -> Floats:
        """A score for every item. ``history``: the reader's items, the oldest first."""
        ...

    def learn(self, one: Interaction, history: Sequence[int]) -> None:
        """It happened; ``history`` is what it was before."""
        ...

    def pass_by(self, one: Interaction) -> None:
        """It happened after the learning had ended: only the reader's own history grows, which is given anyway."""
        return


class Popularity(Model):
    """How many engaged with it."""

    def __init__(self, data: Data, half: int = 0) -> None:
        self._counts = np.zeros(len(data.items))
        self._growth = 2 ** (1 / half) if half else 1.0
        self._unit = 1.0

    def scores(self, reader: int, history: Sequence[int], at_ms: int) -> Floats:
        """The counts."""
        return self._counts

    def learn(self, one: Interaction, history: Sequence[int]) -> None:
        """One more."""
        self._unit *= self._growth
        self._counts[one.item] += self._unit
        if self._unit > 1e100:
            self._counts /= self._unit
            self._unit = 1.0


class ItemCosine(Model):
    """Cosine of the readers of two items, summed over the history, recent items counting most."""

    def __init__(self, data: Data) -> None:
        size = len(data.items)
        self._pairs = np.zeros((size, size), dtype=np.float32)
        self._counts = np.zeros(size)

    def scores(self, reader: int, history: Sequence[int], at_ms: int) -> Floats:
        """Recency-weighted cosines; popularity decides where there are none."""
        if not history:
            return self._counts
        recent = np.array(history[:-51:-1])
        weights = 0.5 ** (np.arange(len(recent)) / COSINE_HALF) / np.sqrt(np.maximum(self._counts[recent], 1))
        found: Floats = weights @ self._pairs[recent] / np.sqrt(self._counts + 1) + 1e-6 * self._counts
        return found

    def learn(self, one: Interaction, history: Sequence[int]) -> None:
        """Count the pairs with everything before."""
        if history:
            before = np.array(history)
            self._pairs[before, one.item] += 1
            self._pairs[one.item, before] += 1
        self._counts[one.item] += 1


class Ease(Model):
    """EASE (Steck, "Embarrassingly shallow autoencoders for sparse data", 2019), fitted anew now and then."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self._seen = np.zeros((data.readers, len(data.items)))
        self._counts = np.zeros(len(data.items))
        self._weights = np.zeros((len(data.items), len(data.items)), dtype=np.float32)
        self._learned = 0

    def scores(self, reader: int, history: Sequence[int], at_ms: int) -> Floats:
        """The regression on the history, recent items counting most; popularity until there is one."""
        popular = 1e-6 * self._counts
        if not history:
            return popular
        recent = np.array(history[::-1])
        weights = 0.5 ** (np.arange(len(recent)) / EASE_HALF)
        found: Floats = weights @ self._weights[recent] + popular
        return found

    def learn(self, one: Interaction, history: Sequence[int]) -> None:
        """Note it; every EASE_EVERY times, solve."""
        self._seen[one.reader, one.item] = 1
        self._counts[one.item] += 1
        self._learned += 1
        if self._learned % EASE_EVERY == 0:
            self.solve()

    def solve(self) -> None:
        """The closed form."""
        gram = self._seen.T @ self._seen
        gram[np.diag_indices_from(gram)] += EASE_LAMBDA
        inverse = np.linalg.inv(gram)
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        self._weights = weights.astype(np.float32)


class Ours(Model):
    """The ranker itself, as it runs: events in, and the base score of its pages out."""

    def __init__(self, data: Data, seed: int = 0) -> None:
        self.ranker = Ranker(seed=seed)
        self._data = data
        for post in data.items:
            self.ranker.apply(post)
        slot_of = self.ranker.learner.catalog.slot_of
        self._slots = np.array([slot_of[post.id] for post in data.items])

    def scores(self, reader: int, history: Sequence[int], at_ms: int) -> Floats:
        """The points of each item at the slider's engagement end (there are no judgements in such data)."""
        learner = self.ranker.learner
        known = learner.readers.get(_account(reader)) or Reader(0)
        scored = self.ranker.score(known, self._slots, at_ms, Slider(0, 0))
        found: Floats = scored.base.astype(np.float64)
        return found

    def chances(self, reader: int, had: NDArray[np.bool_]) -> Floats:
        """What the blend says: the probability of each item to be the next, of those not had."""
        learner = self.ranker.learner
        known = learner.readers.get(_account(reader)) or Reader(0)
        odds = learner.affinity.odds(known, known.history(learner.catalog), self._slots)
        odds[had] = -np.inf
        chances = np.exp(odds - odds.max())
        found: Floats = chances / chances.sum()
        return found

    def learn(self, one: Interaction, history: Sequence[int]) -> None:
        """The reader finished it."""
        post: Post = self._data.items[one.item]
        self.ranker.apply(Signal(_account(one.reader), post.id, "finish", 1.0, one.at_ms))

    def pass_by(self, one: Interaction) -> None:
        """The reader's history goes on, as it does between two lessons."""
        catalog = self.ranker.learner.catalog
        slot = int(self._slots[one.item])
        self.ranker.learner.readers.want(_account(one.reader), 0).engage(slot, int(catalog.serial[slot]))


def _account(reader: int) -> bytes:
    return b"reader%d" % reader


MODELS: Final = ("popularity", "recent", "cosine", "ease", "chappe")


def make(name: str, data: Data) -> Model:
    """A model by its name."""
    if name == "popularity":
        return Popularity(data)
    if name == "recent":
        return Popularity(data, RECENT_HALF)
    if name == "cosine":
        return ItemCosine(data)
    return Ease(data) if name == "ease" else Ours(data)
