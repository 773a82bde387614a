"""The one ledger writer at work: batches of messages into the books, and what the books have to say out again.

Rule 1.  Books, progress of each conversation, notes and answers are one transaction of the ledger. Only then are the
         messages done in the durable inbox: a crash between the two brings them again, and the progress tells.
Rule 2.  Answers leave from the ledger's outbox: in one transaction of the worker's database they become messages, and
         the number up to which that was done moves. So each is said once, whatever dies when.
Rule 3.  An item that makes the program raise harms nobody else: it is answered ``INTERNAL``.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final

import msgspec
import trio

from clients.connection import Refusal as Refused
from extensions.engine import WorkerEngine
from extensions.errors import Fenced
from extensions.jobs import Batch, Job
from extensions.settlement import bounds, disputes, stakes
from extensions.settlement.books import Books
from extensions.settlement.deeds import read
from extensions.settlement.intents import Asked, Intent, Opening, Payment, Refusal
from extensions.settlement.judge import Answer, Deed, Facts, Results, Verdict, judge, keys, note_topic, signers, touches
from extensions.settlement.orders import Done, Order
from extensions.settlement.restart import BooksBroken
from protocol import limits as L
from protocol.errors import RemoteProtocolError
from protocol.messages import pay as P
from protocol.payments import TEXTS, PayCode
from protocol.receipts import ReceiptError
from storage.base import StoreAway
from storage.ledger_base import Fenced as LedgerFenced
from storage.ledger_base import Outgoing

_log: Final = logging.getLogger("chappe.settlement")
_number = msgspec.msgpack.encode


def outgoing(answer: Answer) -> Outgoing:
    """An answer as the ledger's outbox keeps it."""
    id_ = answer.to + answer.re + answer.id + bytes([answer.state]) + answer.sequence.to_bytes(8, "big")
    return Outgoing(id_, answer.to, msgspec.msgpack.encode(answer))


@dataclass(frozen=True, slots=True)
class _Decided:
    asked: Asked
    verdict: Verdict
    first: int  # of its chains among all

    def results(self, every: Results) -> Results:
        return every[self.first : self.first + len(self.verdict.chains)]


class Desk:
    """Takes batches; ``news`` is set whenever there may be something to say, ``stopped`` when nothing may be done."""

    def __init__(self, engine: WorkerEngine, books: Books) -> None:
        self._engine = engine
        self._books = books
        self._account = engine.shelf.account
        self._confronted: set[bytes] = set()  # checkpoints that were compared
        self._turn = trio.Lock()  # what is decided from notes is written before anybody else reads them
        self.news = trio.Event()
        self.stopped = trio.Event()
        self.broken: BooksBroken | None = None

    async def take(self, batch: Batch) -> None:
        """Deal with a batch of jobs. Raises ``Fenced``; never returns once the books were found broken."""
        async with self._turn:
            await self._take(batch)

    async def pay_due(self) -> None:
        """Pay the stakes whose window has passed. Raises ``Fenced``."""
        async with self._turn:
            notes = await self._patiently(lambda: self._books.cursors({stakes.DUE}))
            found = stakes.due(notes.get(stakes.DUE), self._engine.shelf.clock_ms(), self._account)
            for deed in found:
                await self._settle([deed])

    async def arbitrate(self, order: Order) -> Done:
        """The operator ends a dispute: ``order.memo`` is the payment, ``order.amount`` goes back. Raises ``Fenced``."""
        deed = disputes.Arbitrating(Asked(b"", b"", b"", 0, self._account), order.id, order.memo, order.amount)
        async with self._turn:
            notes = await self._patiently(lambda: self._books.cursors(deed.keys()[0]))
            case = disputes.case_of(notes, order.memo)
            code = deed.refusal(notes, case is not None and self._books.held(case.pending) is not None)
            if not code:
                await self._settle([deed])
        return Done(int(code), TEXTS[code], 0 if code else self._books.sequence)

    async def _take(self, batch: Batch) -> None:
        await self._confront(batch.jobs)
        asked = [(job, self._asked(job)) for job in batch.jobs]
        progress = await self._patiently(lambda: self._books.cursors({note_topic(a.topic) for _, a in asked}))
        fresh = [(job, a) for job, a in asked if a.number > _decode(progress.get(note_topic(a.topic)))]
        # In a thread: it is mostly the signatures of payers, for which the interpreter is not needed.
        read_ = await trio.to_thread.run_sync(lambda: [self._read(job, a) for job, a in fresh])
        intents = [intent for intent in read_ if intent is not None]
        for round_ in rounds(intents):
            await self._settle(round_)
        for job, a in fresh:
            if isinstance(job.body, P.Query):
                await self._answer(batch, job, a)
        await batch.commit()

    def _asked(self, job: Job[Any]) -> Asked:
        return Asked(job.account, job.topic, job.id, job.item.number, self._account)

    def _read(self, job: Job[Any], asked: Asked) -> Intent | Deed | None:
        try:
            return read(asked, job.body)
        except Exception:  # noqa: BLE001 - rule 3
            _log.exception("message %s made settlement raise", job.id.hex())
            return Refusal(asked, asked.id, PayCode.INTERNAL)

    # -- the books -----------------------------------------------------------------------------------------------------
    async def _settle(self, intents: Sequence[Intent | Deed]) -> None:
        facts = await self._facts(intents)
        decided: list[_Decided] = []
        count = 0
        for intent in intents:
            verdict = self._judge(intent, facts)
            decided.append(_Decided(intent.asked, verdict, count))
            count += len(verdict.chains)
        chains = tuple(chain.from_iterable(one.verdict.chains for one in decided))
        numbers: dict[bytes, int] = {}
        for one in decided:
            numbers[note_topic(one.asked.topic)] = max(one.asked.number, numbers.get(note_topic(one.asked.topic), 0))
        progress = [(key, _number(value)) for key, value in numbers.items()]

        def says(results: Results) -> list[Outgoing]:
            return [outgoing(answer) for one in decided for answer in one.verdict.says(one.results(results))]

        def notes(results: Results) -> list[tuple[bytes, bytes]]:
            return [*progress, *(note for one in decided for note in one.verdict.notes(one.results(results)))]

        await self._patiently(lambda: self._books.submit(*chains, outbox=says, notes=notes))
        self.news.set()

    def _judge(self, intent: Intent | Deed, facts: Facts) -> Verdict:
        try:
            return judge(intent, facts)
        except Exception:  # noqa: BLE001 - rule 3
            _log.exception("the intent of message %s made settlement raise", intent.asked.id.hex())
            id_ = intent.id if isinstance(intent, Deed) else intent.asked.id
            id_ = intent.authorization.id if isinstance(intent, Payment) else id_
            return judge(Refusal(intent.asked, id_, PayCode.INTERNAL), facts)

    async def _facts(self, intents: Sequence[Intent | Deed]) -> Facts:
        notes: set[bytes] = set()
        records: set[bytes] = set()
        for intent in intents:
            more_notes, more_records = keys(intent)
            notes |= more_notes
            records |= more_records
        payers = set().union(*(signers(intent) for intent in intents))
        await self._fetch_lists(payers)
        books, directory = self._books, self._engine.directory
        lists = {account: found for account in payers if (found := directory.known(account)) is not None}
        return Facts(
            await self._patiently(lambda: books.cursors(notes)), await self._patiently(lambda: books.records(records)),
            lists, max(self._engine.shelf.clock_ms(), books.time_ms), books.account, books.held, books.held_for,
        )  # fmt: skip

    async def _fetch_lists(self, accounts: set[bytes]) -> None:
        """The payers' device lists as the relay has them now: a device that was revoked moves no more money."""
        while accounts:
            link = self._engine.link
            if link is None:
                await trio.sleep(L.RECONNECT_MS_MAX / 1000)  # the connection is gone: this process begins anew
                continue
            try:
                await self._engine.directory.fetch(link, accounts)
            except Refused as error:
                await trio.sleep((error.retry_ms or bounds.RETRY_MS) / 1000)
            else:
                return

    async def _patiently(self, ask: Any) -> Any:
        """Ask the books again while their store is away. Raises ``Fenced``."""
        while True:
            try:
                return await ask()
            except StoreAway as error:
                _log.warning("the ledger's store is away, trying again: %s", error)
                await trio.sleep(bounds.RETRY_MS / 1000)
            except LedgerFenced as error:
                raise Fenced(str(error)) from None

    async def _confront(self, jobs: Sequence[Job[Any]]) -> None:
        """Whoever shows a signed checkpoint that these books do not hold stops the worker."""
        shown = {getattr(job.body, "checkpoint", b"") for job in jobs} - self._confronted - {b""}
        if not shown:
            return
        if len(self._confronted) > bounds.CONFRONTED_MAX:
            self._confronted.clear()
        self._confronted |= shown
        for signed in await self._patiently(lambda: self._books.strangers(shown)):
            try:
                await self._patiently(partial(self._books.confront, signed))
            except (ReceiptError, RemoteProtocolError):
                continue  # of another log, or nothing: it proves nothing about these books
            except BooksBroken as error:
                self._engine.shelf.journal.write([partial(_note_presented, signed=signed)])
                await self._engine.shelf.journal.flushed()
                self.broken = error
                self.stopped.set()
                await trio.sleep_forever()

    # -- questions -----------------------------------------------------------------------------------------------------
    async def _answer(self, batch: Batch, job: Job[P.Query], asked: Asked) -> None:
        query, books = job.body, self._books
        if not asked.is_wallet:
            return
        if query.what == "balance":
            batch.reply(job, await self.balances(asked.account))
        elif query.what == "history":
            rows = await batch.query(HISTORY, asked.account, query.after, bounds.HISTORY_ROWS + 1)
            entries = tuple(P.Entry(*row) for row in rows[: bounds.HISTORY_ROWS])
            batch.reply(job, P.History(entries=entries, more=len(rows) > bounds.HISTORY_ROWS))
        elif query.what == "proof":
            to = query.to or books.sequence
            try:
                checkpoint, proof = await books.consistency(query.old, to)
            except ValueError:
                checkpoint, proof = await books.checkpoint(), []
            batch.reply(job, P.Proof(old=query.old, to=to, checkpoint=checkpoint, proof=tuple(proof)))

    async def balances(self, account: bytes) -> P.Balances:
        """The accounts of somebody."""
        found = []
        for ledger, exponent in sorted(self._books.ledgers().items())[: L.PAY_LEDGERS_MAX]:
            state = self._books.account(ledger, account)
            if state is not None:
                free = state.balance - state.debits_pending
                found.append(P.Balance(ledger, exponent, free, state.debits_pending, state.credits_pending))
        checkpoint = await self._books.checkpoint()
        return P.Balances(accounts=tuple(found), worker=self._account, log=bounds.LOG_NAME, checkpoint=checkpoint)


HISTORY: Final = (
    "SELECT sequence, at_ms, kind, ledger, amount, other, operation FROM movements"
    " WHERE account = ? AND sequence > ? ORDER BY sequence LIMIT ?"
)


def _note_presented(db: sqlite3.Connection, signed: bytes) -> None:
    """The next start refuses at once."""
    db.execute("INSERT OR REPLACE INTO presented VALUES (1, ?)", (signed,))


def _decode(value: bytes | None) -> int:
    return 0 if value is None else msgspec.msgpack.decode(value, type=int)


def _weight(intent: Intent | Deed) -> int:
    """Operations that it becomes at most."""
    if isinstance(intent, Deed):
        return intent.weight
    return 1 + bounds.CLAIMS_MAX if isinstance(intent, Opening) else 2


def rounds(intents: Sequence[Intent | Deed]) -> list[list[Intent | Deed]]:
    """In order, in as few rounds as possible: two that touch the same thing are never in one round.

    A round is one submission, so it is bounded as one; what is postponed keeps its place before what depends on it.
    """
    left, made = list(intents), []
    while left:
        now: list[Intent | Deed] = []
        later: list[Intent | Deed] = []
        busy: set[bytes] = set()
        weight = 0
        for intent in left:
            wanted = touches(intent) | {intent.asked.topic + b"?"} if later else touches(intent)
            if wanted & busy or weight + _weight(intent) > bounds.ROUND_WEIGHT_MAX:
                later.append(intent)
                busy |= touches(intent) | {intent.asked.topic + b"?"}
            else:
                now.append(intent)
                weight += _weight(intent)
                busy |= touches(intent)
        made.append(now)
        left = later
    return made
