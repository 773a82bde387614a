"""A second configuration that learns beside the one that serves, and is compared with it. It is never served.

Both are asked before either learns: whenever a reader engages with a post of a page, each says where among that page's
posts it would have stood. One over that place, averaged, is the measure (mean reciprocal rank; Voorhees, 1999): 1 is
always first. The page was chosen by the model that serves, which favours that one a little: a shadow that wins is
better indeed.

The configuration is ``shadow.json`` beside the worker's database, for example ``{"head_rate": 0.1, "rules":
{"side_min": 4}}``; whatever it does not say is as it is served. A shadow begins as a copy of the last snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from extensions.ranking.embedding import RATE as PLACE_RATE
from extensions.ranking.events import AnyEvent, Signal
from extensions.ranking.heads import RATE as HEAD_RATE
from extensions.ranking.judgements import Rules
from extensions.ranking.ranker import Ranker
from extensions.ranking.readers import ENGAGED, Reader
from protocol.scoring.hashing import name
from protocol.scoring.score import Slider
from protocol.scoring.weights import DEFAULT, Weights

FILE: Final = "shadow.json"
_GOOD: Final = frozenset(("dwell", "finish", "open", "like", "reply", "share"))


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a shadow does otherwise."""

    weights: Weights = DEFAULT
    rules: Rules = Rules()
    head_rate: float = HEAD_RATE
    place_rate: float = PLACE_RATE


@dataclass(frozen=True, slots=True)
class ShadowStatistics:
    """``compared``: engagements; ``live`` and ``shadow``: mean reciprocal ranks of what people engaged with."""

    compared: int
    live: float
    shadow: float
    better: int  # engagements with a post that the shadow places higher
    worse: int
    drift: dict[str, float]  # of the shadow: observed ÷ expected


class Shadow:
    """One beside ``live``."""

    def __init__(self, live: Ranker, wanted: Configuration, snapshot: bytes | None = None) -> None:
        """``snapshot``: what it begins with; else nothing is known."""
        self._live = live
        self.ranker = (
            Ranker(wanted.weights, rules=wanted.rules)
            if snapshot is None
            else Ranker.restore(snapshot, wanted.weights, rules=wanted.rules)
        )
        self.ranker.learner.heads.rate = wanted.head_rate
        self.ranker.learner.affinity.place.rate = wanted.place_rate
        self._compared = self._better = self._worse = 0
        self._sums = [0.0, 0.0]

    def apply(self, event: AnyEvent) -> None:
        """An event that the live ranker has not learned from yet."""
        if isinstance(event, Signal) and event.kind in _GOOD and event.context:
            self._compare(event)
        self.ranker.apply(event)

    def _compare(self, event: Signal) -> None:
        served = self._live.learner.served.get(event.reader, {}).get(event.context)
        if served is None or event.post not in served[1]:
            return
        places = [_place(ranker, event, served[1]) for ranker in (self._live, self.ranker)]
        if 0 in places:
            return
        self._compared += 1
        self._better += places[1] < places[0]
        self._worse += places[1] > places[0]
        for which, place in enumerate(places):
            self._sums[which] += 1 / place

    def statistics(self) -> ShadowStatistics:
        """The comparison since this process began."""
        live, shadow = (total / max(1, self._compared) for total in self._sums)
        drift = self.ranker.statistics().drift
        return ShadowStatistics(self._compared, live, shadow, self._better, self._worse, drift)


def _place(ranker: Ranker, event: Signal, posts: tuple[bytes, ...]) -> float:
    """Where a ranker would put the post among those of its page, from 1; 0: there is nothing to compare."""
    learner = ranker.learner
    slot_of = learner.catalog.slot_of
    slots = np.array([slot_of[post] for post in posts if post in slot_of], dtype=np.int64)
    mine = slot_of.get(event.post)
    reader = learner.readers.get(event.reader) or Reader(name("reader", event.reader))
    if mine is None or len(slots) < 2 or reader.done.get(int(learner.catalog.serial[mine]), 0) & ENGAGED:
        return 0
    base = ranker.score(reader, slots, event.at_ms, Slider()).base
    own = base[slots == mine][0]
    return 1 + float((base > own).sum()) + (float((base == own).sum()) - 1) / 2
