"""MLS groups as the vault keeps them: loaded when needed, written once per transaction however often they changed.

Each conversation has two slots: NOW, and NEXT, the state after an own commit whose fate is not known yet. The one past
epoch that is kept for late messages lies inside the group's own state.
"""

from __future__ import annotations

from typing import Final

from clients import records as R
from clients.journal import Journal
from clients.vault import Vault
from protocol.mls import Group, GroupParts

NOW: Final = b"\0"
NEXT: Final = b"\1"


class Groups:
    """All MLS states of one client."""

    def __init__(self, vault: Vault, journal: Journal) -> None:
        self._vault = vault
        self._journal = journal
        self._cache: dict[bytes, Group | None] = {}
        self._epoch_dirty: set[bytes] = set()

    def get(self, topic: bytes, slot: bytes = NOW) -> Group | None:
        """The state in a slot; None if it is empty."""
        name = topic + slot
        if name not in self._cache:
            epoch = self._vault.get(R.GROUPS, name)
            ratchet = self._vault.get(R.RATCHETS, name)
            if epoch is None or ratchet is None:
                self._cache[name] = None
            else:
                self._cache[name] = Group.from_parts(GroupParts(epoch, ratchet))
        return self._cache[name]

    def put(self, topic: bytes, group: Group | None, slot: bytes = NOW, *, epoch: bool) -> None:
        """Replace the state of a slot. ``epoch`` False: only the ratchets moved (a message was sealed or opened)."""
        name = topic + slot
        self._cache[name] = group
        if epoch:
            self._epoch_dirty.add(name)
        self._journal.put_late(name, lambda: self._write(name))

    def _write(self, name: bytes) -> None:
        group = self._cache[name]
        parts = None if group is None else group.to_parts()
        if name in self._epoch_dirty:
            self._epoch_dirty.discard(name)
            self._journal.put(R.GROUPS, name, None if parts is None else parts.epoch_part)
        self._journal.put(R.RATCHETS, name, None if parts is None else parts.ratchet_part)

    def advance(self, topic: bytes) -> Group:
        """An own commit took effect: NEXT becomes NOW."""
        group = self.get(topic, NEXT)
        if group is None:
            raise LookupError("an own commit took effect, but the state after it is not in the vault")
        self.put(topic, group, NOW, epoch=True)
        self.put(topic, None, NEXT, epoch=True)
        return group

    def forget(self, topic: bytes) -> None:
        """Drop every state of a conversation: nothing in it can be opened any more."""
        self.put(topic, None, NOW, epoch=True)
        self.put(topic, None, NEXT, epoch=True)
