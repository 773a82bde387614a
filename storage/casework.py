"""Reports that wait for the operator, sealed: values, and the seam that keeps them. No store can open one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Full(Enum):
    """Why a report is not kept."""

    QUEUE = "every report that is kept waits for the operator"
    ACCOUNT = "too many reports of this account wait"


@dataclass(frozen=True, slots=True)
class Case:
    """A report as the relay knows it. ``closed_ms`` 0: it waits. ``account`` posted it."""

    number: int
    account: bytes
    made_ms: int
    size: int
    closed_ms: int = 0
    note: str = ""  # of the operator who closed it


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many reports wait, and since when the oldest does (0: none)."""

    count: int
    oldest_ms: int


class Reports(Protocol):
    """The operator's queue: bounded by ``limits.REPORTS_MAX``; numbers are never given twice."""

    async def post(self, account: bytes, sealed: bytes) -> int | Full:
        """Keep a report, and its number; the same bytes again keep theirs. Where the queue is full the oldest closed
        one goes; where none is closed, or too many of the account wait, nothing is kept."""
        ...

    async def cases(self, *, closed: bool, after: int, limit: int) -> list[Case]:
        """Those that wait, or that were closed, by number behind ``after``."""
        ...

    async def get(self, number: int) -> tuple[Case, bytes] | None:
        """One with its sealed bytes; None: there is none, or not any more."""
        ...

    async def close(self, number: int, note: str) -> bool:
        """It is dealt with; again: only the note changes. False: there is none."""
        ...

    async def waiting(self) -> Waiting:
        """Figures of now."""
        ...
