"""From what is durable back to the same books, with any distance between snapshots."""

from __future__ import annotations

import random

import pytest

from extensions.settlement import bounds
from extensions.settlement import operations as ops
from extensions.settlement.books import open_books
from extensions.settlement.commit import account_row
from extensions.settlement.restart import BooksBroken, check_sums, load
from extensions.settlement.state import Account, State
from storage.ledger_base import Batch, Facts, JournalRow, Snapshot
from storage.memory_ledger import MemoryLedger
from tests.extensions.settlement.test_commit import LOG
from tests.support.ledger_random import START_MS, World, balances, operation, owner


@pytest.mark.parametrize("every", [1, 7, 100, 10**9])
async def test_the_books_are_the_same_after_a_restart(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "REPLAY_ROWS", 50)
    world, now = World(random.Random(every)), [START_MS]
    ledger = MemoryLedger(clock_ms=lambda: now[0])
    for round_ in range(4):
        async with open_books(ledger, LOG, snapshot_every=every) as books:
            if round_ == 0:
                await books.submit(*map(operation, world.founding()))
            for _ in range(4):
                batch, now[0] = world.batch()
                await books.submit(*[tuple(map(operation, chain)) for chain in batch])
            state, frontier = books._state, books._frontier
        again, tree, _ = await load(ledger, await ledger.head())
        assert balances(again) == balances(state)
        assert again.accounts == state.accounts
        assert again.pendings == state.pendings
        assert (again.ledgers, again.sequence, again.time_ms) == (state.ledgers, state.sequence, state.time_ms)
        assert tree.root() == frontier.root()
        assert len(again.due(10**15)) == len(state.pendings)


async def test_a_journal_with_a_hole_is_not_loaded() -> None:
    ledger = MemoryLedger(clock_ms=lambda: START_MS)
    async with open_books(ledger, LOG) as books:
        await books.submit(ops.OpenLedger(b"l", "EUR", 2), ops.Open(b"o", owner(1), "EUR"))
    del ledger._journal[0]
    with pytest.raises(BooksBroken, match="no line 1"):
        await load(ledger, await ledger.head())
    ledger._journal.clear()
    with pytest.raises(BooksBroken, match="no line 1"):
        await load(ledger, await ledger.head())


async def test_books_whose_sums_differ_are_not_loaded() -> None:
    ledger = MemoryLedger(clock_ms=lambda: START_MS)
    head = await ledger.take_over()
    rich = account_row(("EUR", owner(1)), Account(credits_posted=5))

    def decide(facts: Facts, now_ms: int) -> Batch:
        return Batch(now_ms, [JournalRow(1, None, None, b"", bytes(32))], snapshot=Snapshot(1, [("EUR", 2)], [rich]))

    await ledger.transact(head.epoch, head.commits, (), (), decide)
    with pytest.raises(BooksBroken, match="differ in EUR"):
        await load(ledger, await ledger.head())


def test_pending_sums_count_too() -> None:
    state = State()
    state.accounts["EUR", owner(1)] = Account(credits_pending=5)
    with pytest.raises(BooksBroken, match="EUR"):
        check_sums(state)
