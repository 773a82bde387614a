"""Incremental item–item co-engagement: what readers went on to after what.

Each engagement adds to the weight between the post and the reader's last posts, the most recent ones most, and both
ways. Each post keeps its NEIGHBOURS heaviest; a newcomer takes the lightest one's place, and where it is lighter still
it wears that one down (the counters of Misra and Gries, 1982): what comes often gets in, whatever came before it.
Weights halve every HALF_EVENTS events *of that post*, so old company fades as new company comes. The score is shrunk
and divided by popularity as in cosine similarity, with the reader's recent posts counting most (Sarwar et al.,
"Item-based collaborative filtering", 2001; Ludewig and Jannach, "Evaluation of session-based recommendation", 2018).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from extensions.ranking import bounds as B
from extensions.ranking.catalog import Slots
from protocol.scoring.local import COMPANY as RECENT
from protocol.scoring.local import COMPANY_HALF, COMPANY_SHRINK

Floats = NDArray[np.float64]
_FIRST: Final = 1024
LEARN_DECAY: Final = 0.9  # weight of a post one place further back in a reader's history, when learning
HALF_EVENTS: Final = 2000  # engagements of a post after which its old weights count half
_LEARN: Final[Floats] = np.power(LEARN_DECAY, np.arange(RECENT, dtype=np.float64))
_SCORE: Final[Floats] = np.array([0.5 ** (back / COMPANY_HALF) for back in range(RECENT)])
_PLACES: Final = range(B.NEIGHBOURS)
_FADE: Final = 0.5 ** (1 / HALF_EVENTS)


class CoEngagement:
    """Weights between posts, in rows of NEIGHBOURS."""

    def __init__(self) -> None:
        self.others = np.full((_FIRST, B.NEIGHBOURS), -1, dtype=np.int64)
        self.weights = np.zeros((_FIRST, B.NEIGHBOURS), dtype=np.float64)
        self.degree = np.zeros(_FIRST, dtype=np.float64)
        self._scratch = np.zeros(_FIRST, dtype=np.float64)

    def reserve(self, size: int) -> None:
        """Room for so many slots."""
        while len(self.degree) < size:
            self.others = np.concatenate((self.others, np.full_like(self.others, -1)))
            for field in ("weights", "degree", "_scratch"):
                old: NDArray[Any] = getattr(self, field)
                setattr(self, field, np.concatenate((old, np.zeros_like(old))))

    def drop(self, slots: Slots) -> None:
        """Posts are gone: nothing points to them any more."""
        gone = np.isin(self.others, slots)
        self.others[gone] = -1
        self.weights[gone] = 0.0
        self.others[slots] = -1
        self.weights[slots] = 0.0
        self.degree[slots] = 0.0

    def score(self, history: Slots, slots: Slots) -> Floats:
        """How much company each of ``slots`` keeps with a history (the most recent post first)."""
        history = history[:RECENT]
        if not len(history):
            return np.zeros(len(slots))
        rows = self.others[history]
        weights = self.weights[history] * _SCORE[: len(history), None]
        flat = rows.ravel()
        if len(slots) == 1:
            shared = weights[rows == slots[0]].sum()
            alone: Floats = shared / np.sqrt(self.degree[slots] + COMPANY_SHRINK)
            return alone
        scratch = self._scratch
        np.add.at(scratch, flat, weights.ravel())  # an empty place is -1 with weight 0: adds nothing to the last one
        found: Floats = scratch[slots] / np.sqrt(self.degree[slots] + COMPANY_SHRINK)
        scratch[flat] = 0.0
        return found

    def learn(self, history: Slots, slot: int, strength: float) -> None:
        """A reader with this history engaged with ``slot``."""
        self.degree[slot] += strength
        history = history[:RECENT]
        if not len(history):
            return
        gains: Floats = _LEARN[: len(history)] * strength
        self.weights[slot] *= _FADE
        self._to_row(slot, history, gains)
        self._to_rows(history, slot, gains)

    def _to_row(self, slot: int, history: Slots, gains: Floats) -> None:
        """Add a whole history to one row."""
        others, weights = self.others[slot], self.weights[slot]
        place_of = dict(zip(others.tolist(), _PLACES, strict=True))
        known: list[int] = []
        which: list[int] = []
        strangers: list[int] = []
        for number, other in enumerate(history.tolist()):
            place = place_of.get(other)
            if place is None:
                strangers.append(number)
            else:
                known.append(place)
                which.append(number)
        weights[known] += gains[which]
        if strangers:
            places = np.argsort(weights, kind="stable")[: len(strangers)]
            numbers = strangers[: len(places)]  # one contender for each of the lightest
            comers, force, current = history[numbers], gains[numbers], weights[places]
            enters = force > current
            weights[places] = np.where(enters, force, current - force)
            others[places[enters]] = comers[enters]

    def _to_rows(self, history: Slots, slot: int, gains: Floats) -> None:
        """Add one post to the rows of a whole history."""
        match = self.others[history] == slot
        there = match.any(axis=1)
        place = np.where(there, match.argmax(axis=1), self.weights[history].argmin(axis=1))
        current = self.weights[history, place]
        enters = there | (gains > current)
        self.weights[history, place] = np.where(there, current + gains, np.where(enters, gains, current - gains))
        self.others[history[enters], place[enters]] = slot

    def state(self, size: int) -> dict[str, Any]:
        """The first ``size`` rows, for a snapshot."""
        return {field: getattr(self, field)[:size].copy() for field in ("others", "weights", "degree")}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> CoEngagement:
        """What ``state`` told."""
        made = cls()
        size = len(state["degree"])
        made.reserve(size)
        for field in ("others", "weights", "degree"):
            getattr(made, field)[:size] = state[field]
        return made
