"""The facade: group commit, backpressure, fencing, commits of unknown outcome, receipts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from extensions.settlement import bounds
from extensions.settlement import operations as ops
from extensions.settlement.books import Books, open_books
from extensions.settlement.check import check
from extensions.settlement.codes import Code
from extensions.settlement.restart import BooksBroken, load
from protocol.identity import SigningKey
from protocol.receipts import (
    Checkpoint,
    ReceiptError,
    open_checkpoint,
    sign_checkpoint,
    verify_consistency,
    verify_receipt,
)
from storage.base import StoreAway
from storage.ledger import open_ledger
from storage.ledger_base import Batch, Decide, Fenced, Head, Outgoing, Rejected
from storage.memory_ledger import MemoryLedger
from tests.extensions.settlement.test_commit import LOG
from tests.support.ledger_desk import ANN, BOB, RAIL
from tests.support.ledger_random import START_MS, balances

FOUNDING = (
    ops.OpenLedger(b"f1", "EUR", 2),
    ops.Open(b"f2", RAIL, "EUR", ops.Kind.RAIL),
    ops.Open(b"f3", ANN, "EUR"),
    ops.Open(b"f4", BOB, "EUR"),
    ops.Issue(b"f5", RAIL, ANN, "EUR", 2, 10_000),
)


class Faulty(MemoryLedger):
    """A ledger whose database fails as it is told to: each fault once, in order."""

    def __init__(self) -> None:
        super().__init__(clock_ms=lambda: START_MS)
        self.faults: list[str] = []
        self.heads_away = 0

    async def head(self) -> Head:
        if self.heads_away:
            self.heads_away -= 1
            raise StoreAway("cannot be read either")
        return await super().head()

    async def transact(
        self, epoch: int, commits: int, ids: Collection[bytes], pendings: Collection[bytes], decide: Decide
    ) -> Batch:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "lost before":
            raise StoreAway("the disk is full")
        if fault == "poison" and b"poison" in ids:
            self.faults.insert(0, fault)
            raise Rejected("CHECK constraint failed")
        batch = await super().transact(epoch, commits, ids, pendings, decide)
        if fault == "taken over after":
            await self.take_over()
        if fault in ("lost after", "taken over after"):
            raise StoreAway("no answer to COMMIT")
        if fault == "poison":
            self.faults.insert(0, fault)
        return batch


def pay(name: bytes, amount: int = 1) -> ops.Transfer:
    return ops.Transfer(name, ANN, BOB, "EUR", 2, amount)


@pytest.fixture
def ledger() -> Faulty:
    return Faulty()


@pytest.fixture
async def books(ledger: Faulty) -> AsyncIterator[Books]:
    async with open_books(ledger, LOG) as opened:
        await opened.submit(*FOUNDING)
        yield opened


async def codes(books: Books, *items: ops.Operation | ops.Chain) -> list[Code]:
    return [result.code for results in await books.submit(*items) for result in results]


async def test_submit_answers_when_it_is_durable(ledger: Faulty, books: Books) -> None:
    results = await books.submit(
        pay(b"1", 5), (pay(b"2"), pay(b"3", 99_999)), cursor=(b"in", b"7"),
        outbox=lambda results: [Outgoing(b"m", ANN, b"%d" % len(results))],
    )  # fmt: skip
    assert [[r.code for r in chain] for chain in results] == [[Code.OK], [Code.LINKED_FAILED, Code.EXCEEDS_CREDITS]]
    assert await books.cursor(b"in") == b"7"
    (waiting,) = await books.outbox(0, 9)
    assert waiting.outgoing.body == b"2"
    await books.acknowledge([waiting.number])
    assert await books.outbox(0, 9) == []
    account = books.account("EUR", ANN)
    assert account is not None
    assert account.balance == 9995
    account.debits_posted = 0  # a copy
    assert balances(books._state)["EUR", ANN] == (0, 5, 0, 10_000)
    assert books.account("EUR", b"nobody") is None
    assert books.time_ms == START_MS


async def test_what_waits_goes_into_one_commit(ledger: Faulty, books: Books) -> None:
    before = (await ledger.head()).commits
    async with trio.open_nursery() as nursery:
        for n in range(50):
            nursery.start_soon(books.submit, pay(b"%d" % n))
    statistics = books.statistics()
    assert (await ledger.head()).commits == before + 1
    assert (statistics.batch_max, statistics.queued, statistics.operations) == (50, 0, 55)
    assert await codes(books, pay(b"0"), pay(b"1", 2)) == [Code.OK, Code.ID_REUSED]
    assert books.statistics().repeats == 2


async def test_a_full_queue_makes_callers_wait(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "QUEUE_OPERATIONS_MAX", 10)
    monkeypatch.setattr(bounds, "BATCH_OPERATIONS_MAX", 4)
    most = 0

    async def one(n: int) -> None:
        nonlocal most
        await books.submit(pay(b"%d" % n))
        most = max(most, books.statistics().queued)

    async with trio.open_nursery() as nursery:
        for n in range(40):
            nursery.start_soon(one, n)
    assert most <= 10
    assert books.statistics().sequence == 45
    with pytest.raises(ValueError, match="5 operations at once"):
        await books.submit(*[pay(b"x%d" % n) for n in range(5)])


async def test_with_nothing_to_do_only_what_is_due_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [START_MS]
    ledger = MemoryLedger(clock_ms=lambda: now[0])
    monkeypatch.setattr(bounds, "EXPIRIES_MAX", 2)
    async with open_books(ledger, LOG, expired=lambda record, held: [Outgoing(held.id, ANN, b"back")]) as books:
        await books.submit(*FOUNDING)
        await books.submit(*[ops.Pending(b"p%d" % n, ANN, BOB, "EUR", 2, 5, START_MS + 10) for n in range(5)])
        now[0] += 10
        assert await books.submit() == []
        assert books.statistics().pendings == 0
        assert len(await ledger.outbox(0, 9)) == 5
        journal = await ledger.journal(0, 100)
        state = books._state
    assert check(journal, LOG.secret, balances=balances(state)).problems == ()


async def test_who_is_taken_over_says_so_and_stops(ledger: Faulty, books: Books) -> None:
    await ledger.take_over()
    with pytest.raises(Fenced):
        await books.submit(pay(b"1"))
    with pytest.raises(Fenced):
        await books.submit(pay(b"2"))
    assert (await ledger.head()).sequence == len(FOUNDING)


async def test_a_commit_that_failed_changes_nothing_and_may_be_tried_again(ledger: Faulty, books: Books) -> None:
    ledger.faults = ["lost before"]
    with pytest.raises(StoreAway, match="disk is full"):
        await books.submit(pay(b"1"))
    assert balances(books._state)["EUR", ANN] == (0, 0, 0, 10_000)
    assert await codes(books, pay(b"1")) == [Code.OK]


async def test_a_commit_whose_answer_is_lost_is_looked_up(ledger: Faulty, books: Books, autojump_clock: object) -> None:
    ledger.faults, ledger.heads_away = ["lost after"], 2
    assert await codes(books, pay(b"1")) == [Code.OK]
    assert await codes(books, pay(b"1"), pay(b"2")) == [Code.OK, Code.OK]
    assert books.statistics().resolved == 1
    assert books.statistics().sequence == len(FOUNDING) + 2


async def test_an_outcome_that_cannot_be_found_out_closes_the_books(
    ledger: Faulty, books: Books, autojump_clock: object
) -> None:
    ledger.faults, ledger.heads_away = ["lost after"], bounds.RESOLVE_TRIES
    with pytest.raises(StoreAway, match="no answer"):
        await books.submit(pay(b"1"))
    with pytest.raises(StoreAway, match="restart"):
        await books.submit(pay(b"2"))
    async with open_books(ledger, LOG) as again:
        assert await codes(again, pay(b"1")) == [Code.OK]
        assert again.statistics().sequence == len(FOUNDING) + 1


async def test_taken_over_while_the_answer_was_lost(ledger: Faulty, books: Books) -> None:
    ledger.faults = ["taken over after"]
    with pytest.raises(Fenced, match="ask there"):
        await books.submit(pay(b"1"))


async def test_what_the_wall_refuses_is_found_and_the_others_go_on(ledger: Faulty, books: Books) -> None:
    ledger.faults = ["poison"]
    outcomes: dict[bytes, Code] = {}

    async def one(name: bytes) -> None:
        (outcomes[name],) = await codes(books, pay(name))

    async with trio.open_nursery() as nursery:
        for name in (b"1", b"poison", b"2"):
            nursery.start_soon(one, name)
    assert outcomes == {b"1": Code.OK, b"poison": Code.INTERNAL, b"2": Code.OK}
    assert books.statistics().isolated == 1


async def test_what_waits_at_the_end_is_committed_and_then_nothing_is_taken(ledger: Faulty) -> None:
    done: list[Code] = []

    async def late() -> None:
        done.extend(await codes(opened, pay(b"late")))

    async with trio.open_nursery() as nursery, open_books(ledger, LOG) as opened:
        await opened.submit(*FOUNDING)
        nursery.start_soon(late)
        await trio.testing.wait_all_tasks_blocked()
    assert done == [Code.OK]
    with pytest.raises(StoreAway, match="closed"):
        await opened.submit(pay(b"x"))


async def test_whoever_waits_when_the_writer_is_cancelled_is_told(ledger: Faulty) -> None:
    told: list[Exception] = []

    async def waiter(books: Books) -> None:
        try:
            await books.submit(pay(b"1"))
        except StoreAway as error:
            told.append(error)

    head = await ledger.take_over()
    books = Books(ledger, LOG, head, await load(ledger, head), None, 1000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiter, books)
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            scope.cancel()
            await books.run()
    assert ["unknown" in str(error) for error in told] == [True]


# -- receipts ----------------------------------------------------------------------------------------------------------
async def test_receipts_and_consistency(ledger: Faulty, books: Books) -> None:
    ((result,),) = await books.submit(pay(b"1", 5))
    receipt = await books.receipt(result.sequence)
    early = verify_receipt(receipt, LOG.key.public, "mint")
    record = ops.decode_record(receipt.body)
    assert (record.operation, record.amount) == (pay(b"1", 5), 5)
    await books.submit(*[pay(b"m%d" % n) for n in range(20)])
    signed, proof = await books.consistency(early.size)
    late = open_checkpoint(signed, LOG.key.public, "mint")
    assert verify_consistency(early.size, early.root, late.size, late.root, proof)
    for bad in (0, -1, 10_000):
        with pytest.raises(KeyError):
            await books.receipt(bad)


async def test_a_checkpoint_ahead_of_the_books_shows_that_an_old_backup_was_restored(books: Books) -> None:
    size = books.statistics().sequence
    signed, _ = await books.consistency(1)
    own = open_checkpoint(signed, LOG.key.public, "mint")
    await books.confront(signed)
    with pytest.raises(BooksBroken, match="differ"):  # no commit ended there: the root is made from the receipts
        await books.confront(sign_checkpoint(replace(own, size=1), LOG.key))
    other = sign_checkpoint(replace(own, root=bytes(32)), LOG.key)
    assert await books.strangers([signed, b"rubbish", other]) == [other]
    with pytest.raises(BooksBroken, match="old backup"):
        await books.confront(sign_checkpoint(Checkpoint("mint", size + 1, bytes(32), 1, 1), LOG.key))
    with pytest.raises(BooksBroken, match="differ"):
        await books.confront(sign_checkpoint(replace(own, root=bytes(32)), LOG.key))
    with pytest.raises(ReceiptError):
        await books.confront(sign_checkpoint(own, SigningKey(b"x" * 32)))


async def test_on_sqlite(tmp_path: Path) -> None:
    for round_ in range(3):
        async with (
            open_ledger(tmp_path / "ledger.db", clock_ms=lambda: START_MS) as ledger,
            open_books(ledger, LOG, snapshot_every=20) as books,
        ):
            await books.submit(*FOUNDING)
            chains = [(pay(b"%d/%d" % (round_, n)), pay(b"x%d/%d" % (round_, n))) for n in range(300)]
            assert set(await codes(books, *chains)) == {Code.OK}
            receipt = await books.receipt(round_ * 600 + 300)
            root = verify_receipt(receipt, LOG.key.public, "mint").root
            journal = await ledger.journal(0, 10_000)
            audit = check(journal, LOG.secret, root=root, balances=balances(books._state))
            assert audit.problems == ()
            assert audit.records == 5 + (round_ + 1) * 600


async def test_what_the_worker_asks_of_them() -> None:
    ledger = MemoryLedger(clock_ms=lambda: 10)
    async with open_books(ledger, LOG) as books:
        assert await books.checkpoint() == b""
        assert await books.receipts([1]) == {}
        one, two = b"1" * 32, b"2" * 32
        rail = ops.rail_account("mint")
        await books.submit(
            ops.OpenLedger(b"l", "EUR", 2), ops.Open(b"r", rail, "EUR", ops.Kind.RAIL), ops.Open(b"a", one, "EUR"),
            ops.Open(b"b", two, "EUR"), ops.Issue(b"i", rail, one, "EUR", 2, 100),
            ops.Pending(b"p", one, two, "EUR", 2, 30, 50),
            notes=lambda results: [(b"note", b"%d" % len(results))],
        )  # fmt: skip
        assert await books.cursors([b"note", b"other"]) == {b"note": b"6"}
        assert set(await books.records([b"i", b"x"])) == {b"i"}
        assert (books.exponent("EUR"), books.exponent("USD"), books.ledgers()) == (2, None, {"EUR": 2})
        assert [held.id for held in books.held_for("EUR", two)] == [b"p"]
        assert books.held_for("EUR", one) == []
        assert books.held(b"p") is not None
        assert books.held(b"q") is None
        assert books.sequence == len(await books.journal(0, 100)) == 6
        assert (books.is_due(49), books.is_due(50)) == (False, True)
        found = await books.receipts([2, 5, 99])
        assert set(found) == {2, 5}
        for receipt in found.values():
            assert verify_receipt(receipt, LOG.key.public, LOG.name).size == 6
        with pytest.raises(ValueError, match="6 records, not 9"):
            await books.consistency(1, 9)
        checkpoint, _ = await books.consistency(1, 3)
        assert checkpoint == b""  # none was signed at that size
