"""The part of the dict model that keeps the operator's queue of reports."""

from __future__ import annotations

from dataclasses import replace

import trio

from protocol import limits as L
from storage.casework import Case, Full, Waiting
from storage.memory_model import Model


class MemoryReports:
    """``casework.Reports`` in dicts."""

    def __init__(self, store: Model) -> None:
        self._store = store
        self._last = 0
        self._cases: dict[int, tuple[Case, bytes]] = {}

    async def post(self, account: bytes, sealed: bytes) -> int | Full:
        """See ``casework.Reports``."""
        await trio.lowlevel.checkpoint()
        for number, (_, known) in self._cases.items():
            if known == sealed:
                return number
        mine = [case for case in self._waiting() if case.account == account]
        if len(mine) >= L.REPORTS_WAITING_PER_ACCOUNT:
            return Full.ACCOUNT
        if len(self._cases) >= L.REPORTS_MAX:
            closed = [number for number, (case, _) in self._cases.items() if case.closed_ms]
            if not closed:
                return Full.QUEUE
            del self._cases[min(closed)]
        self._last += 1
        self._cases[self._last] = (Case(self._last, account, self._store.clock_ms(), len(sealed)), sealed)
        return self._last

    async def cases(self, *, closed: bool, after: int, limit: int) -> list[Case]:
        """See ``casework.Reports``."""
        await trio.lowlevel.checkpoint()
        found = [case for case, _ in self._cases.values() if bool(case.closed_ms) is closed and case.number > after]
        return found[:limit]

    async def get(self, number: int) -> tuple[Case, bytes] | None:
        """See ``casework.Reports``."""
        await trio.lowlevel.checkpoint()
        return self._cases.get(number)

    async def close(self, number: int, note: str) -> bool:
        """See ``casework.Reports``."""
        await trio.lowlevel.checkpoint()
        if number not in self._cases:
            return False
        case, sealed = self._cases[number]
        closed_ms = case.closed_ms or self._store.clock_ms()
        self._cases[number] = (replace(case, closed_ms=closed_ms, note=note), sealed)
        return True

    async def waiting(self) -> Waiting:
        """See ``casework.Reports``."""
        await trio.lowlevel.checkpoint()
        times = [case.made_ms for case in self._waiting()]
        return Waiting(len(times), min(times, default=0))

    def _waiting(self) -> list[Case]:
        return [case for case, _ in self._cases.values() if not case.closed_ms]
