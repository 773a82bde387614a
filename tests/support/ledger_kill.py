"""A process that keeps books on a file is killed with signal 9, again and again, and must neither lose nor double.

``run(rounds, seed)`` is the parent. The child (``python -m tests.support.ledger_kill FILE FIRST``) submits batch after
batch and writes, each with one unbuffered write: ``(`` when a batch has been decided and its COMMIT is ahead, ``)``
when the transaction is over, ``A n first last`` when batch n is acknowledged, ``F`` when it was fenced off. With FIRST
``-`` it takes batch numbers from its standard input instead.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import trio

from extensions.settlement import operations as ops
from extensions.settlement.books import open_books
from extensions.settlement.check import check
from extensions.settlement.commit import Log
from protocol.identity import SigningKey
from storage.ledger import SqliteLedger, open_ledger
from storage.ledger_base import Batch, Decide, Facts, Fenced, JournalRow
from storage.sqlite import unix_ms
from tests.support.ledger_random import owner

LOG = Log("kill", SigningKey(b"k" * 32), b"s" * 32)
BATCH = 200
RAIL = ops.rail_account("mint")
FOUNDING = (
    ops.OpenLedger(b"l", "EUR", 2),
    ops.Open(b"r", RAIL, "EUR", ops.Kind.RAIL),
    ops.Open(b"a", owner(1), "EUR"),
    ops.Open(b"b", owner(2), "EUR"),
    ops.Issue(b"i", RAIL, owner(1), "EUR", 2, 10**12),
)
SNAPSHOT_EVERY = 1500  # so that kills hit transactions with a snapshot too


def transfers(batch: int) -> list[ops.Transfer]:
    """Batch number n: always the same operations."""
    return [ops.Transfer(b"%d/%d" % (batch, n), owner(1), owner(2), "EUR", 2, 1 + n % 7) for n in range(BATCH)]


# -- the child ---------------------------------------------------------------------------------------------------------
class Marked:
    """A ledger that says when a commit is ahead and when it is over."""

    def __init__(self, inner: SqliteLedger) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def transact(
        self, epoch: int, commits: int, ids: Collection[bytes], pendings: Collection[bytes], decide: Decide
    ) -> Batch:
        def marked(facts: Facts, now_ms: int) -> Batch:
            batch = decide(facts, now_ms)
            os.write(1, b"(\n")
            return batch

        batch = await self._inner.transact(epoch, commits, ids, pendings, marked)
        os.write(1, b")\n")
        return batch


async def child(file: Path, batches: Iterator[int]) -> None:
    """Submit; say what is acknowledged. The bank of batch n is also its cursor."""
    async with (
        open_ledger(file, clock_ms=unix_ms) as ledger,
        open_books(Marked(ledger), LOG, snapshot_every=SNAPSHOT_EVERY) as books,  # type: ignore[arg-type]
    ):
        await books.submit(*FOUNDING)
        os.write(1, b"R\n")
        for batch in batches:
            try:
                results = await books.submit(*transfers(batch), cursor=(b"in", b"%d" % batch))
            except Fenced:
                os.write(1, b"F\n")
                return
            assert all(result.code == 0 for (result,) in results), results
            os.write(1, b"A %d %d %d\n" % (batch, results[0][0].sequence, results[-1][0].sequence))


def main() -> None:
    """The child's command line."""
    lines = (int(line) for line in iter(sys.stdin.readline, ""))
    first = sys.argv[2]
    trio.run(child, Path(sys.argv[1]), lines if first == "-" else iter(range(int(first), 1 << 30)))


# -- the parent --------------------------------------------------------------------------------------------------------
def start(file: Path, first: str) -> subprocess.Popen[bytes]:
    """A child at work."""
    command = [sys.executable, "-m", "tests.support.ledger_kill", str(file), first]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


def line_of(process: subprocess.Popen[bytes]) -> bytes:
    """The next line that a child writes; empty when it is gone."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


@dataclass(slots=True)
class Tally:
    """What a run has shown."""

    rounds: int = 0
    inside: int = 0  # kills between the decision and the end of the transaction
    acknowledged: int = 0  # different batches
    resent: int = 0  # batches that were acknowledged before and were sent again
    survived: int = 0  # of those in the journal at the end: operations

    def line(self) -> str:
        """For people."""
        return (
            f"{self.rounds} kills, {self.inside} of them inside a commit; {self.acknowledged} batches of {BATCH}"
            f" acknowledged, {self.resent} sent again: 0 lost, 0 doubled, {self.survived} operations in the journal"
        )


def run(rounds: int, seed: int) -> Tally:
    """Kill a child ``rounds`` times. Raises AssertionError if anything was lost or doubled, or a round got nowhere."""
    chance, tally = random.Random(seed), Tally()
    acknowledged: dict[int, tuple[int, int]] = {}
    with TemporaryDirectory() as folder:
        file = Path(folder, "ledger.db")
        for _ in range(rounds):
            before = len(acknowledged)
            first = max(0, max(acknowledged, default=-1) - chance.randrange(3))
            _round(start(file, str(first)), chance, acknowledged, tally)
            assert len(acknowledged) > before, "a round that acknowledged nothing new shows nothing"
        _audit(file, acknowledged, tally)
    return tally


def _round(
    process: subprocess.Popen[bytes], chance: random.Random, acknowledged: dict[int, tuple[int, int]], tally: Tally
) -> None:
    fresh, wanted, inside = 0, chance.randrange(1, 6), chance.random() < 0.6
    lines: list[bytes] = []
    while fresh < wanted:
        lines.append(line_of(process))
        assert lines[-1], "the child ended by itself"
        fresh += _heard(lines[-1], acknowledged, tally)
    if inside:
        while lines[-1] != b"(":
            lines.append(line_of(process))
            _heard(lines[-1], acknowledged, tally)
        time.sleep(chance.random() * 0.003)  # how far into the commit is chance, and nothing depends on it
    else:
        time.sleep(chance.random() * 0.01)
    process.send_signal(signal.SIGKILL)
    assert process.stdout is not None
    rest = [line.strip() for line in process.stdout]
    for line in rest:
        _heard(line, acknowledged, tally)
    _close(process)
    assert process.returncode == -signal.SIGKILL, "it must have died of the kill and of nothing else"
    marks = [line for line in (*lines, *rest) if line in (b"(", b")")]
    tally.inside += marks[-1] == b"("
    tally.rounds += 1


def _close(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    streams: tuple[IO[bytes] | None, ...] = (process.stdin, process.stdout)
    for stream in streams:
        if stream is not None:
            stream.close()


def _heard(line: bytes, acknowledged: dict[int, tuple[int, int]], tally: Tally) -> int:
    """1 for a batch that was never acknowledged before; one that was must get the sequences that it had."""
    if not line.startswith(b"A "):
        return 0
    batch, first, last = map(int, line.split()[1:])
    if batch in acknowledged:
        assert acknowledged[batch] == (first, last), f"batch {batch} was decided twice"
        tally.resent += 1
        return 0
    acknowledged[batch] = (first, last)
    tally.acknowledged += 1
    return 1


def _audit(file: Path, acknowledged: dict[int, tuple[int, int]], tally: Tally) -> None:
    connection = sqlite3.connect(file)
    rows = [
        JournalRow(*row)
        for row in connection.execute("SELECT sequence, id, ends, body, leaf FROM ledger_journal ORDER BY sequence")
    ]
    (cursor,) = connection.execute("SELECT cursor FROM ledger_cursors").fetchone()
    connection.close()
    audit = check(rows, LOG.secret)
    assert audit.problems == (), audit.problems
    ids = {row.id: row.sequence for row in rows}
    assert len(ids) == len(rows)
    batches, rest = divmod(len(rows) - len(FOUNDING), BATCH)
    assert rest == 0, "a batch is in the journal in part"
    for batch, (first, last) in acknowledged.items():
        names = [operation.id for operation in transfers(batch)]
        assert [ids[names[0]], ids[names[-1]]] == [first, last], f"batch {batch} was lost"
    moved = batches * sum(operation.amount for operation in transfers(0))
    assert audit.balances["EUR", owner(2)] == (0, 0, 0, moved)
    assert int(cursor) >= max(acknowledged) - 2, "the cursor is behind what was acknowledged"
    tally.survived = len(rows)


if __name__ == "__main__":
    main()
