"""How much more probable than another post it is that a reader engages with this one next: the blend of scorers.

Four scores, all learned online: popularity (all of a post's engagements, halving every POPULAR_HALF engagements of all
posts, and every HOT_HALF), co-engagement, and the low-rank form of it. They are blended as log-odds by weights that
are learned as well (softmax regression with AdaGrad), separately for readers of whom nothing, little, or much is
known: the prior carries who is new, company carries who is not. There is one configuration and no switch.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from extensions.ranking.catalog import Catalog, Slots
from extensions.ranking.coengage import CoEngagement
from extensions.ranking.embedding import Embedding
from extensions.ranking.readers import Reader
from protocol.scoring.hashing import STEP, mix
from protocol.scoring.local import COMPANY_FLOOR, LEVELS, level

Floats = NDArray[np.float64]
POPULAR_HALF: Final = 3000
HOT_HALF: Final = 300
SCORES: Final = ("popular", "hot", "company", "place")
NEGATIVES: Final = 512  # other posts in one lesson, or all if there are fewer; twice as many teach 1 % better
BLEND_SAMPLE: Final = 256  # of them that teach the blend: it has twenty numbers
BLEND_EVERY: Final = 4  # lessons: enough for twenty numbers, too
RATE: Final = 0.05
_CALM: Final = 0.01
_START: Final = (0.3, 0.0, 0.5, 0.5)
_RESCALE: Final = 1e100
_FIRST: Final = 1024


def level_of(reader: Reader) -> int:
    """How well a reader is known."""
    return level(reader.engaged)


class Affinity:
    """The blend, and what it blends."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self.company = CoEngagement()
        self.place = Embedding(seed)
        self.counts = np.zeros((2, _FIRST))  # of engagements, in units that grow: forward decay
        self.unit = np.ones(2)
        self._had = np.zeros(_FIRST, dtype=np.bool_)
        self.blend = np.tile(np.array(_START), (LEVELS, 1))
        self.squares = np.full((LEVELS, len(SCORES)), _CALM)
        self.lessons = 0

    def begin(self, slot: int, serial: int) -> None:
        """A new post."""
        while self.counts.shape[1] <= slot:
            self._grow()
        self.company.reserve(slot + 1)
        self.place.reserve(slot + 1)
        self.place.begin(slot, serial)
        self.counts[:, slot] = 0.0

    def _grow(self) -> None:
        self.counts = np.concatenate((self.counts, np.zeros_like(self.counts)), axis=1)
        self._had = np.concatenate((self._had, np.zeros_like(self._had)))

    def drop(self, slots: Slots) -> None:
        """Posts are gone."""
        self.company.drop(slots)

    def scores(self, history: Slots, slots: Slots) -> Floats:
        """The scores of some posts for a history, shape (4, posts)."""
        rows = np.empty((len(SCORES), len(slots)))
        rows[:2] = np.log1p(self.counts[:, slots] / self.unit[:, None])
        rows[2] = np.log(self.company.score(history, slots) + COMPANY_FLOOR)
        rows[3] = self.place.score(history, slots)
        return rows

    def odds(self, reader: Reader, history: Slots, slots: Slots) -> Floats:
        """Log-odds, up to a constant of the reader's."""
        blend, scores = self.blend[level_of(reader)], self.scores(history, slots)
        blended: Floats = blend[0] * scores[0] + blend[1] * scores[1] + blend[2] * scores[2] + blend[3] * scores[3]
        return blended

    def others(self, catalog: Catalog, slot: int, history: Slots) -> Slots:
        """``slot`` first, then the posts that it is compared with, none of the history; the same after a restart."""
        live = catalog.slots()
        if len(live) > NEGATIVES:
            first = mix(self._seed ^ mix(self.lessons))
            steps = np.arange(NEGATIVES, dtype=np.uint64) * np.uint64(STEP) + np.uint64(first)
            live = live[(steps >> np.uint64(33)).astype(np.int64) % len(live)]
        self._had[history] = True
        self._had[slot] = True
        rest = live[~np.take(self._had, live)]
        self._had[history] = False
        self._had[slot] = False
        return np.concatenate((np.array([slot]), rest))

    def learn(self, reader: Reader, history: Slots, slots: Slots, strength: float) -> None:
        """A reader engaged with the first of ``slots`` and not with the others."""
        self.lessons += 1
        if self.lessons % BLEND_EVERY == 0:
            self._learn_blend(reader, history, slots, strength)
        slot = int(slots[0])
        self.place.learn(history, slots, strength)
        self.company.learn(history, slot, strength)
        self.unit *= (2 ** (1 / POPULAR_HALF), 2 ** (1 / HOT_HALF))
        self.counts[:, slot] += self.unit * strength
        for row in np.flatnonzero(self.unit > _RESCALE):
            self.counts[row] /= self.unit[row]
            self.unit[row] = 1.0

    def _learn_blend(self, reader: Reader, history: Slots, slots: Slots, strength: float) -> None:
        known = level_of(reader)
        step = 1 + (len(slots) - 1) // BLEND_SAMPLE
        few = np.concatenate((slots[:1], slots[1 + self.lessons % step :: step]))
        scores = self.scores(history, few)
        odds = self.blend[known] @ scores
        odds -= odds.max()
        chances = np.exp(odds)
        chances /= chances.sum()
        slope = (scores[:, 0] - scores @ chances) * strength
        self.squares[known] += slope * slope
        self.blend[known] += RATE * slope / np.sqrt(self.squares[known])

    def state(self, size: int) -> dict[str, Any]:
        """All of it, for a snapshot."""
        plain = {field: getattr(self, field).copy() for field in ("unit", "blend", "squares")}
        parts = {"company": self.company.state(size), "place": self.place.state(size)}
        return {**plain, **parts, "counts": self.counts[:, :size].copy(), "lessons": self.lessons, "seed": self._seed}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Affinity:
        """What ``state`` told."""
        made = cls(state["seed"])
        size = state["counts"].shape[1]
        while made.counts.shape[1] < size:
            made._grow()
        made.counts[:, :size] = state["counts"]
        for field in ("unit", "blend", "squares"):
            setattr(made, field, state[field].copy())
        made.company = CoEngagement.restored(state["company"])
        made.place = Embedding.restored(state["place"])
        made.lessons = state["lessons"]
        return made
