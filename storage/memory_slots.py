"""Leases of workers' slots in the dict model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import trio

from protocol.frames import Role
from protocol.ids import TopicKind, slot_inbox
from protocol.limits import SLOTS
from storage.facts import LEFT, Member, TopicFacts
from storage.leases import Lag, Served
from storage.memory_model import Log, Model

SERVED_KINDS = (TopicKind.GROUP, TopicKind.PAIR, TopicKind.INBOX)


class MemorySlots:
    """``base.Slots`` in dicts."""

    def __init__(self, store: Model) -> None:
        self._store = store

    async def grant(self, account: bytes, slots: Sequence[int]) -> dict[int, int]:
        """See ``base.Slots``."""
        await trio.lowlevel.checkpoint()
        if account not in self._store.people:
            return {}
        for slot in dict.fromkeys(slots):
            self._store.leases[account, slot] = self._store.leases.get((account, slot), 0) + 1
        return {slot: self._store.leases[account, slot] for slot in slots}

    async def served(self, account: bytes, device: bytes) -> list[Served]:
        """See ``base.Slots``."""
        await trio.lowlevel.checkpoint()
        return list(self._served(account, device))

    async def lag(self, account: bytes, device: bytes) -> Lag:
        """See ``base.Slots``."""
        await trio.lowlevel.checkpoint()
        behind = [topic.head - topic.cursor for topic in self._served(account, device) if topic.head > topic.cursor]
        return Lag(len(behind), sum(behind))

    def _served(self, account: bytes, device: bytes) -> Iterator[Served]:
        for topic, log in self._store.logs.items():
            member = log.members.get(account)
            if member is not None and member.role != LEFT and log.facts.kind in SERVED_KINDS:
                cursor = max(log.acks.get(device, 0), member.since)
                yield Served(topic, log.facts.generation, log.facts.head, cursor)


def found_inboxes(store: Model, account: bytes) -> None:
    """Make the inboxes of a worker, one a slot, where there are none yet."""
    for slot in range(SLOTS):
        topic = slot_inbox(account, slot)
        founded = Log(TopicFacts(topic, TopicKind.INBOX, account), {account: Member(account, Role.OWNER, 0, 0)})
        store.logs.setdefault(topic, founded)
