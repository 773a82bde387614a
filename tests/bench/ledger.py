"""Transfers per second of the books, beside a naive ledger that makes one transaction of each.

``python -m tests.bench.ledger [transfers] [directory]``: all figures of one run, on one disk, ``synchronous=FULL``.
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from extensions.settlement import operations as ops
from extensions.settlement.books import Books, open_books
from extensions.settlement.commit import Log
from extensions.settlement.state import Account, State
from protocol.identity import SigningKey
from storage.ledger import open_ledger
from storage.sqlite import unix_ms
from tests.support.ledger_random import owner

LOG = Log("bench", SigningKey(b"k" * 32), b"s" * 32)
RAIL = ops.rail_account("mint")
PEOPLE = 10_000
NAIVE = 1000  # transfers: it is slow
ROWS = 1_000_000  # of the journal, for the restart
TAIL = 25_000  # beyond them, so that there is something to replay
LONG_COUNT = 100_000  # transfers, from which on the restart is measured with so many rows
BATCH_GOALS = {100: 25.0, 1000: 40.0}
HOT_GOAL = 0.9


def naive(folder: Path, count: int) -> float:
    """Transfers per second as they are often written: read, update twice, insert, commit."""
    connection = sqlite3.connect(folder / "naive.db", isolation_level=None)
    run = connection.execute
    run("PRAGMA journal_mode = WAL")
    run("PRAGMA synchronous = FULL")
    run("CREATE TABLE accounts (owner BLOB PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0))")
    run("CREATE TABLE transfers (id BLOB PRIMARY KEY, debit BLOB, credit BLOB, amount INTEGER, at_ms INTEGER)")
    connection.executemany("INSERT INTO accounts VALUES (?, 1000000)", [(owner(n),) for n in range(PEOPLE)])
    chance = random.Random(1)
    began = time.perf_counter()
    for _ in range(count):
        debit, credit = owner(chance.randrange(PEOPLE)), owner(chance.randrange(PEOPLE))
        run("BEGIN IMMEDIATE")
        id_ = os.urandom(48)
        known = run("SELECT 1 FROM transfers WHERE id = ?", (id_,)).fetchone()
        (balance,) = run("SELECT balance FROM accounts WHERE owner = ?", (debit,)).fetchone()
        assert known is None
        assert balance >= 3
        run("UPDATE accounts SET balance = balance - 3 WHERE owner = ?", (debit,))
        run("UPDATE accounts SET balance = balance + 3 WHERE owner = ?", (credit,))
        run("INSERT INTO transfers VALUES (?, ?, ?, 3, ?)", (id_, debit, credit, unix_ms()))
        run("COMMIT")
    seconds = time.perf_counter() - began
    connection.close()
    return count / seconds


class Load:
    """Makes transfers whose ids begin with the time, as those of clients do."""

    def __init__(self) -> None:
        self._chance = random.Random(2)
        self._count = 0

    def transfers(self, count: int, hot: bool) -> list[ops.Transfer]:
        """Between random people, or all to one."""
        made = []
        for _ in range(count):
            self._count += 1
            debit = self._chance.randrange(1, PEOPLE)
            credit = 0 if hot else (debit + 1 + self._chance.randrange(PEOPLE - 2)) % PEOPLE
            id_ = self._count.to_bytes(16, "big") + owner(debit)
            made.append(ops.Transfer(id_, owner(debit), owner(credit), "EUR", 2, 3))
        return made

    def batches(self, count: int, size: int, hot: bool = False) -> Iterator[list[ops.Transfer]]:
        """So many in all."""
        for _ in range(0, count, size):
            yield self.transfers(size, hot)


async def found(books: Books) -> None:
    """A ledger, a rail, people with money."""
    await books.submit(ops.OpenLedger(b"l", "EUR", 2), ops.Open(b"r", RAIL, "EUR", ops.Kind.RAIL))
    for n in range(0, PEOPLE, 500):
        await books.submit(*[ops.Open(b"o%d" % k, owner(k), "EUR") for k in range(n, n + 500)])
        await books.submit(*[ops.Issue(b"i%d" % k, RAIL, owner(k), "EUR", 2, 10**8) for k in range(n, n + 500)])


async def measure(books: Books, batches: Iterator[list[ops.Transfer]]) -> float:
    """Transfers per second, made beforehand, each batch acknowledged before the next."""
    made = list(batches)
    began = time.perf_counter()
    for batch in made:
        for (result,) in await books.submit(*batch):
            assert result.code == 0, result
    return sum(map(len, made)) / (time.perf_counter() - began)


def account_bytes(count: int = 100_000) -> float:
    """Memory of an account, its key and its place in the dict included."""
    tracemalloc.start()
    state = State()
    for n in range(count):
        state.accounts["EUR", owner(n)] = Account(0, 0, 0, 0, 1000 + n, 2000 + n, 3000 + n, 10**6 + n)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return used / count


def compared(what: str, speed: float, times: float, of: str, goal: float) -> bool:
    """Print a line with a goal; whether it is met."""
    good = times >= goal
    print(f"{what:<34} {speed:>9,.0f} /s   {times:5.2f} × {of} (goal {goal:g}) {'PASS' if good else 'FAIL'}")
    return good


async def bench(folder: Path, count: int) -> bool:
    """All figures; whether the goals are met.

    The goals compare with the same books, one transaction a transfer. The bare table beside them keeps no journal, no
    receipts and no outbox, in a thread of its own: it shows what a transaction costs on this disk, and no more.
    """
    bare, load = naive(folder, NAIVE), Load()
    print(f"{'bare table, a transaction each':<34} {bare:>9,.0f} /s")
    async with open_ledger(folder / "ledger.db", clock_ms=unix_ms) as ledger, open_books(ledger, LOG) as books:
        await found(books)
        base = await measure(books, load.batches(NAIVE, 1))
        print(f"{'books, a transaction each':<34} {base:>9,.0f} /s")
        good, uniform = True, 0.0
        for size, goal in BATCH_GOALS.items():
            uniform = await measure(books, load.batches(count, size))
            good &= compared(f"books, batches of {size}", uniform, uniform / base, "a transaction each", goal)
        print(f"{'':<34} {'':>9}      {uniform / bare:5.2f} × the bare table")
        hot = await measure(books, load.batches(count, 1000, hot=True))
        good &= compared("books, all to one account", hot, hot / uniform, "uniform", HOT_GOAL)
        while count >= LONG_COUNT and books.statistics().sequence < ROWS + TAIL:
            await measure(books, load.batches(20_000, 1000))
        rows = books.statistics().sequence
    began = time.perf_counter()
    async with open_ledger(folder / "ledger.db", clock_ms=unix_ms) as ledger, open_books(ledger, LOG):
        seconds, head = time.perf_counter() - began, await ledger.head()
    what = f"restart with {rows:,} records"
    print(f"{what:<34} {seconds:9.2f} s    {PEOPLE:,} accounts, a tail of {head.sequence - head.snapshot:,} to replay")
    print(f"{'memory of an account':<34} {account_bytes():9.0f} bytes")
    return good


def main() -> int:
    """The exit code is 1 if a goal is missed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    if len(sys.argv) > 2:
        return 0 if trio.run(bench, Path(sys.argv[2]), count) else 1
    with TemporaryDirectory() as folder:
        return 0 if trio.run(bench, Path(folder), count) else 1


if __name__ == "__main__":
    sys.exit(main())
