"""From scored posts to a page: best first, but not all by one author and not all about one thing.

Greedy: each place goes to the post with the highest score *there*. What a post loses by the posts above it only grows,
so a heap of old scores is enough: the top is brought up to date and taken if it still is the top.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from protocol.scoring.score import similarity, slate_terms
from protocol.scoring.weights import Weights

WINDOW: Final = 10  # "among ten in a row"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A post with its base score (the sum of ``base_terms``)."""

    key: bytes  # decides between equal scores: the lower first
    author: bytes
    tags: frozenset[str]
    topic: str  # its first tag; empty: none
    base: int


@dataclass(frozen=True, slots=True)
class Placed:
    """A candidate (by its index) in its place, with what it lost there."""

    index: int
    author_points: int
    diversity_points: int


class _Slate:
    """What was placed so far."""

    def __init__(self, candidates: Sequence[Candidate], weights: Weights) -> None:
        self.candidates = candidates
        self._weights = weights
        self._of_author: dict[bytes, int] = {}
        self._likeness = [0] * len(candidates)
        self._compared = [0] * len(candidates)  # places that _likeness knows of
        self._chosen: list[Candidate] = []
        self.placed: list[Placed] = []

    def losses(self, index: int) -> tuple[int, int]:
        candidate = self.candidates[index]
        likeness = self._likeness[index]
        if candidate.tags:
            for other in self._chosen[self._compared[index] :]:
                if other.tags:
                    likeness = max(likeness, similarity(candidate.tags, other.tags))
        self._likeness[index], self._compared[index] = likeness, len(self._chosen)
        return slate_terms(candidate.base, self._of_author.get(candidate.author, 0), likeness, self._weights)

    def _window(self) -> list[Candidate]:
        return self._chosen[-(WINDOW - 1) :]

    def author_full(self, index: int) -> bool:
        author = self.candidates[index].author
        return sum(other.author == author for other in self._window()) >= self._weights.authors_in_ten

    def topic_full(self, index: int) -> bool:
        topic = self.candidates[index].topic
        return bool(topic) and sum(other.topic == topic for other in self._window()) >= self._weights.topics_in_ten

    def place(self, index: int, losses: tuple[int, int]) -> None:
        candidate = self.candidates[index]
        self._chosen.append(candidate)
        self._of_author[candidate.author] = self._of_author.get(candidate.author, 0) + 1
        self.placed.append(Placed(index, *losses))


def select(
    candidates: Sequence[Candidate], weights: Weights, count: int, forced: Mapping[int, int] | None = None
) -> list[Placed]:
    """At most ``count`` posts in their order. ``forced``: place -> index of what exploration puts there, if it may.

    The rule about authors is hard: rather a shorter page than a third post of one author among ten. The quota of
    topics gives way when nothing else is left.
    """
    slate = _Slate(candidates, weights)
    forced = forced or {}
    kept = set(forced.values())
    heap = [(-one.base, one.key, index) for index, one in enumerate(candidates) if index not in kept]
    heapq.heapify(heap)
    while len(slate.placed) < count:
        wanted = forced.get(len(slate.placed))
        if wanted is not None and wanted in kept:
            kept.discard(wanted)
            if not slate.author_full(wanted):
                slate.place(wanted, slate.losses(wanted))
                continue
        chosen = _best(slate, heap)
        if chosen is None:
            break
        slate.place(*chosen)
    return slate.placed


def _best(slate: _Slate, heap: list[tuple[int, bytes, int]]) -> tuple[int, tuple[int, int]] | None:
    """Take the candidate with the highest score at the next place."""
    aside: list[tuple[int, bytes, int]] = []  # of an author or a topic that stands there often enough just now
    spare: tuple[int, tuple[int, int]] | None = None  # the best whose topic is full
    chosen: tuple[int, tuple[int, int]] | None = None
    while heap and chosen is None:
        top = heapq.heappop(heap)
        index = top[2]
        if slate.author_full(index):
            aside.append(top)
            continue
        losses = slate.losses(index)
        now = (-(slate.candidates[index].base + sum(losses)), top[1], index)
        if heap and now > heap[0]:
            heapq.heappush(heap, now)
        elif slate.topic_full(index):
            spare = spare or (index, losses)
            aside.append(now)
        else:
            chosen = (index, losses)
    if chosen is None and spare is not None:
        chosen = spare
        aside = [entry for entry in aside if entry[2] != spare[0]]
    for entry in aside:
        heapq.heappush(heap, entry)
    return chosen
