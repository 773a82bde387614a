"""By how much bridging moves each post: what both sides made of it, or, of a new post, of its author's others.

Who has written for one side has done so before, and so has who informs both. An author's posts that both sides have
judged say what is to be expected of the next, shrunk to nothing while they are few.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from extensions.ranking.catalog import Catalog, Slots
from extensions.ranking.heads import Ints
from extensions.ranking.judgements import Judgements

SHRINK: Final = 3  # posts of which nothing is known that every author is taken to have had judged before
_FIRST: Final = 1024


class Lifts:
    """Permille, −1000 to 1000, by slot."""

    def __init__(self) -> None:
        self._by_slot = np.zeros(_FIRST, dtype=np.int64)
        self.expected: dict[bytes, int] = {}  # of an author's next post

    def of(self, slots: Slots) -> Ints:
        """The lifts of some posts."""
        found: Ints = self._by_slot[slots]
        return found

    def begin(self, slot: int, author: bytes) -> None:
        """A post that nobody has judged: a new one, or a new version."""
        while slot >= len(self._by_slot):
            self._by_slot = np.concatenate((self._by_slot, np.zeros_like(self._by_slot)))
        self._by_slot[slot] = self.expected.get(author, 0)

    def fitted(self, judged: Judgements, catalog: Catalog) -> None:
        """After a fit: what is expected of authors, and the lift of each post."""
        sums: dict[bytes, list[int]] = {}
        for post, verdict in judged.verdicts():
            if verdict.both_sides:
                of_author = sums.setdefault(catalog.post(catalog.slot_of[post]).author, [0, SHRINK])
                of_author[0] += verdict.lift
                of_author[1] += 1
        self.expected = {author: lift // count for author, (lift, count) in sums.items() if lift // count}
        self.place(judged, catalog)

    def place(self, judged: Judgements, catalog: Catalog) -> None:
        """The lift of each post, of what is expected of authors and of the last fit."""
        for slot in catalog.slots().tolist():
            self.begin(slot, catalog.post(slot).author)
        for post, verdict in judged.verdicts():
            if verdict.both_sides or verdict.lift:
                self._by_slot[catalog.slot_of[post]] = verdict.lift
