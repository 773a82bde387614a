"""Leases of a worker's slots: the seam between the relay and the store, and what it hands over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Served:
    """A topic that lists a worker's account. ``cursor``: the offset up to which its device has acknowledged it."""

    topic: bytes
    generation: int
    head: int
    cursor: int


@dataclass(frozen=True, slots=True)
class Lag:
    """What a worker has not acknowledged: topics that are behind, and entries in them."""

    topics: int
    entries: int


class Slots(Protocol):
    """Leases of a worker's slots. A token only grows; appends with a lower one than the slot's are refused."""

    async def grant(self, account: bytes, slots: Sequence[int]) -> dict[int, int]:
        """Give slots to a new holder: (slot → its new token). Durable on return; empty if nobody is so called."""
        ...

    async def served(self, account: bytes, device: bytes) -> list[Served]:
        """Every conversation and inbox of a worker."""
        ...

    async def lag(self, account: bytes, device: bytes) -> Lag:
        """What ``served`` says, added up."""
        ...
