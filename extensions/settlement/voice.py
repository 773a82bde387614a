"""What settlement says: answers from the ledger's outbox become messages, and the journal an index by account.

One transaction of the worker's database holds the messages, the index and how far both were read, so each answer is
said once; only then does the ledger forget it. The index is a view: it can be made again from the journal.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from extensions.host import Process
from extensions.settlement import bounds, disputes, packets
from extensions.settlement import operations as ops
from extensions.settlement.books import Books
from extensions.settlement.desk import Desk
from extensions.settlement.judge import Answer
from extensions.settlement.operations import Record, decode_record
from protocol.codec import encode_struct
from protocol.ids import pair_topic
from protocol.messages import Body
from protocol.messages import pay as P
from protocol.payments import LEDGER_CODES, TEXTS
from protocol.receipts import Receipt

TABLES: Final = """
CREATE TABLE IF NOT EXISTS movements (
    account BLOB NOT NULL, sequence INTEGER NOT NULL, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, ledger TEXT NOT NULL,
    amount INTEGER NOT NULL, other BLOB NOT NULL, operation BLOB NOT NULL, PRIMARY KEY (account, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spoken (
    n INTEGER PRIMARY KEY CHECK (n = 1), outbox INTEGER NOT NULL, journal INTEGER NOT NULL
);
INSERT OR IGNORE INTO spoken VALUES (1, 0, 0);
CREATE TABLE IF NOT EXISTS presented (n INTEGER PRIMARY KEY CHECK (n = 1), checkpoint BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS ledger_orders (n INTEGER PRIMARY KEY AUTOINCREMENT, asked BLOB NOT NULL, answer BLOB)
"""
_PUT: Final = "INSERT OR IGNORE INTO movements VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
SPOKEN: Final = "SELECT outbox, journal FROM spoken"
PRESENTED: Final = "SELECT checkpoint FROM presented"
_KINDS: Final = {
    ops.Transfer: "transfer", ops.Issue: "issue", ops.Redeem: "redeem", ops.Pending: "hold", ops.Post: "claim",
    ops.Void: "release", ops.Expire: "expiry",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Movement:
    """A line of an account; positive came, negative went. What is held or released moves nothing: 0."""

    account: bytes
    entry: P.Entry


def movements(records: Sequence[Record], pendings: Mapping[bytes, Record]) -> list[Movement]:
    """Lines for both accounts of each record that succeeded. ``pendings``: what posts and expiries end."""
    found = []
    for record in records:
        operation, kind = record.operation, _KINDS.get(type(record.operation))
        if record.code or kind is None:
            continue
        sides, name = operation, operation.id
        if isinstance(operation, ops.Post | ops.Void | ops.Expire):
            name, held = operation.pending, pendings.get(operation.pending)
            if held is None:
                continue
            sides = held.operation
        assert isinstance(sides, ops.Transfer | ops.Issue | ops.Redeem | ops.Pending)
        moved = record.amount if kind in ("transfer", "issue", "redeem", "claim") else 0
        for account, other, amount in ((sides.debit, sides.credit, -moved), (sides.credit, sides.debit, moved)):
            entry = P.Entry(record.sequence, record.at_ms, kind, sides.ledger, amount, other, name)
            found.append(Movement(account, entry))
    return found


def body_of(answer: Answer, receipt: Receipt | None, worker: bytes) -> Body:
    """The message of a status or receipt."""
    if answer.kind == "receipt" and receipt is not None:
        refund = answer.is_refund
        return P.ReceiptOf(
            operation=answer.operation, state=P.State(answer.state), worker=worker, log=bounds.LOG_NAME,
            receipt=encode_struct(receipt), request=b"" if refund else answer.memo,
            original=answer.memo if refund else b"",
        )  # fmt: skip
    return P.Status(
        id=answer.id, state=P.State(answer.state), code=answer.code, text=text_of(answer.code), ledger=answer.ledger,
        amount=answer.amount, sequence=answer.sequence, at_ms=answer.at_ms,
    )  # fmt: skip


def text_of(code: int) -> str:
    """What a code means, for people."""
    from extensions.settlement.codes import TEXTS as LEDGER_TEXTS
    from extensions.settlement.codes import Code

    return LEDGER_TEXTS[Code(code - LEDGER_CODES)][:140] if code >= LEDGER_CODES else TEXTS[code]


class Voice:
    """Says what waits to be said. One at a time."""

    def __init__(self, process: Process, books: Books, desk: Desk) -> None:
        self._process = process
        self._books = books
        self._desk = desk
        self._account = process.engine.shelf.account

    async def speak(self) -> bool:
        """One transaction of it; False: there is nothing to say. Raises ``Fenced``, ``StoreAway``."""
        process, books = self._process, self._books
        ((said, indexed),) = process.engine.shelf.vault.query(SPOKEN)
        waiting = await books.outbox(said, bounds.SPEAK_ROWS)
        rows = await books.journal(indexed, bounds.INDEX_ROWS)
        if not waiting and not rows:
            return False
        answers = [msgspec.msgpack.decode(one.outgoing.body, type=Answer) for one in waiting]
        receipts = await books.receipts([a.sequence for a in answers if a.kind == "receipt"])
        records = [decode_record(row.body) for row in rows]
        ended = {r.operation.pending for r in records if isinstance(r.operation, ops.Post | ops.Void | ops.Expire)}
        lines = movements(records, await books.records(ended))
        effects = process.effects()
        for answer in answers:
            if answer.kind == "balance":
                body: Body | None = await self._desk.balances(answer.to)
            elif answer.kind == "shares":
                body = await packets.told(books, answer.operation)
            elif answer.kind == "case":
                body = await disputes.told(books, answer)
            else:
                body = body_of(answer, receipts.get(answer.sequence), self._account)
            if body is not None:
                effects.say(pair_topic(self._account, answer.to), body, answer.re or None)
        for account, entries in self._came(lines).items():
            effects.say(pair_topic(self._account, account), P.History(entries=tuple(entries)), None)
        numbers = [one.number for one in waiting]
        place = (max([said, *numbers]), indexed + len(rows))
        effects.writes.append(lambda db: _write(db, lines, place))
        effects.commit(())
        await process.engine.shelf.journal.flushed()
        await books.acknowledge(numbers)
        return True

    def _came(self, lines: Sequence[Movement]) -> dict[bytes, list[P.Entry]]:
        """What came to people who have a conversation with us: they are told without asking."""
        found: defaultdict[bytes, list[P.Entry]] = defaultdict(list)
        talks = self._process.engine.shelf.conversations
        for line in lines:
            if line.entry.amount > 0 and len(found[line.account]) < bounds.HISTORY_ROWS:
                found[line.account].append(line.entry)
        return {a: entries for a, entries in found.items() if talks.get(pair_topic(self._account, a)) is not None}


def _write(db: sqlite3.Connection, lines: Sequence[Movement], place: tuple[int, int]) -> None:
    rows = []
    for line in lines:
        e = line.entry
        rows.append((line.account, e.sequence, e.at_ms, e.kind, e.ledger, e.amount, e.other, e.operation))
    db.executemany(_PUT, rows)
    db.execute("UPDATE spoken SET outbox = ?, journal = ?", place)
