"""The seam between settlement and what is durable of it: rows and bytes, whose meaning only settlement knows.

Every backend (``ledger`` on SQLite, ``memory_ledger`` as the model) passes the suite in ``tests/contracts``. Rules:

Rule 1.  The journal is append-only and dense: sequences from 1, each once, none changed or removed.
Rule 2.  One transaction holds all of a batch: journal, outbox, cursors, tree, checkpoint and, now and then, a snapshot.
         What was handed out survives a power cut (``synchronous=FULL``).
Rule 3.  Every transaction compares the fencing epoch. ``take_over`` raises it; a process with a lower one writes
         nothing any more, however long it slept: ``Fenced``.
Rule 4.  The database has a wall of its own (``CHECK``, ``UNIQUE``, triggers): a batch that offends it is ``Rejected``
         as a whole and leaves nothing.
Rule 5.  ``StoreAway`` out of ``transact``: the outcome is unknown. ``Head.commits`` tells: it counts transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeVar

import msgspec

from protocol.receipts import NodeOf

T = TypeVar("T")


class JournalRow(msgspec.Struct, frozen=True, gc=False):
    """A line of the journal."""

    sequence: int
    id: bytes | None  # unique; None: nobody asked for it
    ends: bytes | None  # unique: the id of the pending that this line ends
    body: bytes
    leaf: bytes  # its hash in the log of receipts, 32 bytes


class AccountRow(msgspec.Struct, frozen=True, gc=False):
    """An account in a snapshot; sums in minor units."""

    ledger: str
    owner: bytes
    kind: int
    status: int
    amount_max: int
    balance_max: int
    debits_pending: int
    debits_posted: int
    credits_pending: int
    credits_posted: int


class Snapshot(msgspec.Struct, frozen=True):
    """The books as of ``sequence``. Written: only what has changed since the last one; read: all."""

    sequence: int
    ledgers: Sequence[tuple[str, int]] = ()
    accounts: Sequence[AccountRow] = ()
    held: Sequence[tuple[bytes, bytes]] = ()  # open pendings: (id, body)
    released: Sequence[bytes] = ()  # ids of pendings that an earlier snapshot holds and that ended since


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """Bytes to send. ``id`` is the receiver's key for telling repeats; one that waits already is not queued again."""

    id: bytes
    destination: bytes
    body: bytes


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """An entry of the outbox; numbers grow in the order of commits."""

    number: int
    outgoing: Outgoing


class Batch(msgspec.Struct, frozen=True):
    """What one transaction writes."""

    time_ms: int
    journal: Sequence[JournalRow] = ()
    outbox: Sequence[Outgoing] = ()
    cursors: Sequence[tuple[bytes, bytes]] = ()  # (source, how far it has been read), opaque
    nodes: Sequence[tuple[int, int, bytes]] = ()  # (level, index, hash) of subtrees, from TREE_LEVEL_MIN up
    checkpoint: bytes | None = None
    snapshot: Snapshot | None = None


class Facts(msgspec.Struct, frozen=True):
    """What the journal knows of the ids of a batch: bodies of records, and of those that ended its pendings."""

    known: Sequence[bytes]
    ended: Sequence[bytes]


class Head(msgspec.Struct, frozen=True):
    """Where the ledger stands."""

    epoch: int
    sequence: int
    commits: int
    time_ms: int
    snapshot: int  # sequence of the last snapshot


class Fenced(Exception):
    """Another process has taken the ledger over. This one must stop: it can write nothing any more."""


class Rejected(Exception):
    """The database's own wall refused a batch: a fault of the program. Nothing was written."""


Decide = Callable[[Facts, int], Batch]


class Ledger(Protocol):
    """A ledger's durable side. All may raise ``StoreAway``."""

    async def take_over(self) -> Head:
        """Raise the epoch, so that whoever wrote before cannot any more. The new head."""
        ...

    async def head(self) -> Head: ...

    async def transact(
        self, epoch: int, commits: int, ids: Collection[bytes], pendings: Collection[bytes], decide: Decide
    ) -> Batch:
        """Read the facts of ``ids`` and ``pendings``, call ``decide`` with them and the time in Unix ms (in the
        writer's thread), and write what it returns, all in one transaction; what was written.

        Raises ``Fenced`` if the epoch is not the head's, ``Rejected``, and ``StoreAway`` if the outcome is unknown.
        ``commits`` must be the head's too: else an earlier transaction did become durable, ``Rejected``.
        """
        ...

    async def snapshot(self) -> Snapshot:
        """The last snapshot, whole."""
        ...

    async def journal(self, after: int, limit: int) -> list[JournalRow]:
        """Lines after ``after``, in order."""
        ...

    async def tree(self, ask: Callable[[NodeOf], T]) -> T:
        """Run ``ask`` with access to the tree of receipts (in a thread). ``KeyError``: not there."""
        ...

    async def checkpoint(self, size: int | None = None) -> bytes | None:
        """The checkpoint at a size, or the last."""
        ...

    async def checkpoints(self, sizes: Collection[int]) -> set[bytes]:
        """The checkpoints at these sizes, as far as one was signed there."""
        ...

    async def cursor(self, source: bytes) -> bytes | None:
        """How far a source has been read."""
        ...

    async def cursors(self, sources: Collection[bytes]) -> dict[bytes, bytes]:
        """The same of many; what is not known is not in it."""
        ...

    async def records(self, ids: Collection[bytes]) -> list[JournalRow]:
        """The lines of these ids, those that there are, in any order."""
        ...

    async def outbox(self, after: int, limit: int) -> list[Waiting]:
        """What waits to be sent, from behind number ``after``."""
        ...

    async def acknowledge(self, epoch: int, numbers: Collection[int]) -> None:
        """Forget what was sent. Raises ``Fenced``."""
        ...
