"""Who found what helpful: the ratings that bridging is fitted to, of context notes and of posts alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from extensions.ranking import bounds as B
from extensions.ranking.bridging import (
    HELPFUL,
    NOT_HELPFUL,
    NOT_HELPFUL_FACTOR,
    NOTE_RATINGS_MIN,
    RATER_RATINGS_MIN,
    Fit,
    Table,
    dense,
    fit,
)
from protocol.scoring.page import Agreement
from protocol.scoring.weights import PERMILLE

AGREED: Final = 0.5  # of the usual share of helpful ratings: what either side has to give for a post to be lifted
HYSTERESIS: Final = 0.01  # a note that is shown goes when it falls this far below the threshold (as published)


@dataclass(frozen=True, slots=True)
class Rules:
    """How much has to be known before anything is lifted. Small communities may ask for less than the published."""

    note_min: int = NOTE_RATINGS_MIN
    rater_min: int = RATER_RATINGS_MIN
    side_min: int = 3  # raters on either side: one stray vote is no side


@dataclass(frozen=True, slots=True)
class Verdict:
    """What bridging says of a note or a post."""

    intercept: float
    factor: float
    agreement: Agreement
    both_sides: bool  # enough raters on either side
    agreed: bool = True  # either side found it helpful at least half as often as everybody finds everything
    contested: float = 0.0  # 0 to 1: one side found it as helpful as usual, the other so much less than half of that

    @property
    def lift(self) -> int:
        """Permille, −1000 to 1000, as ``protocol.scoring`` takes it: upwards if both sides agree, downwards if one."""
        if self.intercept < NOT_HELPFUL - NOT_HELPFUL_FACTOR * abs(self.factor):
            return max(-PERMILLE, int(PERMILLE * self.intercept / HELPFUL))
        if not self.both_sides:
            return 0
        if not self.agreed:
            return -int(PERMILLE * self.contested)
        if self.intercept <= 0:
            return 0
        return min(PERMILLE, int(PERMILLE * self.intercept / HELPFUL))

    @property
    def helpful(self) -> bool:
        """Whether it passes the published threshold."""
        return self.both_sides and self.intercept >= HELPFUL


class Judgements:
    """Ratings by (subject, rater), and the last fit."""

    def __init__(self, rules: Rules, seed: int) -> None:
        self.rules = rules
        self._seed = seed
        self._ratings: dict[bytes, dict[bytes, float]] = {}  # subject -> rater -> value, oldest first
        self._of_rater: dict[bytes, int] = {}
        self._verdicts: dict[bytes, Verdict] = {}
        self._shown: set[bytes] = set()
        self._last: tuple[list[bytes], list[bytes], Fit] | None = None
        self.changed = False  # since the last fit
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def rate(self, subject: bytes, rater: bytes, value: float) -> bool:
        """Note a judgement; a later one of the same rater replaces it. False: this rater has judged too much."""
        if rater not in self._ratings.get(subject, ()):
            if self._of_rater.get(rater, 0) >= B.RATINGS_PER_RATER:
                return False
            if self._count >= B.RATINGS_MAX:
                oldest = next(iter(self._ratings))
                self._discard(oldest, next(iter(self._ratings[oldest])))
            self._of_rater[rater] = self._of_rater.get(rater, 0) + 1
            self._count += 1
        self._ratings.setdefault(subject, {})[rater] = value
        self.changed = True
        return True

    def rated(self, subject: bytes, rater: bytes) -> bool:
        """Whether this rater has judged it."""
        return rater in self._ratings.get(subject, ())

    def _discard(self, subject: bytes, rater: bytes) -> None:
        ratings = self._ratings[subject]
        del ratings[rater]
        if not ratings:
            del self._ratings[subject]
        self._count -= 1
        left = self._of_rater[rater] - 1
        if left:
            self._of_rater[rater] = left
        else:
            del self._of_rater[rater]

    def drop_subject(self, subject: bytes) -> None:
        """A note or post is gone."""
        for rater in list(self._ratings.get(subject, ())):
            self._discard(subject, rater)
            self.changed = True
        self._verdicts.pop(subject, None)
        self._shown.discard(subject)

    def drop_rater(self, rater: bytes) -> None:
        """A reader wants to be forgotten."""
        for subject, _ in self.of_rater(rater):
            self._discard(subject, rater)
            self.changed = True

    def of_rater(self, rater: bytes) -> list[tuple[bytes, float]]:
        """What one rater said."""
        if rater not in self._of_rater:
            return []
        return [(subject, ratings[rater]) for subject, ratings in self._ratings.items() if rater in ratings]

    def verdict(self, subject: bytes) -> Verdict | None:
        """What the last fit says; None: too little was known."""
        return self._verdicts.get(subject)

    def verdicts(self) -> Iterable[tuple[bytes, Verdict]]:
        """All that the last fit says, of subjects that there still are."""
        return self._verdicts.items()

    def shown(self, subject: bytes) -> bool:
        """Whether a note is shown."""
        return subject in self._shown

    def refit(self) -> int:
        """Fit anew if anything changed; the number of ratings that counted."""
        if not self.changed:
            return 0
        self.changed = False
        subjects = list(self._ratings)
        raters = list(self._of_rater)
        number_of = {rater: number for number, rater in enumerate(raters)}
        rows = np.repeat(np.arange(len(subjects)), [len(ratings) for ratings in self._ratings.values()])
        people = np.array([number_of[r] for ratings in self._ratings.values() for r in ratings], dtype=np.int64)
        values = np.array([value for ratings in self._ratings.values() for value in ratings.values()], dtype=np.float64)
        kept = dense(people, rows, rater_min=self.rules.rater_min, note_min=self.rules.note_min)
        table = Table(people[kept], rows[kept], values[kept], len(raters), len(subjects))
        warm = self._warm(subjects, raters)
        found = fit(table, seed=self._seed, warm=warm)
        self._last = subjects, raters, found
        self._judge(subjects, table, found)
        return int(kept.sum())

    def _warm(self, subjects: list[bytes], raters: list[bytes]) -> Fit | None:
        """The last fit in today's numbering."""
        if self._last is None or not self._last[2].rater_factors.any():
            return None
        old_subjects, old_raters, old = self._last
        was_rater = {rater: number for number, rater in enumerate(old_raters)}
        was_subject = {subject: number for number, subject in enumerate(old_subjects)}
        return old.renumbered([was_rater.get(r, -1) for r in raters], [was_subject.get(s, -1) for s in subjects])

    def _judge(self, subjects: list[bytes], table: Table, found: Fit) -> None:
        size = len(subjects)
        positive = found.rater_factors[table.raters] >= 0
        counts = []
        for side in (positive, ~positive):
            helpful = np.bincount(table.notes[side], table.values[side] > 0.5, size)
            counts += [helpful, np.bincount(table.notes[side], minlength=size)]
        rated = np.flatnonzero(counts[1] + counts[3])
        self._verdicts = {}
        usual = float((table.values > 0.5).mean()) if len(table.values) else 0.0
        for number in rated.tolist():
            one, one_all, other, other_all = (int(count[number]) for count in counts)
            both = min(one_all, other_all) >= self.rules.side_min
            intercept, factor = float(found.note_intercepts[number]), float(found.note_factors[number])
            agreed, contested = _agreement(one / max(1, one_all), other / max(1, other_all), usual)
            verdict = Verdict(intercept, factor, Agreement(one, one_all, other, other_all), both, agreed, contested)
            subject = subjects[number]
            self._verdicts[subject] = verdict
            if verdict.helpful:
                self._shown.add(subject)
            elif not both or intercept < HELPFUL - HYSTERESIS:
                self._shown.discard(subject)
        self._shown &= self._verdicts.keys()

    def state(self) -> dict[str, Any]:
        """All of it, for a snapshot."""
        last = None
        if self._last is not None:
            subjects, raters, found = self._last
            last = [subjects, raters, found.state()]
        ratings = [[subject, list(ratings.items())] for subject, ratings in self._ratings.items()]
        verdicts = [
            [s, v.intercept, v.factor, _numbers(v.agreement), v.both_sides, v.agreed, v.contested]
            for s, v in self._verdicts.items()
        ]
        shown = sorted(self._shown)
        raters = list(self._of_rater)  # their order is the numbering of the next fit
        told = {"ratings": ratings, "raters": raters, "last": last, "verdicts": verdicts}
        return {**told, "shown": shown, "changed": self.changed}

    def restore(self, state: dict[str, Any]) -> None:
        """Become what ``state`` told."""
        self._of_rater = dict.fromkeys(state["raters"], 0)
        for subject, ratings in state["ratings"]:
            self._ratings[subject] = dict(ratings)
            for rater in self._ratings[subject]:
                self._of_rater[rater] += 1
                self._count += 1
        if state["last"] is not None:
            subjects, raters, found = state["last"]
            self._last = subjects, raters, Fit.restored(found)
        for subject, intercept, factor, numbers, both, agreed, contested in state["verdicts"]:
            self._verdicts[subject] = Verdict(intercept, factor, Agreement(*numbers), both, agreed, contested)
        self._shown = set(state["shown"])
        self.changed = state["changed"]


def _agreement(one: float, other: float, usual: float) -> tuple[bool, float]:
    """Of what share either side found helpful: whether they agree, and how far one of them is from it."""
    weaker, stronger, enough = min(one, other), max(one, other), AGREED * usual
    contested = 1 - weaker / enough if weaker < enough and stronger >= usual else 0.0
    return weaker >= enough, contested


def _numbers(agreement: Agreement) -> tuple[int, int, int, int]:
    one = agreement
    return one.helpful_one, one.raters_one, one.helpful_other, one.raters_other
