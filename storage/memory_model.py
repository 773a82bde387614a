"""What the dict model keeps, in plain dicts and lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from protocol.ids import contact_hash, inbox_topic, slot_inbox, slot_of
from protocol.limits import DEVICE_UNSEEN_MS_MAX
from storage.base import Account, Entry
from storage.decisions import Ban, Invite
from storage.facts import INBOX_ENTRIES, InboxFacts, Member, Stored, TopicFacts
from storage.flags import STRANGER

COUNTED = ("commits", "appended", "duplicates", "refused")


@dataclass(slots=True)
class Device:
    """A device that is or was listed, and its key packages."""

    account: bytes
    seen_ms: int
    listed: bool = True
    login: int = 0
    last_resort: bytes | None = None
    packages: dict[bytes, int] = field(default_factory=dict)  # package → when it was added


@dataclass(slots=True)
class Blob:
    """Sealed bytes, and the entries (topic, offset) that hold them."""

    data: bytes
    added_ms: int
    refs: set[tuple[bytes, int]] = field(default_factory=set)
    account: bytes | None = None  # who uploaded it first


@dataclass(slots=True)
class Log:
    """A topic with everything in it."""

    facts: TopicFacts
    members: dict[bytes, Member] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)  # offset n at n − 1, tombstones included
    ids: dict[tuple[bytes, bytes], Stored] = field(default_factory=dict)  # (device, id)
    acks: dict[bytes, int] = field(default_factory=dict)
    reserved_ms: dict[bytes, int] = field(default_factory=dict)

    def alive(self) -> Iterator[Entry]:
        """Entries that have a body."""
        return (entry for entry in self.entries if not entry.erased)


@dataclass(slots=True)
class Model:
    """All of it, and the few questions that several parts ask."""

    clock_ms: Callable[[], int]
    spacing_ms: int
    logs: dict[bytes, Log] = field(default_factory=dict)
    people: dict[bytes, Account] = field(default_factory=dict)
    devices: dict[bytes, Device] = field(default_factory=dict)
    heap: dict[bytes, Blob] = field(default_factory=dict)
    tokens: dict[bytes, set[bytes]] = field(default_factory=dict)  # account → hashes that its contacts can show
    lockers: dict[tuple[bytes, int], tuple[bytes, bytes, int]] = field(default_factory=dict)  # slot, sealed, expires_ms
    invitations: dict[bytes, Invite] = field(default_factory=dict)
    banned: dict[tuple[str, str], Ban] = field(default_factory=dict)
    bounds: dict[tuple[bytes, str], int] = field(default_factory=dict)  # (account, name of a quota)
    leases: dict[tuple[bytes, int], int] = field(default_factory=dict)  # (account, slot) → token
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))

    def listed(self, account: bytes) -> list[tuple[bytes, Device]]:
        """Listed devices of an account."""
        return [(key, device) for key, device in self.devices.items() if device.account == account and device.listed]

    def recognises(self, owner: bytes, account: bytes, token: bytes | None) -> bool:
        """Whether ``owner`` takes ``account`` for a contact: itself, who shows a token, anybody if it serves all."""
        person = self.people.get(owner)
        shown = token is not None and contact_hash(owner, token) in self.tokens.get(owner, ())
        return owner == account or shown or (person is not None and person.service)

    def welcome_inbox(self, account: bytes, topic: bytes) -> bytes:
        """Where a Welcome to ``topic`` goes."""
        person = self.people.get(account)
        serves = person is not None and person.service
        return slot_inbox(account, slot_of(topic)) if serves else inbox_topic(account)

    def use_invite(self, hash_: bytes, now_ms: int) -> bool:
        """Count an invitation down; False: it is not in force."""
        invite = self.invitations.get(hash_)
        if invite is None or invite.uses < 1 or invite.until_ms <= now_ms:
            return False
        self.invitations[hash_] = replace(invite, uses=invite.uses - 1)
        return True

    def inbox_max(self, account: bytes) -> int | None:
        """Unread entries that the inbox of an account may have, where it has a bound of its own."""
        return self.bounds.get((account, INBOX_ENTRIES))

    def unread(self, log: Log, now_ms: int) -> int:
        """Entries of an inbox that some device of its owner has still to acknowledge."""
        listed = self.listed(log.facts.owner)
        seen = [key for key, device in listed if device.seen_ms >= now_ms - DEVICE_UNSEEN_MS_MAX]
        read = min((log.acks.get(key, 0) for key in seen or [key for key, _ in listed]), default=0)
        return log.facts.head - max(read, log.facts.floor)

    def inbox(self, log: Log, account: bytes, token: bytes | None, used: bool, now_ms: int) -> InboxFacts:
        """An inbox as somebody who shows a token finds it."""
        unread = self.unread(log, now_ms)
        strange = sum(bool(entry.flags & STRANGER) for entry in log.entries[log.facts.head - unread :])
        owner = log.facts.owner
        is_contact = self.recognises(owner, account, token)
        return InboxFacts(log.facts, unread, used, strange, is_contact, self.inbox_max(owner))

    def bury(self, log: Log, offset: int) -> list[Blob]:
        """Make a tombstone of an entry; the blobs that go with it."""
        log.entries[offset - 1] = replace(log.entries[offset - 1], header=b"", body=b"", erased=True)
        place = (log.facts.topic, offset)
        held = [key for key, blob in self.heap.items() if place in blob.refs]
        for key in held:
            self.heap[key].refs.remove(place)
        return [self.heap.pop(key) for key in held if not self.heap[key].refs]
