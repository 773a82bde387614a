"""Deadlines of many connections for the price of few: each waits in the bucket of its next deadline, one second wide.

A deadline that has moved on meanwhile (any traffic moves a keep-alive) is found when its old bucket comes up and goes
to its new one, so traffic costs nothing here.
"""

from __future__ import annotations

from typing import Final, Protocol

BUCKET_MS: Final = 1000


class Timed(Protocol):
    """Something with a next deadline."""

    @property
    def deadline_ms(self) -> int | None:
        """When ``on_deadline`` is due; None: never again."""
        ...

    def on_deadline(self, now_ms: int) -> None:
        """The deadline has passed."""
        ...


class Wheel:
    """Times are monotonic milliseconds. A deadline is noticed at most one bucket late."""

    __slots__ = ("_buckets", "_next")

    def __init__(self, now_ms: int) -> None:
        self._buckets: dict[int, list[Timed]] = {}
        self._next = now_ms // BUCKET_MS

    def add(self, item: Timed) -> None:
        """Watch ``item`` until it has no deadline any more."""
        deadline = item.deadline_ms
        if deadline is not None:
            self._buckets.setdefault(max(deadline // BUCKET_MS, self._next), []).append(item)

    def turn(self, now_ms: int) -> None:
        """Call ``on_deadline`` of all that are due; call this once a bucket."""
        while self._next < now_ms // BUCKET_MS:
            bucket = self._buckets.pop(self._next, [])
            self._next += 1
            for item in bucket:
                deadline = item.deadline_ms
                if deadline is not None and deadline <= now_ms:
                    item.on_deadline(now_ms)
                self.add(item)

    def __len__(self) -> int:
        return sum(len(bucket) for bucket in self._buckets.values())
