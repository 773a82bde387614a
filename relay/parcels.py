"""Sealed parcels for devices that are not registered yet: linking, and recovery. The relay can open none of them.

Who does not know a slot's secret, or an account's recovery code, gains nothing by asking; looks are still counted by
network address, since whoever asks may have no account.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from protocol.errors import Code
from protocol.limits import KNOCKS_BURST, KNOCKS_PER_S, LINK_MS
from relay.bounds import KNOCKERS_MAX
from relay.rates import TokenBucket
from storage.acquaintance import Lockers
from storage.base import Refused

RECOVERY: Final = 1  # kinds of lockers
LINK: Final = 2


class Parcels:
    """The lockers of a store, with a rate for those who look into them. ``tick_ms`` is monotonic."""

    def __init__(self, lockers: Lockers, clock_ms: Callable[[], int], tick_ms: Callable[[], int]) -> None:
        self._lockers = lockers
        self._clock_ms = clock_ms
        self._tick_ms = tick_ms
        self._knocks: OrderedDict[str, TokenBucket] = OrderedDict()

    async def put_link(self, account: bytes, slot: bytes, sealed: bytes) -> Refused | None:
        """Leave a parcel for ten minutes."""
        if await self._lockers.put(account, LINK, slot, sealed, LINK_MS):
            return None
        return Refused(Code.FORBIDDEN, "this slot is somebody else's; show a new code on the new device")

    async def put_recovery(self, account: bytes, sealed: bytes) -> Refused | None:
        """Keep what the account's recovery code opens."""
        if await self._lockers.put(account, RECOVERY, account, sealed, 0):
            return None
        return Refused(Code.FORBIDDEN, "the account is not registered here")

    async def get_link(self, address: str, slot: bytes) -> bytes | Refused:
        """The parcel in a slot."""
        return await self._get(address, LINK, slot)

    async def get_recovery(self, address: str, account: bytes) -> bytes | Refused:
        """What the account's recovery code opens."""
        return await self._get(address, RECOVERY, account)

    async def _get(self, address: str, kind: int, slot: bytes) -> bytes | Refused:
        now_ms = self._tick_ms()
        bucket = self._knocks.setdefault(address, TokenBucket(KNOCKS_PER_S, KNOCKS_BURST, now_ms))
        self._knocks.move_to_end(address)
        if len(self._knocks) > KNOCKERS_MAX:
            self._knocks.popitem(last=False)
        wait_ms = bucket.take(now_ms)
        if wait_ms:
            return Refused(Code.RATE, "too many looks from this address; wait", retry_ms=wait_ms)
        found = await self._lockers.get(kind, slot, self._clock_ms())
        return Refused(Code.NOT_FOUND, "there is nothing, or not any more") if found is None else found
