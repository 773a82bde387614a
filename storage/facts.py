"""What an append is decided on, and what a decision says to write: values only.

A backend reads ``Facts`` inside the transaction (or evolves them in memory through a batch), calls ``ordering.decide``
and writes the ``Plan``. Nothing here knows how anything is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from protocol.frames import AccessChange
from protocol.ids import TopicKind
from protocol.limits import ID_AGE_MS_MAX, ID_AHEAD_MS_MAX
from storage.base import Entry

FORGET_MS: Final = ID_AGE_MS_MAX + ID_AHEAD_MS_MAX  # of a tombstone's id: it may be stamped a day ahead of its entry
INBOX_ENTRIES: Final = "inbox_entries"  # the one quota of an account that is judged inside the append
LEFT: Final = 0  # role of an account that has left, until a commit has removed it from the group as well


class TopicFacts(msgspec.Struct, frozen=True, gc=False):
    """A topic at one moment."""

    topic: bytes
    kind: TopicKind
    owner: bytes  # account whose inbox, self topic or feed it is; empty for conversations
    generation: int = 1
    head: int = 0
    head_hash: bytes = bytes(32)
    group: int = 0
    fence: int = 0
    floor: int = 0  # up to here nothing is left to read
    ts: int = 0  # of the last entry: times never go back within a log
    committed_ms: int = 0  # when the last commit was appended
    strict: bool = True  # the last commit removed somebody, founded or reset the group: no grace
    reserved_by: bytes = b""  # device that may commit next
    reserved_until_ms: int = 0
    recovering: bool = False  # restored from a backup: only a reset is taken, until there was one


class Member(msgspec.Struct, frozen=True, gc=False):
    """One row of an access list. ``role`` is ``LEFT`` for those that only a commit has still to remove."""

    account: bytes
    role: int
    since: int  # entries up to this offset were before the account was let in
    joined: int  # offset of the entry that let it in: seniority


class Stored(msgspec.Struct, frozen=True, gc=False):
    """What is stored under an id of a device in a topic."""

    generation: int
    offset: int
    ts: int
    digest: bytes


class AccountFacts(msgspec.Struct, frozen=True, gc=False):
    """What an access change needs to know of a registered account."""

    account: bytes
    expires_ms: int
    devices: int  # on its current list

    def gone(self, now_ms: int) -> bool:
        """Whether anyone can verify that nobody is behind this account any more: no valid device list."""
        return self.expires_ms <= now_ms or self.devices == 0


class InboxFacts(msgspec.Struct, frozen=True, gc=False):
    """The inbox that an entry or a Welcome goes to."""

    topic: TopicFacts
    unread: int
    used: bool  # the commit's id is stored there already, by the same device
    strange: int = 0  # how many of the unread entries are by strangers
    is_contact: bool = True  # the author showed a token of this account's contacts
    unread_max: int | None = None  # a bound of the account's own


class Target(msgspec.Struct, frozen=True, gc=False):
    """The entry that an ERASE names, while it has a body."""

    account: bytes
    flags: int


class Facts(msgspec.Struct, frozen=True, gc=False):
    """All that one append is judged by. The lower half is read only for the intents that need it."""

    topic: TopicFacts | None
    author: Member | None  # the author's row of the access list
    login: int  # latest login number of the device; 0: none
    listed: bool  # the device is on its account's current list
    expires_ms: int  # of that list
    stored: Stored | None  # under (topic, device, id)
    after_stored: bool  # `after` is stored for the same topic and device; True where there is none
    inbox: InboxFacts | None = None  # INBOX
    roster: Mapping[bytes, Member] = {}  # access changes, commits with Welcomes: the whole access list
    roster_devices: int = 0  # listed devices of all members, where somebody is added
    accounts: Mapping[bytes, AccountFacts] = {}  # the registered of author, added, removed
    inboxes: Mapping[bytes, InboxFacts] = {}  # by account, of those who get a Welcome
    target: Target | None = None  # ERASE
    blobs_missing: int = 0  # named blobs that are not stored
    lease: int = 0  # token in force of the topic's slot, where a process of a worker sends
    pointed: Mapping[bytes, TopicFacts] = {}  # of the topics that get a pointer, those that there are


class Plan(msgspec.Struct, frozen=True, gc=False):
    """Accepted: all of this is to be written in one transaction."""

    entry: Entry
    topic: TopicFacts  # as it is afterwards
    created: bool = False
    members: tuple[Member, ...] = ()  # rows to insert or replace
    forgotten: tuple[bytes, ...] = ()  # accounts whose rows go
    inboxes: tuple[tuple[TopicFacts, Entry], ...] = ()  # Welcomes and pointers: their topics afterwards, new entries
    erases: int = 0  # offset that becomes a tombstone
    blobs: tuple[bytes, ...] = ()  # referenced by the entry
    change: AccessChange | None = None  # in force after this entry
