"""Tickets: what a logged-in device shows at ``/blob/<hash>``, where there is no login.

A ticket is 32 random bytes, known to this process and to the device that asked for it. It is kept under its hash, lives
ten minutes, and dies earlier when its device leaves the account's list, when the device asks for too many others, or
with the process.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Set
from dataclasses import dataclass

from protocol.ids import Entropy
from protocol.limits import DEVICE_TICKETS_MAX, TICKET_BYTES, TICKET_LIFE_MS, TICKETS_MAX


@dataclass(frozen=True, slots=True)
class Holder:
    """Who showed a ticket."""

    account: bytes
    device: bytes


@dataclass(frozen=True, slots=True)
class TicketStatistics:
    """What is kept."""

    tickets: int
    devices: int


class Tickets:
    """All tickets of a relay. ``tick_ms`` is monotonic time."""

    def __init__(self, tick_ms: Callable[[], int], entropy: Entropy) -> None:
        self._tick_ms = tick_ms
        self._entropy = entropy
        self._tickets: OrderedDict[bytes, tuple[Holder, int]] = OrderedDict()  # oldest first: all live equally long
        self._of_device: dict[Holder, list[bytes]] = {}  # oldest first

    def statistics(self) -> TicketStatistics:
        """Numbers now."""
        return TicketStatistics(len(self._tickets), len(self._of_device))

    def issue(self, account: bytes, device: bytes) -> tuple[bytes, int]:
        """A fresh ticket, and how long it lives in ms."""
        self._expire()
        holder, ticket = Holder(account, device), self._entropy(TICKET_BYTES)
        key = _key(ticket)
        while len(self._of_device.get(holder, ())) >= DEVICE_TICKETS_MAX:
            self._drop(self._of_device[holder][0])
        while len(self._tickets) >= TICKETS_MAX:
            self._drop(next(iter(self._tickets)))
        self._tickets[key] = (holder, self._tick_ms() + TICKET_LIFE_MS)
        self._of_device.setdefault(holder, []).append(key)
        return ticket, TICKET_LIFE_MS

    def holder(self, ticket: bytes) -> Holder | None:
        """Who got a ticket; None: nobody, or too long ago."""
        self._expire()
        found = self._tickets.get(_key(ticket))
        return None if found is None else found[0]

    def keep_only(self, account: bytes, devices: Set[bytes]) -> None:
        """An account has a new device list: tickets of devices that are not on it are worth nothing any more."""
        gone = [item for item in self._of_device if item.account == account and item.device not in devices]
        for holder in gone:
            for key in list(self._of_device[holder]):
                self._drop(key)

    def _expire(self) -> None:
        now_ms = self._tick_ms()
        while self._tickets:
            key, (_, until_ms) = next(iter(self._tickets.items()))
            if until_ms > now_ms:
                return
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        holder, _ = self._tickets.pop(key)
        keys = self._of_device[holder]
        keys.remove(key)
        if not keys:
            del self._of_device[holder]


def _key(ticket: bytes) -> bytes:
    """Looked up by hash, so that the time it takes tells nothing about tickets that exist."""
    return hashlib.sha256(ticket).digest()
