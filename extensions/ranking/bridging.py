"""Bridging: what people who usually disagree both find helpful (matrix factorization after Community Notes).

The model, its regularisation and its thresholds are those that Community Notes publishes (Wojcik et al., "Birdwatch:
Crowd Wisdom and Bridging Algorithms can Inform Understanding and Reduce the Spread of Misinformation", 2022, and the
constants of the programme's open scorer)::

    rating(u, n) ≈ μ + i_u + i_n + f_u · f_n
    minimise  mean (error²) + 0.15 (mean i_u² + mean i_n² + μ²) + 0.03 (mean f_u² + mean f_n²)

What the factors (the sides) can explain they explain cheaply; an intercept ``i_n`` is expensive, so it grows only
where both sides agree. One factor; the minimum is found by alternating least squares in closed form, from several
random starts and, later, from the last fit. With so few parameters each step is a handful of ``bincount``s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

INTERCEPT_LAMBDA: Final = 0.15
FACTOR_LAMBDA: Final = 0.03
HELPFUL: Final = 0.40  # intercept from which a note is shown
NOT_HELPFUL: Final = -0.05  # below this, less 0.8 |factor|, a note is found not helpful
NOT_HELPFUL_FACTOR: Final = 0.8
NOTE_RATINGS_MIN: Final = 5
RATER_RATINGS_MIN: Final = 10
STARTS: Final = 4  # random starts; the lowest loss wins. On real data all four end in the same minimum
ROUNDS_MAX: Final = 300  # of alternation; real data takes about 50
TOLERANCE: Final = 1e-8  # of the loss between two rounds
_START_SCALE: Final = 0.3  # of the first factors: the size that fitted ones have
_AUTHOR_SHRINK: Final = 1.0  # ratings of an author's other notes that weigh as much as all notes together


@dataclass(frozen=True, slots=True)
class Table:
    """Ratings as parallel arrays; raters and notes are numbered from 0 without gaps."""

    raters: Ints
    notes: Ints
    values: Floats  # 0 to 1
    rater_count: int
    note_count: int


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted model. Who has no ratings has zeros."""

    mean: float
    rater_intercepts: Floats
    rater_factors: Floats
    note_intercepts: Floats
    note_factors: Floats
    loss: float
    rounds: int

    def renumbered(self, raters: list[int], notes: list[int]) -> Fit:
        """The same in another numbering: for each new number the old one, or -1."""
        who, what = np.array(raters, dtype=np.int64), np.array(notes, dtype=np.int64)
        parts = [
            np.where(index >= 0, part[index], 0.0)
            for part, index in (
                (self.rater_intercepts, who),
                (self.rater_factors, who),
                (self.note_intercepts, what),
                (self.note_factors, what),
            )
        ]
        return Fit(self.mean, parts[0], parts[1], parts[2], parts[3], self.loss, self.rounds)

    def state(self) -> list[Any]:
        """All of it, for a snapshot."""
        parts = self.rater_intercepts, self.rater_factors, self.note_intercepts, self.note_factors
        return [self.mean, *parts, self.loss, self.rounds]

    @classmethod
    def restored(cls, state: list[Any]) -> Fit:
        """What ``state`` told."""
        return cls(*state)


@dataclass(slots=True)
class _Half:
    """One side of the alternation: intercept and factor of each rater, or of each note, the others held."""

    index: Ints  # of this side, for each rating
    size: int
    intercepts: Floats
    factors: Floats
    count: Floats
    penalty: float  # ratings per parameter: the published loss takes means over ratings, raters and notes

    def solve(self, residual: Floats, factor: Floats) -> None:
        """The least squares solution of every 2 × 2 system at once; ``residual``: what the others leave."""
        sum_f = np.bincount(self.index, factor, self.size)
        sum_ff = np.bincount(self.index, factor * factor, self.size) + FACTOR_LAMBDA * self.penalty
        sum_r = np.bincount(self.index, residual, self.size)
        sum_rf = np.bincount(self.index, residual * factor, self.size)
        weight = self.count + INTERCEPT_LAMBDA * self.penalty
        determinant = weight * sum_ff - sum_f * sum_f
        self.intercepts = (sum_r * sum_ff - sum_rf * sum_f) / determinant
        self.factors = (weight * sum_rf - sum_f * sum_r) / determinant

    @property
    def cost(self) -> float:
        """Its part of the loss."""
        inner = INTERCEPT_LAMBDA * (self.intercepts @ self.intercepts) + FACTOR_LAMBDA * (self.factors @ self.factors)
        return float(self.penalty * inner)


def _half(index: Ints, size: int, start: tuple[Floats, Floats]) -> _Half:
    count = np.bincount(index, minlength=size).astype(np.float64)
    return _Half(index, size, start[0].copy(), start[1].copy(), count, len(index) / max(1, int((count > 0).sum())))


def _descend(table: Table, rater_start: tuple[Floats, Floats], note_start: tuple[Floats, Floats], mean: float) -> Fit:
    values = table.values
    total = len(values)
    raters = _half(table.raters, table.rater_count, rater_start)
    notes = _half(table.notes, table.note_count, note_start)
    loss, rounds = np.inf, 0
    for rounds in range(1, ROUNDS_MAX + 1):  # noqa: B007 - told in the result
        notes.solve(values - mean - raters.intercepts[raters.index], raters.factors[raters.index])
        raters.solve(values - mean - notes.intercepts[notes.index], notes.factors[notes.index])
        explained = raters.intercepts[raters.index] + notes.intercepts[notes.index]
        explained += raters.factors[raters.index] * notes.factors[notes.index]
        mean = float((values - explained).sum() / (total * (1 + INTERCEPT_LAMBDA)))
        error = values - mean - explained
        now = float(error @ error + raters.cost + notes.cost) / total + INTERCEPT_LAMBDA * mean * mean
        if loss - now < TOLERANCE:
            loss = now
            break
        loss = now
    return Fit(mean, raters.intercepts, raters.factors, notes.intercepts, notes.factors, loss, rounds)


def fit(table: Table, *, seed: int = 0, starts: int = STARTS, warm: Fit | None = None) -> Fit:
    """The model with the lowest loss of ``starts`` random starts, or of one from ``warm`` (``Fit.renumbered``).

    The sign of a factor means nothing: it is fixed so that most raters are on the positive side, or, with ``warm``,
    so that the sides keep their names. Equal input gives equal output, bit for bit, on one machine.
    """
    if not len(table.values):
        of_raters, of_notes = np.zeros(table.rater_count), np.zeros(table.note_count)
        return Fit(0.0, of_raters, of_raters.copy(), of_notes, of_notes.copy(), 0.0, 0)
    if warm is not None:
        raters, notes = (warm.rater_intercepts, warm.rater_factors), (warm.note_intercepts, warm.note_factors)
        best = _descend(table, raters, notes, warm.mean)
        return _signed(best, float(best.rater_factors @ warm.rater_factors) or 1.0)
    found = []
    for start in range(starts):
        random = np.random.Generator(np.random.PCG64([seed, start]))
        factors = random.normal(0.0, _START_SCALE, table.rater_count)
        zeros = np.zeros(table.rater_count), np.zeros(table.note_count)
        found.append(_descend(table, (zeros[0], factors), (zeros[1], zeros[1]), float(table.values.mean())))
    best = min(found, key=lambda one: one.loss)
    return _signed(best, float(np.sign(best.rater_factors).sum()) or float(best.rater_factors.sum()) or 1.0)


def _signed(found: Fit, direction: float) -> Fit:
    if direction >= 0:
        return found
    mean, loss, rounds = found.mean, found.loss, found.rounds
    return Fit(
        mean, found.rater_intercepts, -found.rater_factors, found.note_intercepts, -found.note_factors, loss, rounds
    )


def dense(
    raters: Ints, notes: Ints, *, rater_min: int = RATER_RATINGS_MIN, note_min: int = NOTE_RATINGS_MIN
) -> NDArray[np.bool_]:
    """Which ratings count: published minima (5 ratings a note, 10 a rater), applied until nothing more falls out."""
    kept = np.ones(len(raters), dtype=np.bool_)
    while True:
        per_rater = np.bincount(raters[kept], minlength=int(raters.max(initial=0)) + 1)
        per_note = np.bincount(notes[kept], minlength=int(notes.max(initial=0)) + 1)
        now = kept & (per_rater[raters] >= rater_min) & (per_note[notes] >= note_min)
        if now.sum() == kept.sum():
            return now
        kept = now


def predict(model: Fit, table: Table, raters: Ints, notes: Ints, authors: Ints) -> Floats:
    """Expected ratings, 0 to 1, also of notes and raters that ``table`` (what was fitted) does not hold.

    An unknown rater counts as the average one. An unknown note counts as its author's notes did on average (shrunk to
    the average of all): who writes for one side has done so before. ``authors``: of each note, by number.
    """
    rater_counts = np.bincount(table.raters, minlength=table.rater_count)
    note_counts = np.bincount(table.notes, minlength=table.note_count).astype(np.float64)
    known_rater, known_note = rater_counts > 0, note_counts > 0
    by_author = np.bincount(authors, note_counts)
    expected = model.mean
    sides = []
    for rater_part, note_part in (
        (model.rater_intercepts, model.note_intercepts),
        (model.rater_factors, model.note_factors),
    ):
        average = float(note_part @ note_counts) / max(1.0, note_counts.sum())
        of_author = np.bincount(authors, note_counts * note_part) + _AUTHOR_SHRINK * average
        of_note = np.where(known_note, note_part, (of_author / (by_author + _AUTHOR_SHRINK))[authors])
        of_rater = np.where(known_rater, rater_part, float(rater_part[table.raters].mean()))
        sides.append((of_rater[raters], of_note[notes]))
    (rater_intercepts, note_intercepts), (rater_factors, note_factors) = sides
    guess: Floats = np.clip(expected + rater_intercepts + note_intercepts + rater_factors * note_factors, 0.0, 1.0)
    return guess
