"""The books: what a worker submits operations to. One writer, group commit, and nothing said before it is durable.

    async with open_books(ledger, log) as books:
        ((result,),) = await books.submit(Transfer(payer_id(payer, id), payer, payee, "EUR", 2, 1250))

Rule 1. All that waits when a commit ends goes into the next one, up to a bound; there is no timer.
Rule 2. Memory changes after COMMIT. If the outcome of one is unknown, the head is read before anything else is done.
Rule 3. What a caller submits in one call is in one transaction, with its cursor and its outbox.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import trio

from extensions.settlement import bounds
from extensions.settlement.apply import Results
from extensions.settlement.codes import Code
from extensions.settlement.commit import Changed, Expired, Log, Notes, Outbox, Preparation, Prepared, Submission, Wanted
from extensions.settlement.operations import Chain, Operation, Record, Result, decode_record
from extensions.settlement.proofs import BLOCK_LEVEL, prove_many
from extensions.settlement.restart import BooksBroken, frontier_at, load
from extensions.settlement.state import Account, Held, State, duplicate
from protocol.receipts import (
    Frontier,
    Receipt,
    claimed_size,
    consistency_proof,
    inclusion_proof,
    open_checkpoint,
    receipt_salt,
)
from storage.base import StoreAway
from storage.ledger_base import Fenced, Head, JournalRow, Ledger, Rejected, Waiting

_log: Final = logging.getLogger("chappe.settlement")


@dataclass(frozen=True, slots=True)
class BooksStatistics:
    """Queue and commit figures."""

    queued: int  # operations that wait
    batches: int
    batch_max: int  # operations of the largest
    operations: int
    repeats: int
    isolated: int  # operations that raised: faults of the program
    resolved: int  # commits whose outcome had to be looked up
    accounts: int
    pendings: int
    sequence: int
    epoch: int


@dataclass(slots=True, eq=False)
class _Waiting:
    submission: Submission
    size: int
    done: trio.Event = field(default_factory=trio.Event)
    results: list[Results] | None = None
    error: Exception | None = None


class Books:
    """Made by ``open_books``."""

    def __init__(
        self, ledger: Ledger, log: Log, head: Head, loaded: tuple[State, Frontier, Changed], expired: Expired | None,
        snapshot_every: int,
    ) -> None:  # fmt: skip
        self._ledger, self._log, self._expired, self._snapshot_every = ledger, log, expired, snapshot_every
        self._state, self._frontier, self._changed = loaded
        self._epoch, self._commits, self._snapshot = head.epoch, head.commits, head.snapshot
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._work, self._room = trio.Event(), trio.lowlevel.ParkingLot()
        self._closed: str | None = None
        self._fenced = False
        self._batches = self._batch_max = self._operations = self._repeats = self._isolated = self._resolved = 0

    # -- for the worker ------------------------------------------------------------------------------------------------
    async def submit(
        self, *items: Operation | Chain, cursor: tuple[bytes, bytes] | None = None, outbox: Outbox | None = None,
        notes: Notes | None = None,
    ) -> list[Results]:  # fmt: skip
        """Decide operations (a tuple of them is a linked chain: all or nothing); results by item, when durable.

        ``cursor``: (source, how far it is read), ``outbox(results)``: what is to be sent, ``notes(results)``: further
        cursors; all go into the same transaction. ``outbox`` and ``notes`` run in the writer's thread, perhaps more
        than once: they must be pure. With no items, only what is due expires. Waits while the queue is full.

        Raises ``Fenced``: stop this process. ``StoreAway``: not done; the same ids may be tried again. Cancelled: the
        outcome is unknown; ask again with the same ids. ``ValueError``: more than one batch can hold.
        """
        chains = tuple(item if type(item) is tuple else (item,) for item in items)
        size = max(1, sum(map(len, chains)))
        if size > bounds.BATCH_OPERATIONS_MAX:
            raise ValueError(f"{size} operations at once; at most {bounds.BATCH_OPERATIONS_MAX}")
        while self._queued + size > bounds.QUEUE_OPERATIONS_MAX and self._closed is None:
            await self._room.park()
        self._check_open()
        waiting = _Waiting(Submission(chains, cursor, outbox, notes), size)
        self._queue.append(waiting)
        self._queued += size
        self._work.set()
        await waiting.done.wait()
        if waiting.error is not None:
            raise waiting.error
        assert waiting.results is not None
        return waiting.results

    def account(self, ledger: str, owner: bytes) -> Account | None:
        """A copy of an account as of the last commit."""
        found = self._state.peek((ledger, owner))
        return None if found is None else duplicate(found)

    @property
    def time_ms(self) -> int:
        """The ledger's time: that of its last commit."""
        return self._state.time_ms

    async def cursor(self, source: bytes) -> bytes | None:
        """How far a source was read with what is durable."""
        return await self._ledger.cursor(source)

    async def cursors(self, sources: Collection[bytes]) -> dict[bytes, bytes]:
        """The same of many; what is not known is not in it."""
        return await self._ledger.cursors(sources)

    async def records(self, ids: Collection[bytes]) -> dict[bytes, Record]:
        """What is recorded under ids, as of the last commit."""
        rows = await self._ledger.records(ids)
        return {row.id: decode_record(row.body) for row in rows if row.id is not None}

    def exponent(self, ledger: str) -> int | None:
        """The exponent of a ledger; None: it is not open."""
        return self._state.ledgers.get(ledger)

    def ledgers(self) -> dict[str, int]:
        """All ledgers with their exponents."""
        return dict(self._state.ledgers)

    def held_for(self, ledger: str, credit: bytes) -> list[Held]:
        """Open pendings for an account, the earliest first."""
        return self._state.waiting_for(ledger, credit)

    def held(self, id_: bytes) -> Held | None:
        """An open pending."""
        return self._state.pendings.get(id_)

    @property
    def sequence(self) -> int:
        """How many records there are."""
        return self._state.sequence

    async def journal(self, after: int, limit: int) -> list[JournalRow]:
        """Lines that are durable, from behind ``after``."""
        return await self._ledger.journal(after, limit)

    async def outbox(self, after: int, limit: int) -> list[Waiting]:
        """What is to be sent, in the order of commits, from behind number ``after``; it stays until acknowledged."""
        return await self._ledger.outbox(after, limit)

    async def acknowledge(self, numbers: Collection[int]) -> None:
        """Forget what was sent. Raises ``Fenced``, ``StoreAway``."""
        await self._ledger.acknowledge(self._epoch, numbers)

    async def receipt(self, sequence: int) -> Receipt:
        """The receipt of a record, provable against the last checkpoint. Raises ``KeyError`` if there is none."""
        size = self._state.sequence
        rows = await self._ledger.journal(sequence - 1, 1) if 0 < sequence <= size else []
        checkpoint = await self._ledger.checkpoint(size)
        if not rows or checkpoint is None:
            raise KeyError(sequence)
        index = sequence - 1
        proof = await self._ledger.tree(lambda node: inclusion_proof(index, size, node))
        return Receipt(rows[0].body, receipt_salt(self._log.secret, index), index, tuple(proof), checkpoint)

    async def receipts(self, sequences: Sequence[int]) -> dict[int, Receipt]:
        """Receipts of many records, all proved against the last checkpoint; faster than one by one."""
        size = self._state.sequence
        wanted = sorted({sequence for sequence in sequences if 0 < sequence <= size})
        checkpoint = await self._ledger.checkpoint(size)
        if not wanted or checkpoint is None:
            return {}
        rows: dict[int, JournalRow] = {}
        for block in sorted({(sequence - 1) >> BLOCK_LEVEL for sequence in wanted}):
            start = block << BLOCK_LEVEL
            page = await self._ledger.journal(start, min(1 << BLOCK_LEVEL, size - start))
            rows.update((row.sequence, row) for row in page)
        leaves = {sequence - 1: row.leaf for sequence, row in rows.items()}
        indices = [sequence - 1 for sequence in wanted]
        proofs = await self._ledger.tree(lambda node: prove_many(indices, size, node, leaves))
        salts = {sequence: receipt_salt(self._log.secret, sequence - 1) for sequence in wanted}
        return {
            sequence: Receipt(rows[sequence].body, salts[sequence], sequence - 1, tuple(proof), checkpoint)
            for sequence, proof in zip(wanted, proofs, strict=True)
        }

    async def consistency(self, old: int, to: int = 0) -> tuple[bytes, list[bytes]]:
        """(checkpoint at ``to`` records, proof that the log of ``old`` > 0 records is a prefix of it). 0: of all.

        The checkpoint is empty where none was signed at that size. Raises ``ValueError`` out of range.
        """
        size = to or self._state.sequence
        if size > self._state.sequence:
            raise ValueError(f"these books hold {self._state.sequence} records, not {size}")
        proof = await self._ledger.tree(lambda node: consistency_proof(old, size, node))
        return await self._ledger.checkpoint(size) or b"", proof

    async def confront(self, signed: bytes) -> None:
        """Compare with a checkpoint that somebody presents.

        Raises ``BooksBroken`` if these books are behind it or say something else: a restored backup has lost what was
        promised. ``ReceiptError`` if it is none of this log.
        """
        theirs = open_checkpoint(signed, self._log.key.public, self._log.name)
        if theirs.size > self._state.sequence:
            raise BooksBroken(
                f"a checkpoint proves {theirs.size} records, these books hold {self._state.sequence}: an old backup was"
                " restored. Restore a newer one."
            )
        own = await self._ledger.tree(lambda node: frontier_at(node, theirs.size))
        if own.root() != theirs.root:
            raise BooksBroken(
                f"the books differ from a signed checkpoint within the first {theirs.size} records: an old backup was"
                " restored and went on. Restore a newer one."
            )

    async def strangers(self, signed: Collection[bytes]) -> list[bytes]:
        """Those of the checkpoints that people present which these books have not signed themselves."""
        sizes = {one: size for one in signed if (size := claimed_size(one)) is not None}
        own = await self._ledger.checkpoints(set(sizes.values()))
        return [one for one in sizes if one not in own]

    async def checkpoint(self) -> bytes:
        """The last signed checkpoint; empty before the first record."""
        return await self._ledger.checkpoint() or b""

    def is_due(self, now_ms: int) -> bool:
        """Whether a pending waits to expire."""
        return bool(self._state.due(now_ms))

    def statistics(self) -> BooksStatistics:
        """Queue and commit figures."""
        state = self._state
        return BooksStatistics(
            self._queued, self._batches, self._batch_max, self._operations, self._repeats, self._isolated,
            self._resolved, len(state.accounts), len(state.pendings), state.sequence, self._epoch,
        )  # fmt: skip

    # -- the loop ------------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Commit batch after batch until ``close_nowait``, and what waits then. ``open_books`` runs it."""
        try:
            while self._queue or self._closed is None:
                if self._queue:
                    await self._commit(self._take())
                else:
                    self._work = trio.Event()
                    await self._work.wait()
        finally:
            self.close_nowait()
            self._fail(list(self._queue), self._gone())
            self._queue.clear()

    def close_nowait(self) -> None:
        """Take no more; what waits is still committed."""
        self._closed = self._closed or "the books are closed"
        self._work.set()
        self._room.unpark_all()

    def _check_open(self) -> None:
        if self._closed is not None:
            raise self._gone()

    def _gone(self) -> Exception:
        text = self._closed or "the books are closed"
        return Fenced(text) if self._fenced else StoreAway(text)

    def _take(self) -> list[_Waiting]:
        taken, size = [self._queue.popleft()], 0
        size = taken[0].size
        while self._queue and size + self._queue[0].size <= bounds.BATCH_OPERATIONS_MAX:
            taken.append(self._queue.popleft())
            size += taken[-1].size
        self._batches += 1
        self._batch_max = max(self._batch_max, size)
        return taken

    async def _commit(self, taken: list[_Waiting]) -> None:
        try:
            await self._settle(taken)
        finally:
            unknown = StoreAway("the books stopped, the outcome is unknown: ask again with the same ids")
            self._fail([waiting for waiting in taken if not waiting.done.is_set()], unknown)
            self._queued -= sum(waiting.size for waiting in taken)
            self._room.unpark_all()

    async def _settle(self, taken: list[_Waiting]) -> None:
        try:
            await self._attempt(taken)
        except StoreAway as error:
            self._fail(taken, error)
        except Fenced as error:
            self._closed, self._fenced = str(error), True
            self._fail(taken, error)
        except Rejected as error:
            # The database's wall refused the batch. Alone, each of the others is well; who is not gets INTERNAL.
            _log.error("a batch of %d submissions was refused: %s", len(taken), error)
            if len(taken) > 1:
                for waiting in taken:
                    await self._settle([waiting])
            else:
                self._isolated += 1
                chains = taken[0].submission.chains
                self._answer(taken, [[(Result(Code.INTERNAL),) * len(chain) for chain in chains]])

    async def _attempt(self, taken: list[_Waiting]) -> None:
        submissions = [waiting.submission for waiting in taken]
        wanted = Wanted.of(submissions)
        while True:
            preparation = Preparation(
                self._state, self._frontier, self._log, self._epoch, self._snapshot, self._snapshot_every,
                self._changed, submissions, self._expired,
            )  # fmt: skip
            try:
                await self._ledger.transact(self._epoch, self._commits, wanted.ids, wanted.pendings, preparation)
            except StoreAway as error:
                await self._resolve(error)
            assert preparation.prepared is not None
            self._publish(preparation.prepared)
            if not preparation.prepared.postponed:
                self._answer(taken, preparation.prepared.results)
                return

    async def _resolve(self, error: StoreAway) -> None:
        """Return if the transaction whose outcome is unknown did become durable; raise ``error`` if not."""
        self._resolved += 1
        for _ in range(bounds.RESOLVE_TRIES):
            try:
                head = await self._ledger.head()
            except StoreAway:
                await trio.sleep(bounds.RESOLVE_S)
                continue
            if head.epoch != self._epoch:
                raise Fenced("another process has taken the ledger over: stop this one, and ask there") from error
            if head.commits == self._commits:
                raise error
            return
        self._closed = "the outcome of a commit cannot be found out: restart when the database answers again"
        raise error

    def _publish(self, prepared: Prepared) -> None:
        self._state.merge(prepared.overlay)
        self._frontier = prepared.frontier
        self._commits += 1
        self._isolated += prepared.isolated
        self._repeats += 0 if prepared.postponed else prepared.repeats
        if prepared.batch.snapshot is not None:
            self._snapshot, self._changed = prepared.batch.snapshot.sequence, Changed()
        else:
            self._changed.add(prepared.overlay)

    def _answer(self, taken: Sequence[_Waiting], results: Sequence[list[Results]]) -> None:
        for waiting, result in zip(taken, results, strict=True):
            self._operations += waiting.size
            waiting.results = result
            waiting.done.set()

    def _fail(self, taken: Sequence[_Waiting], error: Exception) -> None:
        for waiting in taken:
            waiting.error = error
            waiting.done.set()


@asynccontextmanager
async def open_books(
    ledger: Ledger, log: Log, *, expired: Expired | None = None, snapshot_every: int = bounds.SNAPSHOT_EVERY
) -> AsyncIterator[Books]:
    """Take the ledger over, load it, and serve until the block ends; what waits then is committed first.

    ``expired(record, held)``: what to send when a pending has expired, in the same transaction; it must be pure.
    ``snapshot_every``: records between snapshots. Raises ``BooksBroken``, ``StoreAway``.
    """
    head = await ledger.take_over()
    books = Books(ledger, log, head, await load(ledger, head), expired, snapshot_every)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(books.run)
        try:
            yield books
        finally:
            books.close_nowait()
