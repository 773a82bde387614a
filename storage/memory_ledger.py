"""The ledger's durable side as plain Python: the model that the SQL is compared with, and a store for tests."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

import trio
from msgspec.structs import replace

from protocol.limits import INT_MAX
from protocol.receipts import NodeOf, node_hash
from storage.ledger_base import (
    AccountRow,
    Batch,
    Decide,
    Facts,
    Fenced,
    Head,
    JournalRow,
    Outgoing,
    Rejected,
    Snapshot,
    Waiting,
)

T = TypeVar("T")


class MemoryLedger:
    """``ledger_base.Ledger`` in dicts. Give the same one to two writers to see fencing."""

    def __init__(self, *, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._head = Head(0, 0, 0, 0, 0)
        self._journal: list[JournalRow] = []
        self._by_id: dict[bytes, JournalRow] = {}
        self._by_end: dict[bytes, JournalRow] = {}
        self._ledgers: dict[str, int] = {}
        self._accounts: dict[tuple[str, bytes], AccountRow] = {}
        self._held: dict[bytes, bytes] = {}
        self._checkpoints: dict[int, bytes] = {}
        self._cursors: dict[bytes, bytes] = {}
        self._outbox: dict[int, Outgoing] = {}
        self._numbers = 0

    async def take_over(self) -> Head:
        """Raise the epoch."""
        await trio.lowlevel.checkpoint()
        head = self._head
        self._head = replace(head, epoch=head.epoch + 1, commits=head.commits + 1)
        return self._head

    async def head(self) -> Head:
        """Where the ledger stands."""
        await trio.lowlevel.checkpoint()
        return self._head

    async def transact(
        self, epoch: int, commits: int, ids: Collection[bytes], pendings: Collection[bytes], decide: Decide
    ) -> Batch:
        """Facts, decision, wall, then all of it at once."""
        await trio.lowlevel.checkpoint()
        self._fence(epoch)
        if self._head.commits != commits:
            raise Rejected(f"transaction {commits + 1} became durable without being heard of")
        known = [self._by_id[id_].body for id_ in ids if id_ in self._by_id]
        ended = [self._by_end[id_].body for id_ in pendings if id_ in self._by_end]
        batch = decide(Facts(known, ended), self._clock_ms())
        self._wall(batch)
        self._write(batch)
        return batch

    async def acknowledge(self, epoch: int, numbers: Collection[int]) -> None:
        """Forget what was sent."""
        await trio.lowlevel.checkpoint()
        self._fence(epoch)
        for number in numbers:
            self._outbox.pop(number, None)

    async def snapshot(self) -> Snapshot:
        """The last snapshot, whole."""
        await trio.lowlevel.checkpoint()
        accounts = [self._accounts[key] for key in sorted(self._accounts)]
        return Snapshot(self._head.snapshot, list(self._ledgers.items()), accounts, list(self._held.items()))

    async def journal(self, after: int, limit: int) -> list[JournalRow]:
        """Lines after ``after``."""
        await trio.lowlevel.checkpoint()
        return self._journal[after : after + limit]

    async def tree(self, ask: Callable[[NodeOf], T]) -> T:
        """Run ``ask`` here and now."""
        await trio.lowlevel.checkpoint()
        return ask(self._node)

    async def checkpoint(self, size: int | None = None) -> bytes | None:
        """The checkpoint at a size, or the last."""
        await trio.lowlevel.checkpoint()
        return self._checkpoints.get(max(self._checkpoints, default=0) if size is None else size)

    async def checkpoints(self, sizes: Collection[int]) -> set[bytes]:
        """The checkpoints at these sizes."""
        await trio.lowlevel.checkpoint()
        return {self._checkpoints[size] for size in sizes if size in self._checkpoints}

    async def cursor(self, source: bytes) -> bytes | None:
        """How far a source has been read."""
        await trio.lowlevel.checkpoint()
        return self._cursors.get(source)

    async def cursors(self, sources: Collection[bytes]) -> dict[bytes, bytes]:
        """The same of many."""
        await trio.lowlevel.checkpoint()
        return {source: self._cursors[source] for source in sources if source in self._cursors}

    async def records(self, ids: Collection[bytes]) -> list[JournalRow]:
        """The lines of these ids."""
        await trio.lowlevel.checkpoint()
        return [self._by_id[id_] for id_ in ids if id_ in self._by_id]

    async def outbox(self, after: int, limit: int) -> list[Waiting]:
        """What waits to be sent."""
        await trio.lowlevel.checkpoint()
        return [Waiting(n, outgoing) for n, outgoing in self._outbox.items() if n > after][:limit]

    # -- inside --------------------------------------------------------------------------------------------------------
    def _fence(self, epoch: int) -> None:
        if self._head.epoch != epoch:
            raise Fenced("another process has taken the ledger over: stop this one; nothing was written")

    def _wall(self, batch: Batch) -> None:
        ids = [row.id for row in batch.journal if row.id is not None]
        ends = [row.ends for row in batch.journal if row.ends is not None]
        first = self._head.sequence + 1
        good = [row.sequence for row in batch.journal] == list(range(first, first + len(batch.journal)))
        good = good and len(set(ids)) == len(ids) and not self._by_id.keys() & set(ids)
        good = good and len(set(ends)) == len(ends) and not self._by_end.keys() & set(ends)
        accounts = batch.snapshot.accounts if batch.snapshot is not None else ()
        if not good or not all(_sound(account) for account in accounts):
            raise Rejected("the store refused the batch: it breaks a rule of the journal or of an account")

    def _write(self, batch: Batch) -> None:
        head, snapshot = self._head, batch.snapshot
        self._journal += batch.journal
        self._by_id.update((row.id, row) for row in batch.journal if row.id is not None)
        self._by_end.update((row.ends, row) for row in batch.journal if row.ends is not None)
        if batch.checkpoint is not None:
            self._checkpoints[len(self._journal)] = batch.checkpoint
        self._cursors.update(batch.cursors)
        for outgoing in batch.outbox:
            if outgoing.id not in [waiting.id for waiting in self._outbox.values()]:
                self._numbers += 1
                self._outbox[self._numbers] = outgoing
        if snapshot is not None:
            self._ledgers.update(snapshot.ledgers)
            self._accounts.update(((row.ledger, row.owner), row) for row in snapshot.accounts)
            for id_ in snapshot.released:
                self._held.pop(id_, None)
            self._held.update(snapshot.held)
        self._head = Head(
            head.epoch, len(self._journal), head.commits + 1, max(head.time_ms, batch.time_ms),
            snapshot.sequence if snapshot is not None else head.snapshot,
        )  # fmt: skip

    def _node(self, level: int, index: int) -> bytes:
        rows = self._journal[index << level : (index + 1) << level]
        if len(rows) < 1 << level:
            raise KeyError((level, index))
        hashes = [row.leaf for row in rows]
        while len(hashes) > 1:
            hashes = [node_hash(hashes[n], hashes[n + 1]) for n in range(0, len(hashes), 2)]
        return hashes[0]


def _sound(row: AccountRow) -> bool:
    """What the CHECK constraints of ``ledger_tables.accounts`` say."""
    sums = (row.debits_pending, row.debits_posted, row.credits_pending, row.credits_posted)
    if not all(0 <= value <= INT_MAX for value in sums):
        return False
    if row.status == 2 and (row.debits_pending or row.credits_pending or row.debits_posted != row.credits_posted):
        return False
    if row.kind == 0:
        return row.debits_pending + row.debits_posted <= row.credits_posted
    return row.credits_pending + row.credits_posted <= row.debits_posted
