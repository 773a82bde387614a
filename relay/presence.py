"""Who is here, for those who share a conversation with them: told together, bounded, and never stored.

Rule 1.  A connection is told of nobody that it did not name, and of nobody whom it shares no conversation with; large
         conversations do not count.
Rule 2.  Strangers, who hides, and who was never here look the same.
Rule 3.  What is told is a state and, of who has gone, the hour: kept in memory only, gone with the process. Of people
         at other relays of a cluster nothing is known here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
import trio

from protocol import limits as L
from protocol.codec import encode_struct
from protocol.frames import Evt, Frame
from protocol.requests import PresenceChanged, PresenceOf
from storage.base import Topics

HIDDEN, ONLINE, AWAY = 0, 1, 2
_NOBODY: Final = (HIDDEN, 0)
Shown = tuple[int, int]  # state, last seen


class Watcher(Protocol):
    """What is needed of a connection."""

    account: bytes

    @property
    def is_over(self) -> bool: ...

    def send(self, frame: Frame) -> None: ...


@dataclass(frozen=True, slots=True)
class PresenceStatistics:
    """Numbers now. ``waiting``: accounts whose change is still to be told; ``unwatched``: refused for want of room."""

    shown: int
    watches: int
    waiting: int
    told: int
    unwatched: int


class Presence:
    """The presence of everybody at this relay. ``spawn`` starts the task that tells of changes."""

    def __init__(
        self, topics: Topics, clock_ms: Callable[[], int], spawn: Callable[[str, Callable[[], Awaitable[None]]], None]
    ) -> None:
        self._topics = topics
        self._clock_ms = clock_ms
        self._spawn = spawn
        self._said: dict[bytes, dict[Watcher, int]] = {}  # account -> what its connections said
        self._seen: OrderedDict[bytes, int] = OrderedDict()  # account -> the hour in which it went
        self._watching: dict[Watcher, tuple[int, dict[bytes, Shown]]] = {}  # until when; what was told last
        self._watchers: dict[bytes, dict[Watcher, None]] = {}
        self._changed: dict[bytes, None] = {}
        self._is_telling = False
        self._told = 0
        self._unwatched = 0

    def statistics(self) -> PresenceStatistics:
        """Numbers now."""
        watches = sum(map(len, self._watchers.values()))
        return PresenceStatistics(len(self._said), watches, len(self._changed), self._told, self._unwatched)

    # -- what connections say ------------------------------------------------------------------------------------------
    def set(self, connection: Watcher, state: int) -> None:
        """What others are told while the connection lasts."""
        if connection.is_over:
            return
        self._said.setdefault(connection.account, {})[connection] = state
        self._change(connection.account)

    async def watch(self, connection: Watcher, accounts: Sequence[bytes]) -> list[PresenceOf]:
        """Tell of these from now on, instead of those before; how they are now. Raises ``StoreAway``."""
        known = await self._topics.acquainted(connection.account, accounts, L.PRESENCE_MEMBERS_MAX)
        if connection.is_over:
            return []
        self._unwatch(connection)
        shown: dict[bytes, Shown] = {}
        for account in known:
            watchers = self._watchers.setdefault(account, {})
            if len(watchers) < L.PRESENCE_WATCHERS_MAX:
                watchers[connection] = None
                shown[account] = self._shown(account)
            else:
                self._unwatched += 1
        self._watching[connection] = (self._clock_ms() + L.PRESENCE_WATCH_MS, shown)
        return [PresenceOf(account, *shown.get(account, _NOBODY)) for account in accounts]

    def gone(self, connection: Watcher) -> None:
        """A connection is over."""
        self._unwatch(connection)
        said = self._said.get(connection.account)
        if said is None or said.pop(connection, None) is None:
            return
        if not said:
            del self._said[connection.account]
        self._seen[connection.account] = self._clock_ms() // L.PRESENCE_SEEN_MS * L.PRESENCE_SEEN_MS
        self._seen.move_to_end(connection.account)
        if len(self._seen) > L.PRESENCE_SEEN_MAX:
            self._seen.popitem(last=False)
        self._change(connection.account)

    def _unwatch(self, connection: Watcher) -> None:
        _, accounts = self._watching.pop(connection, (0, {}))
        for account in accounts:
            watchers = self._watchers[account]
            del watchers[connection]
            if not watchers:
                del self._watchers[account]

    def _shown(self, account: bytes) -> Shown:
        """As others see it: the best of its connections, and nothing at all if one of them hides."""
        states = self._said.get(account, {}).values()
        if HIDDEN in states:
            self._seen.pop(account, None)  # nor when it was last here before it hid
            return _NOBODY
        if not states:
            return HIDDEN, self._seen.get(account, 0)
        return (ONLINE if ONLINE in states else AWAY), 0

    # -- telling -------------------------------------------------------------------------------------------------------
    def _change(self, account: bytes) -> None:
        if account in self._watchers:
            self._changed[account] = None
            if not self._is_telling:
                self._is_telling = True
                self._spawn("presence", self._tell)

    async def _tell(self) -> None:
        """Tell of all changes at once, a moment after the first; lives while there are any."""
        try:
            while self._changed:
                await trio.sleep(L.PRESENCE_COALESCE_MS / 1000)
                changed, self._changed = self._changed, {}
                self._tell_of(list(changed))
        finally:
            self._is_telling = False

    def _tell_of(self, accounts: Sequence[bytes]) -> None:
        now_ms, news = self._clock_ms(), dict[Watcher, list[PresenceOf]]()
        for account in accounts:
            shown = self._shown(account)
            for connection in list(self._watchers.get(account, ())):
                until_ms, known = self._watching[connection]
                if until_ms <= now_ms:
                    self._unwatch(connection)
                elif known[account] != shown:
                    known[account] = shown
                    news.setdefault(connection, []).append(PresenceOf(account, *shown))
        for connection, found in news.items():
            self._told += 1
            connection.send(Evt("presence", msgspec.Raw(encode_struct(PresenceChanged(tuple(found))))))
