"""The settlement worker: one process writes the books, others stand by.

    chappe up --with settlement

See ``desk`` for what happens to a message, ``voice`` for what is said, ``DESIGN.md`` for the rules.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import trio

from clients.records import Identity
from clients.tasks import open_tasks
from extensions.errors import Fenced, WorkerError
from extensions.host import Process
from extensions.jobs import Batch
from extensions.settlement import bounds, orders
from extensions.settlement.books import Books, open_books
from extensions.settlement.commit import Log
from extensions.settlement.desk import Desk, outgoing
from extensions.settlement.judge import expired
from extensions.settlement.operations import Record
from extensions.settlement.restart import BooksBroken
from extensions.settlement.state import Held
from extensions.settlement.voice import PRESENTED, SPOKEN, TABLES, Voice
from extensions.store import WorkerVault
from extensions.worker import Worker
from protocol.identity import SigningKey
from protocol.ids import tagged_hash
from storage.base import StoreAway, StoreUnusable
from storage.ledger import open_ledger
from storage.ledger_base import Fenced as LedgerFenced
from storage.ledger_base import Outgoing

FILE: Final = "ledger.db"
NAME: Final = "settlement"
_CONSUMES: Final = (
    "pay.authorize", "pay.refund", "pay.cancel", "pay.open", "pay.query", "pay.fund", "pay.claim", "pay.stake",
    "pay.result", "pay.dispute",
)  # fmt: skip


def log_of(identity: Identity) -> Log:
    """The log of receipts of a worker's account: checkpoints carry its own signature. Raises ``WorkerError``."""
    if identity.root_seed is None:
        raise WorkerError("this worker's database does not hold its root key, with which it signs receipts")
    secret = tagged_hash("ledger/salts", (identity.root_seed,))
    return Log(bounds.LOG_NAME, SigningKey(identity.root_seed), secret)


@asynccontextmanager
async def open_the_books(file: Path, identity: Identity, clock_ms: Callable[[], int]) -> AsyncIterator[Books]:
    """The books in ``file``, taken over from whoever wrote them. Raises ``WorkerError``, ``StoreAway``."""

    def expiry(record: Record, held: Held) -> list[Outgoing]:
        return [outgoing(answer) for answer in expired(record, held)]

    try:
        async with (
            open_ledger(file, clock_ms=clock_ms) as ledger,
            open_books(ledger, log_of(identity), expired=expiry) as books,
        ):
            yield books
    except* (BooksBroken, StoreUnusable) as group:
        raise WorkerError(str(group.exceptions[0])) from None


async def refuse_old_books(books: Books, vault: WorkerVault) -> None:
    """Refuse books that are behind what was said of them, or behind a checkpoint that somebody has presented.

    Raises ``WorkerError``: an old backup was restored.
    """
    ((_, told),) = vault.query(SPOKEN)
    if told > books.sequence:
        raise WorkerError(
            f"people were told of {told} records, and these books hold {books.sequence}: an old backup of {FILE} was "
            "restored. Restore a newer one, and the worker's database with it."
        )
    for (signed,) in vault.query(PRESENTED):
        try:
            await books.confront(signed)
        except BooksBroken as error:
            raise WorkerError(str(error)) from None


class Settlement:
    """What one process of the worker has in memory: the desk, once the books are open."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._desks: dict[object, Desk] = {}
        self._opened = trio.Event()
        self.books: Books | None = None

    async def take(self, batch: Batch) -> None:
        """The taker: wait for the books, then deal with it."""
        engine = batch.engine
        while engine not in self._desks:
            await self._opened.wait()
        await self._desks[engine].take(batch)

    def wake(self) -> None:
        """The books have changed otherwise than by a message: see whether something is to be said."""
        for desk in self._desks.values():
            desk.news.set()

    async def run(self, process: Process) -> None:
        """The companion: keep the books open, say what is to be said, expire what is due, carry out orders."""
        shelf = process.engine.shelf
        async with open_the_books(shelf.vault.path.with_name(FILE), shelf.identity, shelf.clock_ms) as books:
            await refuse_old_books(books, shelf.vault)
            desk = self._desks[process.engine] = Desk(process.engine, books)
            self.books = books
            self._opened.set()
            self._opened = trio.Event()
            try:
                async with open_tasks() as nursery:
                    nursery.start_soon(self._speak, Voice(process, books, desk), desk)
                    nursery.start_soon(self._tick, process, books, desk)
                    await desk.stopped.wait()
                    raise WorkerError(f"settlement goes no further: {desk.broken}")
            finally:
                self._desks.pop(process.engine, None)
                self.books = None

    async def _speak(self, voice: Voice, desk: Desk) -> None:
        while True:
            news = desk.news
            try:
                while await voice.speak():
                    pass
            except StoreAway as error:
                self._worker.log.warning("the ledger's store is away: %s", error)
                await trio.sleep(bounds.RETRY_MS / 1000)
                continue
            except LedgerFenced as error:
                raise Fenced(str(error)) from None
            await news.wait()
            desk.news = trio.Event() if desk.news is news else desk.news

    async def _tick(self, process: Process, books: Books, desk: Desk) -> None:
        vault, clock_ms = process.engine.shelf.vault, process.engine.shelf.clock_ms
        while True:
            try:
                if books.is_due(clock_ms()):
                    await books.submit()
                    desk.news.set()
                await desk.pay_due()
                for number, asked in vault.query(orders.WAITING):
                    order = msgspec.msgpack.decode(asked, type=orders.Order)
                    done = await (desk.arbitrate(order) if order.verb == "resolve" else orders.carry_out(books, order))
                    effects = process.effects()
                    effects.writes.append(orders.answered(number, done))
                    effects.commit(())
                    await process.engine.shelf.journal.flushed()
                    desk.news.set()
            except StoreAway as error:
                self._worker.log.warning("the ledger's store is away: %s", error)
            except LedgerFenced as error:
                raise Fenced(str(error)) from None
            await trio.sleep(bounds.TICK_S)


def make_worker() -> Worker:
    """The worker, with nothing in memory yet."""
    made = Worker(
        NAME,
        consumes=_CONSUMES,
        produces=("pay.status", "pay.receipt", "pay.balance", "pay.history", "pay.proof", "pay.shares", "pay.case"),
        keeps="who holds how much, every payment with payer, payee, amount and the hash of its request, for good",
        trust="that it moves money only as signed; receipts and checkpoints show whether it kept to its own log",
        tables=TABLES,
        single=True,
        batch_items=bounds.BATCH_MESSAGES,
    )
    settlement = Settlement(made)
    made.taker(settlement.take)
    made.beside(settlement.run)
    return made


worker = make_worker()
