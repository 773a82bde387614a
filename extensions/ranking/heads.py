"""What a reader will probably do with a post: seven logistic regressions on the same features, learned online.

Dense inputs: 1, and the affinity. Sparse ones: hashed features of the post (author, kind, shape, tags), of reader and
post together (reader × author, reader × tag, followed or not) and its age. A feature has a row of seven weights in an
open-addressed table that doubles while it is half full, up to FEATURES_MAX; then a new feature takes the place of the
one untouched for longest among the places where it may stand. Steps are AdaGrad's.

A look at a post counts as "nothing else happened" at once; when something does happen later, that lesson is taken
back with the new one (the gradient is ``(p − 1) − (p − 0)``), so probabilities stay calibrated however late people are.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from extensions.ranking import bounds as B
from protocol.scoring.sigmoid import MICRO, SPAN, STEP, TABLE
from protocol.scoring.weights import ACTIONS

Hashes = NDArray[np.uint64]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
HEADS: Final = len(ACTIONS)
#: Probabilities before anything is known: rough shares of what people do with what they are shown.
PRIORS: Final = (0.5, 0.2, 0.05, 0.01, 0.01, 0.005, 0.0005)
RATE: Final = 0.15
DENSE_RATE: Final = 0.02
_CALM: Final = 0.1
_PROBES: Final = 4  # places where a feature may stand
_FIRST: Final = 1 << 12
_TABLE: Final = np.array(TABLE, dtype=np.int64)


def probabilities(micro: Ints) -> Ints:
    """``protocol.scoring.sigmoid.probability`` for arrays: billionths for log-odds in millionths."""
    place = np.clip(micro, -SPAN * MICRO, SPAN * MICRO) + SPAN * MICRO
    index, rest = np.divmod(place, STEP)
    low = _TABLE[index]
    found: Ints = low + (_TABLE[index + 1] - low) * rest // STEP
    return found


class Heads:
    """The seven regressions."""

    def __init__(self) -> None:
        prior = np.array(PRIORS)
        self.dense = np.zeros((2, HEADS))  # rows: bias, slope of the affinity
        self.dense[0] = np.log(prior / (1 - prior))
        self.dense[1, 1:5] = 0.5
        self.dense_squares = np.full((2, HEADS), _CALM)
        self.keys = np.zeros(_FIRST, dtype=np.uint64)
        self.touched = np.zeros(_FIRST, dtype=np.int64)
        self.weights = np.zeros((_FIRST, HEADS), dtype=np.float32)
        self.squares = np.full((_FIRST, HEADS), _CALM, dtype=np.float32)
        self.micro = np.zeros((_FIRST + 1, HEADS), dtype=np.int32)  # the weights in millionths, and a row of zeros
        self.used = 0
        self.lessons = 0
        self.expired = 0
        self.rate = RATE

    def rows(self, keys: Hashes) -> Ints:
        """The row of each feature; -1 for those unknown and for 0."""
        flat = keys.ravel()
        mask = np.uint64(len(self.keys) - 1)
        found = (flat & mask).astype(np.int64)
        missing = np.flatnonzero((self.keys[found] != flat) | (flat == 0))
        found[missing] = -1
        missing = missing[flat[missing] != 0]
        for probe in range(1, _PROBES):
            if not len(missing):
                break
            place = ((flat[missing] + np.uint64(probe)) & mask).astype(np.int64)
            there = self.keys[place] == flat[missing]
            found[missing[there]] = place[there]
            missing = missing[~there]
        rows: Ints = found.reshape(keys.shape)
        return rows

    def log_odds(self, affinity: Floats, keys: Hashes) -> Ints:
        """Millionths, shape (posts, heads). ``keys``: features, shape (posts, features); 0 is none.

        Weights are added as whole millionths, so the order of adding does not matter.
        """
        rows = self.rows(keys[:, keys.any(axis=0)])  # most posts have fewer tags than may count
        dense = self.dense[0] + affinity[:, None] * self.dense[1]
        micro = np.rint(dense * MICRO).astype(np.int32)
        for column in np.ascontiguousarray(rows.T):  # row -1 is the spare one at the end, always zero
            if column.max() >= 0:
                micro += np.take(self.micro, column, axis=0, mode="wrap")
        told: Ints = micro.astype(np.int64)
        return told

    def learn(self, affinity: float, keys: Hashes, push: Floats, done: Floats, weight: float) -> Floats:
        """One lesson: for each head ``push`` says what happened (1, 0, or NaN: nothing to learn).

        ``done``: 1 where an earlier "nothing happened" of the same post is taken back. The probabilities are returned.
        """
        self.lessons += 1
        keys = keys[keys != 0]
        rows = self._claim(keys)
        weights = self.weights[rows]
        odds = self.dense[0] + affinity * self.dense[1] + weights.sum(axis=0)
        chance = 1 / (1 + np.exp(-np.minimum(np.maximum(odds, -SPAN), SPAN)))
        error = np.where(np.isnan(push), 0.0, push - chance + done * chance) * weight
        inputs = np.array([1.0, affinity])
        slope = inputs[:, None] * error
        self.dense_squares += slope * slope
        self.dense += DENSE_RATE * slope / np.sqrt(self.dense_squares)
        squares = self.squares[rows] + (error * error).astype(np.float32)
        weights += (self.rate * error / np.sqrt(squares)).astype(np.float32)
        self.squares[rows], self.weights[rows] = squares, weights
        self.micro[rows] = np.rint(weights * np.float64(MICRO))
        told: Floats = chance
        return told

    def _claim(self, keys: Hashes) -> Ints:
        """A row for each feature, made where there is none."""
        if 2 * (self.used + len(keys)) > len(self.keys) and len(self.keys) < B.FEATURES_MAX:
            self._double()
        rows = self.rows(keys)
        for number in np.flatnonzero(rows < 0).tolist():
            rows[number] = self._place(keys[number])
        self.touched[rows] = self.lessons
        return rows

    def _place(self, key: np.uint64) -> int:
        places = [(int(key) + probe) & (len(self.keys) - 1) for probe in range(_PROBES)]
        for place in places:
            if self.keys[place] in (0, key):
                self.used += int(self.keys[place] == 0)
                break
        else:
            place = min(places, key=lambda one: int(self.touched[one]))
            self.expired += 1
            self.weights[place] = 0.0
            self.micro[place] = 0
            self.squares[place] = _CALM
        self.keys[place] = key
        self.touched[place] = self.lessons
        return place

    def _double(self) -> None:
        old = self.keys, self.touched, self.weights, self.squares, self.micro
        size = 2 * len(self.keys)
        self.keys = np.zeros(size, dtype=np.uint64)
        self.touched = np.zeros(size, dtype=np.int64)
        self.weights = np.zeros((size, HEADS), dtype=np.float32)
        self.squares = np.full((size, HEADS), _CALM, dtype=np.float32)
        self.micro = np.zeros((size + 1, HEADS), dtype=np.int32)
        self.used = 0
        lessons = self.lessons
        for row in np.flatnonzero(old[0]).tolist():
            place = self._place(old[0][row])
            self.touched[place], self.weights[place], self.squares[place] = old[1][row], old[2][row], old[3][row]
            self.micro[place] = old[4][row]
        self.lessons = lessons

    def forget(self, keys: Hashes) -> None:
        """Drop what was learned of some features."""
        rows = self.rows(keys)
        rows = rows[rows >= 0]
        self.weights[rows] = 0.0
        self.micro[rows] = 0
        self.squares[rows] = _CALM

    _ARRAYS: Final = ("dense", "dense_squares", "keys", "touched", "weights", "squares", "micro")

    def state(self) -> dict[str, Any]:
        """All of it, for a snapshot."""
        numbers = {"used": self.used, "lessons": self.lessons, "expired": self.expired}
        return {**{field: getattr(self, field).copy() for field in self._ARRAYS}, **numbers}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Heads:
        """What ``state`` told."""
        made = cls()
        for field, value in state.items():
            setattr(made, field, value.copy() if isinstance(value, np.ndarray) else value)
        return made
