"""One transaction prepared: facts, isolation of what raises, receipts, snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from extensions.settlement import bounds, decide
from extensions.settlement import operations as ops
from extensions.settlement.apply import Results
from extensions.settlement.codes import Code
from extensions.settlement.commit import Changed, Log, Preparation, Prepared, Submission, Wanted
from extensions.settlement.operations import decode_record
from protocol.identity import SigningKey
from protocol.receipts import Frontier, leaf_hash, open_checkpoint, receipt_salt
from storage.ledger_base import Facts, Outgoing
from tests.support.ledger_desk import ANN, Desk

LOG = Log("mint", SigningKey(b"k" * 32), b"s" * 32)
NOTHING = Facts((), ())


def prepare(desk: Desk, *submissions: Submission, facts: Facts = NOTHING, **rest: Any) -> Prepared:
    values: dict[str, Any] = {"snapshot": 0, "snapshot_every": 1000, "changed": Changed(), **rest}
    frontier = Frontier(desk.state.sequence, [bytes(32)] * desk.state.sequence.bit_count())
    preparation = Preparation(desk.state, frontier, LOG, 3, submissions=submissions, **values)
    batch = preparation(facts, desk.now_ms)
    assert preparation.prepared is not None
    assert preparation.prepared.batch is batch
    return preparation.prepared


def one(*operations: object, **rest: Any) -> Submission:
    return Submission(tuple((operation,) for operation in operations), **rest)


def say(results: list[Results]) -> Sequence[Outgoing]:
    return [Outgoing(b"m%d" % n, b"d", result.code.name.encode()) for n, (result,) in enumerate(results)]


def test_what_is_wanted_is_what_is_named() -> None:
    desk = Desk()
    wanted = Wanted.of([one(desk.transfer(id=b"t"), ops.Post(b"p", b"q"), ops.Void(b"v", 5), object()), one()])  # type: ignore[arg-type]
    assert wanted == Wanted({b"t", b"p", b"v"}, {b"q"})
    assert Wanted.of([one(ops.Void(b"", b"w"), ops.Void([], b"w"))]) == Wanted()  # type: ignore[arg-type]


def test_rows_receipts_checkpoint_outbox_and_cursor_are_in_one_batch() -> None:
    desk = Desk()
    done = prepare(desk, one(desk.transfer(5), desk.transfer(5000), cursor=(b"in", b"9"), outbox=say))
    batch = done.batch
    assert [row.sequence for row in batch.journal] == [8, 9]
    assert [row.body for row in batch.outbox] == [b"OK", b"EXCEEDS_CREDITS"]
    assert batch.cursors == ((b"in", b"9"),)
    for row in batch.journal:
        assert row.leaf == leaf_hash(receipt_salt(LOG.secret, row.sequence - 1), row.body)
        assert decode_record(row.body).sequence == row.sequence
    assert batch.checkpoint is not None
    signed = open_checkpoint(batch.checkpoint, LOG.key.public, "mint")
    assert (signed.size, signed.root, signed.epoch) == (9, done.frontier.root(), 3)
    assert "ssss" not in repr(LOG)


def test_a_batch_that_records_nothing_has_no_checkpoint() -> None:
    done = prepare(Desk(), one(object()))
    assert done.batch.checkpoint is None
    assert done.batch.journal == []


def test_facts_of_the_journal_are_heard() -> None:
    desk = Desk()
    pending = desk.pending(10)
    desk.batch((pending,), (ops.Void(b"void", pending.id),))
    transfer = desk.transfer(5)
    original = desk.ask(transfer)
    bodies = [ops.encode_record(record) for record in desk.journal]
    done = prepare(desk, one(transfer, ops.Post(b"post", pending.id)), facts=Facts(bodies[-1:], bodies[-2:-1]))
    (((again,), (late,)),) = done.results
    assert again == original
    assert late.code is Code.PENDING_VOIDED
    assert done.repeats == 1


# -- what raises -------------------------------------------------------------------------------------------------------
@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the engine that hits what carries the memo `poison`, after it has moved money."""
    effect = decide.EFFECTS[ops.Transfer]

    def broken(books: Any, op: Any, sequence: int) -> int:
        amount = effect(books, op, sequence)
        if op.memo == b"poison":
            raise RuntimeError("a fault")
        return amount

    monkeypatch.setitem(decide.EFFECTS, ops.Transfer, broken)


@pytest.mark.usefixtures("poisoned")
def test_one_poisoned_item_in_a_thousand_stops_no_other() -> None:
    desk = Desk()
    submissions = [one(desk.transfer(1, memo=b"poison" if n == 500 else b""), outbox=say) for n in range(1000)]
    done = prepare(desk, *submissions)
    codes = [results[0][0].code for results in done.results]
    assert codes.count(Code.OK) == 999
    assert codes[500] is Code.INTERNAL
    assert done.isolated == 1
    assert len(done.batch.journal) == 999
    assert done.overlay.account(("EUR", ANN)).debits_posted == 999
    assert [record.sequence for record in done.overlay.journal] == list(range(8, 8 + 999))


@pytest.mark.usefixtures("poisoned")
def test_a_poisoned_chain_is_undone_and_the_rest_of_its_submission_is_not() -> None:
    desk = Desk()
    chain = (desk.transfer(1), desk.transfer(2, memo=b"poison"))
    done = prepare(desk, Submission((chain, (desk.transfer(4),))))
    assert [[result.code for result in results] for results in done.results[0]] == [[Code.INTERNAL] * 2, [Code.OK]]
    assert done.overlay.account(("EUR", ANN)).debits_posted == 4


def test_a_submission_whose_outbox_raises_is_undone() -> None:
    desk = Desk()

    def bad(results: list[Results]) -> Sequence[Outgoing]:
        raise KeyError("nothing to say")

    done = prepare(desk, one(desk.transfer(1), outbox=bad), one(desk.transfer(2), outbox=say), one(desk.transfer(4)))
    assert [results[0][0].code for results in done.results] == [Code.INTERNAL, Code.OK, Code.OK]
    assert done.overlay.account(("EUR", ANN)).debits_posted == 6
    assert len(done.batch.outbox) == 1


# -- expiry ------------------------------------------------------------------------------------------------------------
def test_what_expires_is_said_in_the_same_batch_and_a_fault_there_stops_nothing() -> None:
    desk = Desk()
    desk.batch((desk.pending(3, 10),), (desk.pending(4, 10),))
    desk.now_ms += 10

    def expired(record: ops.Record, held: Any) -> Sequence[Outgoing]:
        if held.amount == 4:
            raise ValueError("a fault")
        return [Outgoing(b"x", held.debit, b"%d" % record.amount)]

    done = prepare(desk, one(desk.transfer(1)), expired=expired)
    assert [row.body for row in done.batch.outbox] == [b"3"]
    assert len(done.batch.journal) == 3
    assert done.batch.journal[0].id is None
    assert done.batch.journal[0].ends is not None


def test_many_that_are_due_are_expired_first_in_batches_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "EXPIRIES_MAX", 2)
    desk = Desk()
    desk.batch(*[(desk.pending(1, 10),) for _ in range(3)])
    desk.now_ms += 10
    submission = one(desk.transfer(1), cursor=(b"in", b"1"))
    done = prepare(desk, submission)
    assert done.postponed
    assert (done.results, done.batch.cursors, len(done.batch.journal)) == ([], (), 2)
    desk.state.merge(done.overlay)
    done = prepare(desk, submission)
    assert not done.postponed
    assert len(done.batch.journal) == 2


# -- snapshots ---------------------------------------------------------------------------------------------------------
def test_a_snapshot_holds_what_has_changed() -> None:
    desk = Desk()
    kept, ended = desk.pending(5), desk.pending(6)
    desk.batch((kept,), (ended,))
    changed = Changed()
    changed.accounts.add(("EUR", ANN))
    changed.pendings.update((kept.id, ended.id))
    done = prepare(desk, one(ops.Void(desk.id(), ended.id)), changed=changed, snapshot_every=1)
    snapshot = done.batch.snapshot
    assert snapshot is not None
    assert snapshot.sequence == done.overlay.sequence
    assert snapshot.ledgers == [("EUR", 2)]
    assert next(iter(snapshot.accounts)).owner == ANN
    assert len(snapshot.accounts) == 2
    assert [id_ for id_, _ in snapshot.held] == [kept.id]
    assert snapshot.released == [ended.id]
