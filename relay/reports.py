"""The operator's queue of reports at the relay: which key they are sealed to, and how many somebody may post.

The relay opens none of them. It knows who posts, when, and how large a report is, rounded up.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from protocol.errors import Code
from protocol.limits import REPORTS_BURST, REPORTS_EVERY_S
from relay import log
from relay.bounds import REPORTERS_MAX
from relay.rates import TokenBucket
from storage.base import Refused
from storage.casework import Full, Reports, Waiting

NO_KEY: Final = Refused(Code.NOT_FOUND, "this relay takes no reports: its operator has set no report_key")


FULL: Final = {
    Full.QUEUE: "the operator's queue of reports is full; try again in some days",
    Full.ACCOUNT: "too many of your reports wait for the operator already; try again when some were dealt with",
}


class ReportDesk:
    """Takes reports. ``key``: what they are sealed to, empty if none; ``tick_ms`` is monotonic."""

    def __init__(self, store: Reports, key: bytes, tick_ms: Callable[[], int]) -> None:
        self.store = store
        self._key = key
        self._tick_ms = tick_ms
        self._rates: OrderedDict[bytes, TokenBucket] = OrderedDict()
        self._waiting = Waiting(0, 0)

    def statistics(self) -> Waiting:
        """What waited when this relay last looked: at its start, and after each report that it took or closed."""
        return self._waiting

    async def load(self) -> None:
        """Look how many wait. Raises ``StoreAway``."""
        self._waiting = await self.store.waiting()

    def key(self) -> bytes | Refused:
        """The key that reports are sealed to."""
        return self._key or NO_KEY

    async def post(self, account: bytes, key: bytes, sealed: bytes) -> int | Refused:
        """Keep a report for the operator; its number."""
        if not self._key:
            return NO_KEY
        if key != self._key:
            return Refused(Code.CONFLICT, "the operator has another report key now; ask reports.key and seal it anew")
        wait_ms = self._wait_ms(account)
        if wait_ms:
            return Refused(Code.RATE, "too many reports from this account; wait", retry_ms=wait_ms)
        number = await self.store.post(account, sealed)
        if isinstance(number, Full):
            return Refused(Code.QUOTA, FULL[number])
        log.info("reported", number=number, by=account, size=len(sealed))
        await self.load()
        return number

    def _wait_ms(self, account: bytes) -> int:
        now_ms = self._tick_ms()
        bucket = self._rates.setdefault(account, TokenBucket(1 / REPORTS_EVERY_S, REPORTS_BURST, now_ms))
        self._rates.move_to_end(account)
        if len(self._rates) > REPORTERS_MAX:
            self._rates.popitem(last=False)
        return bucket.take(now_ms)

    async def close(self, number: int, note: str) -> bool:
        """The operator has dealt with one. False: there is none of this number."""
        done = await self.store.close(number, note)
        await self.load()
        return done
