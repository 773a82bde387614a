"""What is known of each reader: the last posts it engaged with, what it saw, whom it follows. All of it is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from extensions.ranking import bounds as B
from extensions.ranking.catalog import Catalog, Slots
from protocol.scoring.hashing import name

#: What a reader has done with a post, as bits.
SERVED, VIEWED, ENGAGED = 1, 2, 4


@dataclass(slots=True)
class Reader:
    """One reader."""

    number: int  # its feature
    touched: int = 0  # counter of the last event
    engaged: int = 0  # posts it ever engaged with: how well it is known
    slots: list[int] = field(default_factory=list)  # of the last posts it engaged with, the most recent last
    serials: list[int] = field(default_factory=list)
    done: dict[int, int] = field(default_factory=dict)  # serial -> bits: what it saw and did, oldest first
    acts: dict[int, int] = field(default_factory=dict)  # serial -> bits of actions already counted
    follows: dict[bytes, None] = field(default_factory=dict)
    authors: dict[int, int] = field(default_factory=dict)  # features of authors it engaged with -> how often
    less: dict[int, None] = field(default_factory=dict)  # features that it wants less of, oldest first

    def history(self, catalog: Catalog) -> Slots:
        """Slots of the posts it engaged with that still exist, the most recent first."""
        if not self.slots:
            return np.zeros(0, dtype=np.int64)
        both = np.array((self.slots, self.serials), dtype=np.int64)[:, ::-1]
        slots: Slots = both[0]
        alive: Slots = slots[catalog.serial[slots] == both[1]]
        return alive

    def mark(self, serial: int, bit: int) -> bool:
        """Note what it did with a post; False: that is known already."""
        before = self.done.get(serial, 0)
        if before & bit:
            return False
        if not before and len(self.done) >= B.SEEN_MAX:
            oldest = next(iter(self.done))
            del self.done[oldest]
            self.acts.pop(oldest, None)
        self.done[serial] = before | bit
        return True

    def engage(self, slot: int, serial: int) -> None:
        """A post becomes the most recent of its history."""
        self.engaged += 1
        self.slots.append(slot)
        self.serials.append(serial)
        if len(self.slots) > B.HISTORY:
            del self.slots[0], self.serials[0]


class Readers:
    """Readers by account."""

    def __init__(self) -> None:
        self._known: dict[bytes, Reader] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Reader]:
        return iter(self._known.values())

    def get(self, account: bytes) -> Reader | None:
        """A reader that is known."""
        return self._known.get(account)

    def want(self, account: bytes, clock: int) -> Reader:
        """A reader, made if it is new; where there are too many, those away for longest are forgotten."""
        known = self._known.get(account)
        if known is None:
            if len(self._known) >= B.READERS_MAX:
                self._expire()
            known = self._known[account] = Reader(name("reader", account))
        known.touched = clock
        return known

    def _expire(self) -> None:
        by_age = sorted(self._known, key=lambda account: self._known[account].touched)
        for account in by_age[: max(1, len(by_age) // B.EXPIRE_SHARE)]:
            del self._known[account]

    def drop(self, account: bytes) -> None:
        """Forget one."""
        self._known.pop(account, None)

    def state(self) -> list[Any]:
        """All of it, for a snapshot."""
        return [
            [
                *(account, r.number, r.touched, r.engaged, r.slots, r.serials, r.done, r.acts),
                *(list(r.follows), r.authors, list(r.less)),
            ]
            for account, r in self._known.items()
        ]

    @classmethod
    def restored(cls, state: list[Any]) -> Readers:
        """What ``state`` told."""
        readers = cls()
        for account, number, touched, engaged, slots, serials, done, acts, follows, authors, less in state:
            readers._known[account] = Reader(
                *(number, touched, engaged, slots, serials, done, acts),
                *(dict.fromkeys(follows), authors, dict.fromkeys(less)),
            )
        return readers
