"""The seam between the relay and what is durable: small Protocols that say what each promises.

Every backend (``sqlite`` in this version, ``memory`` as the model that tests compare with) passes the one contract
suite in ``tests/contracts``. Rules for all of them:

Rule 1.  An outcome is handed out only after the commit that made it true (``synchronous=FULL``). No outcome = unknown.
Rule 2.  Appends to one topic get contiguous offsets from 1, in the order in which their outcomes are handed out.
Rule 3.  The order of work inside the append transaction is ``ordering.decide``: login → dedupe → access → fence →
         expect → quota → append. A refusal writes nothing.
Rule 4.  Everything that an append brings along (access change, Welcomes, blob references) happens in the same
         transaction, or not at all.
Rule 5.  Callbacks run on the trio thread, in commit order, all outcomes of one commit in one wake-up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol.errors import Code, Reason
from protocol.frames import AccessChange, Create
from protocol.ids import TopicKind
from protocol.limits import KEY_PACKAGES_MAX
from storage.acquaintance import Contacts, Lockers
from storage.casework import Reports
from storage.decisions import Admission, Restored
from storage.leases import Slots


# -- what the relay asks ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class WelcomePost:
    """A Welcome for the inbox of ``account``."""

    account: bytes
    body: bytes
    token: bytes | None = None  # of a contact of ``account``


@dataclass(frozen=True, slots=True)
class Append:
    """One PUB of a stored message, as the relay heard it. Immutable; may be retried as it is."""

    account: bytes
    device: bytes
    login: int  # number of the device's login that sent it: an older one is superseded
    topic: bytes
    id: bytes
    digest: bytes  # position.publish_digest: what makes two PUBs of one id the same
    after: bytes | None
    flags: int
    epoch: tuple[int, int] | None  # (group number, fence); None only where no fence applies (inbox, leave)
    expect: int | None
    ttl: int
    header: bytes
    body: bytes
    access: AccessChange | None = None  # parsed from header where flags say ACCESS
    erases: int = 0  # offset whose body is to be erased, where flags say ERASE
    create: Create | None = None
    read_from: int = 0
    welcomes: tuple[WelcomePost, ...] = ()
    blobs: tuple[bytes, ...] = ()
    token: bytes | None = None  # INBOX: of a contact of its owner
    lease: int | None = None  # token of the topic's slot, where a process of a worker sends
    pointers: tuple[bytes, ...] = ()  # public topics that get a pointer to this entry of a feed


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log, as stored. ``hash`` is the chain hash at this offset. A tombstone has ``erased``."""

    topic: bytes
    generation: int
    offset: int
    id: bytes
    account: bytes
    device: bytes
    ts: int
    flags: int
    fence: int
    ttl: int
    header: bytes
    body: bytes
    hash: bytes
    erased: bool = False


# -- what it is answered ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Appended:
    """The message is stored, now or before (``duplicate``: then ``entries`` is empty)."""

    generation: int
    offset: int
    ts: int
    duplicate: bool
    entries: tuple[Entry, ...] = ()  # what this append added, in any topic: itself first, then Welcomes in inboxes
    change: AccessChange | None = None  # access change to apply after delivering entries[0]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was written. ``retry_ms`` None = permanent. The other fields become ERR.detail."""

    code: Code
    text: str
    reason: Reason = Reason.NONE
    retry_ms: int | None = None
    generation: int = 0
    offset: int = 0
    group: int = 0
    fence: int = 0
    hash: bytes = b""


Outcome = Appended | Refused


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as a member may see it."""

    topic: bytes
    kind: TopicKind
    generation: int
    head: int
    head_hash: bytes
    group: int
    fence: int
    floor: int  # highest offset whose entries are gone altogether
    role: int  # of the asking account
    since: int  # entries up to this offset were before the account was let in
    restores: tuple[Restored, ...] = ()  # ascending; the last one began the present generation


@dataclass(frozen=True, slots=True)
class Hole:
    """Offsets first–last have no body any more; ``hash`` is the chain hash at ``last``."""

    first: int
    last: int
    reason: int  # frames.GapReason
    hash: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Consecutive entries and holes from ``after`` + 1 on, in order; ``head`` as of the same read."""

    generation: int
    head: int
    items: tuple[Entry | Hole, ...]


@dataclass(frozen=True, slots=True)
class Freed:
    """What a retention run removed."""

    entries: int
    bytes: int
    blobs: int
    blob_bytes: int


@dataclass(frozen=True, slots=True)
class Account:
    """A registered account: its current signed device list (opaque bytes) and what the relay needs of it."""

    account: bytes
    version: int
    signed: bytes
    expires_ms: int
    devices: tuple[bytes, ...]
    service: bool
    handle: str | None


@dataclass(frozen=True, slots=True)
class Login:
    """A login was recorded: its number supersedes all lower ones of the device."""

    number: int
    key_packages: int  # one-time packages left of this device


@dataclass(frozen=True, slots=True)
class Claimed:
    """A key package handed out; one-time ones are handed out once."""

    account: bytes
    device: bytes
    package: bytes
    last_resort: bool
    left: int  # one-time packages left of that device


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """Queue and commit figures of a store."""

    queued: int
    commits: int
    appended: int
    duplicates: int
    refused: int
    batch_max: int
    commit_ms_p50: float
    commit_ms_p99: float
    bytes: int  # size of the database


class StoreAway(Exception):
    """The store cannot take the request now (full, closed, queue over its bound). The outcome is unknown: retry."""


class StoreUnusable(Exception):
    """The store cannot be opened: another process has it, or its schema is newer. The text says what to do."""


# -- the seams --------------------------------------------------------------------------------------------------------
class Topics(Protocol):
    """Logs. Appends are group-committed; reads never see uncommitted entries."""

    def append_nowait(self, intent: Append, done: Callable[[Outcome], None]) -> None:
        """Queue one append; ``done`` is called on the trio thread after the commit. Raises StoreAway if the queue is
        full. If the store fails at commit time ``done`` gets Refused(STORE_AWAY, retry_ms=…)."""
        ...

    async def append(self, intent: Append) -> Outcome:
        """The same for one caller who waits."""
        ...

    async def state(self, topic: bytes, account: bytes) -> TopicState | None:
        """None if unknown or not this account's: one query, one answer for both."""
        ...

    async def states(self, topics: Sequence[bytes], account: bytes) -> list[TopicState | None]:
        """The same for many."""
        ...

    async def read(self, topic: bytes, after: int, entries_max: int, bytes_max: int) -> Page:
        """Entries after ``after``: at least one item if there is one. The caller has checked access."""
        ...

    async def members(self, topic: bytes) -> list[tuple[bytes, int, int]]:
        """(account, role, since) of a topic, by account."""
        ...

    async def of_account(self, account: bytes, after: bytes, limit: int) -> list[tuple[bytes, int, int]]:
        """(topic, kind, role) of the conversations that list an account, by topic id behind ``after``."""
        ...

    async def acquainted(self, account: bytes, others: Sequence[bytes], members_max: int) -> set[bytes]:
        """Which of ``others`` are in a conversation with ``account`` that lists at most ``members_max`` accounts."""
        ...

    async def reserve(self, topic: bytes, account: bytes, device: bytes) -> int | Refused:
        """Reserve the next commit for a device; the time in ms until which it holds."""
        ...

    def acknowledge_nowait(self, topic: bytes, device: bytes, offset: int) -> None:
        """Note that a device has passed ``offset``. May be lost in a crash; only retention reads it."""
        ...

    async def retain(self, before_ms: int, now_ms: int) -> Freed:
        """Remove bodies of application entries with ts < before_ms or past their ttl (they stay as holes), tombstones
        and dedupe rows older than ids may be, unlinked blobs; report what was freed."""
        ...


class Accounts(Protocol):
    """Accounts, device lists, logins, handles."""

    async def publish_list(
        self, account: bytes, version: int, signed: bytes, expires_ms: int, devices: Sequence[bytes], service: bool,
        device: bytes, invite: bytes = b"",
    ) -> Appended | Refused:  # fmt: skip
        """Compare-and-set on version == current + 1 (1 founds the account and its inbox); the same bytes again are a
        duplicate. Appends an entry flagged DEVICES to the account's inbox, in the same transaction. ``invite``: the
        hash of an invitation that a new account uses up, in the same transaction, or is refused with 403."""
        ...

    async def get(self, accounts: Sequence[bytes]) -> list[Account | None]: ...

    async def login(self, account: bytes, device: bytes, number: int = 0, *, shared: bool = False) -> Login | Refused:
        """Record a login of a listed device under the number that it gave its CONNECT (see ``logins``).

        ``shared``: by one of several processes of a worker, which supersede each other slot by slot instead."""
        ...

    async def claim_handle(self, account: bytes, handle: str) -> Refused | None: ...

    async def resolve_handle(self, handle: str) -> bytes | None: ...


class KeyPackages(Protocol):
    """Opaque key packages of devices."""

    async def put(
        self, account: bytes, device: bytes, packages: Sequence[bytes], last_resort: bytes | None,
        most: int = KEY_PACKAGES_MAX,
    ) -> int:  # fmt: skip
        """Store; the count of one-time packages of the device afterwards (packages above ``most`` are not kept)."""
        ...

    async def claim(
        self, accounts: Sequence[bytes], *, devices: Collection[bytes] = (), strangers: Collection[bytes] = ()
    ) -> list[Claimed]:
        """One per listed device of each account: a one-time one, else the last-resort one, else none.

        ``devices``: only of these, if any are named. ``strangers``: accounts that give away only their last-resort
        ones here.
        """
        ...


class Blobs(Protocol):
    """Sealed bytes under their SHA-256. Whoever uploads a blob first pays for it as long as it lives."""

    async def put(
        self, digest: bytes, data: bytes, *, account: bytes | None = None, quota_bytes: int = 0
    ) -> Refused | None:
        """Store; again: its hour without references starts anew. Raises ``ValueError`` if the hash is another.

        ``quota_bytes``: what living blobs of ``account`` may hold together (0: no bound); beyond it Refused(QUOTA).
        Durable on return."""
        ...

    async def get(self, digest: bytes) -> bytes | None:
        """The bytes; None: unknown, or freed."""
        ...

    async def size(self, digest: bytes) -> int | None:
        """How many bytes there are to read; None: unknown, or freed."""
        ...

    async def read(self, digest: bytes, start: int, count: int) -> bytes | None:
        """At most ``count`` bytes from ``start``; None: unknown, or freed meanwhile."""
        ...

    async def renew(self, digests: Sequence[bytes]) -> list[bool]:
        """Which of them are stored; the hour without references of those starts anew."""
        ...

    async def used(self, account: bytes) -> int:
        """Bytes of the living blobs that an account pays for."""
        ...


class Store(Protocol):
    """All of them over one database: what a backend gives."""

    @property
    def topics(self) -> Topics: ...

    @property
    def accounts(self) -> Accounts: ...

    @property
    def key_packages(self) -> KeyPackages: ...

    @property
    def blobs(self) -> Blobs: ...

    @property
    def contacts(self) -> Contacts: ...

    @property
    def lockers(self) -> Lockers: ...

    @property
    def admission(self) -> Admission: ...

    @property
    def reports(self) -> Reports: ...

    @property
    def slots(self) -> Slots: ...

    def statistics(self) -> StoreStatistics: ...
