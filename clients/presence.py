"""Who is here: what we tell others about ourselves, and what the relay tells us about those we talk with.

Nothing is told and nobody is watched until the application wants it: programs have no presence, people may want none.
The relay knows who is connected anyway; other people learn it only this way, and only if they share a conversation.
"""

from __future__ import annotations

from enum import IntEnum
from math import inf
from typing import Final, NamedTuple

import trio

from clients.connection import Link, LinkDown, Refusal
from clients.records import Status
from clients.shelf import Shelf
from protocol import limits as L
from protocol.errors import RemoteProtocolError
from protocol.requests import PresenceChanged, PresenceOf, SetPresence, WatchPresence

RENEW_S: Final = L.PRESENCE_WATCH_MS / 1000 * 0.8  # before the relay forgets whom we watch
RETRY_S: Final = 30.0  # after a refusal


class State(IntEnum):
    """What others are told."""

    HIDDEN = 0  # of others: not here, or not for us to know
    ONLINE = 1
    AWAY = 2


class Seen(NamedTuple):
    """Somebody as the relay shows them; ``seen_ms``: the hour in which they went, 0 if that is not known."""

    state: State
    seen_ms: int


UNKNOWN: Final = Seen(State.HIDDEN, 0)


class Presence:
    """Of one client."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._own: State | None = None  # None: nothing was ever said
        self._follows = False
        self._others: dict[bytes, Seen] = {}
        self._wake = trio.Event()
        self.changed = trio.Event()  # set and replaced whenever somebody comes or goes

    def say(self, state: State) -> None:
        """Tell others from now on, after every login too."""
        self._own = state
        self._wake.set()

    def follow(self) -> None:
        """Be told of the people in our conversations, those where something happened last first."""
        self._follows = True
        self._wake.set()

    def of(self, account: bytes) -> Seen:
        """Somebody as of now. ``UNKNOWN`` also while there is no connection."""
        return self._others.get(account, UNKNOWN)

    def heard(self, changed: PresenceChanged) -> None:
        """The relay tells of changes."""
        self._learn(changed.accounts)

    def _learn(self, shown: tuple[PresenceOf, ...]) -> None:
        for item in shown:
            state = State(item.state) if item.state in set(State) else State.HIDDEN  # of a later version
            self._others[item.account] = Seen(state, item.seen_ms)
        self.changed.set()
        self.changed = trio.Event()

    async def run(self, link: Link) -> None:
        """Say and ask while a connection lasts."""
        try:
            while True:
                self._wake = trio.Event()
                try:
                    wait_s = await self._round(link)
                except (Refusal, RemoteProtocolError):
                    wait_s = RETRY_S
                with trio.move_on_after(wait_s):
                    await self._wake.wait()
        except LinkDown:
            return
        finally:
            self._others.clear()

    async def _round(self, link: Link) -> float:
        if self._own is not None:
            await link.ask("presence.set", SetPresence(int(self._own)), type(None))
        if not self._follows:
            return inf
        shown = await link.ask("presence.watch", WatchPresence(self._wanted()), list[PresenceOf])
        self._others.clear()
        self._learn(tuple(shown))
        return RENEW_S

    def _wanted(self) -> tuple[bytes, ...]:
        talks = [talk for talk in self._shelf.conversations.values() if talk.status == Status.ACTIVE]
        wanted: dict[bytes, None] = {}
        for talk in sorted(talks, key=lambda talk: -talk.heard_ms):
            if len(talk.roster) <= L.PRESENCE_MEMBERS_MAX and not self._shelf.is_silent(talk):
                wanted.update(dict.fromkeys(sorted(talk.roster)))
        wanted.pop(self._shelf.account, None)
        return tuple(wanted)[: L.PRESENCE_ACCOUNTS_MAX]
