"""What every durable side of the ledger promises; imported by the tests of each backend, which give `ledger`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from protocol.limits import INT_MAX
from protocol.receipts import Frontier, inclusion_proof, leaf_hash, verify_inclusion
from storage.bounds import TREE_LEVEL_MIN
from storage.ledger_base import AccountRow, Batch, Facts, Fenced, Head, JournalRow, Ledger, Outgoing, Rejected, Snapshot

OWNER = b"o" * 32
ACCOUNT = AccountRow("EUR", OWNER, 0, 0, 0, 0, 10, 20, 5, 100)


def row(sequence: int, **fields: Any) -> JournalRow:
    values = {"id": b"id%d" % sequence, "ends": None, "body": b"body%d" % sequence, "leaf": leaf(sequence), **fields}
    return JournalRow(sequence, **values)


def leaf(sequence: int) -> bytes:
    return leaf_hash(bytes(32), b"%d" % sequence)


async def write(
    ledger: Ledger, batch: Batch, *, head: Head | None = None, ids: Sequence[bytes] = (), ends: Sequence[bytes] = ()
) -> Facts:
    """Write as the holder of the head; the facts that the decision was given."""
    seen: list[Facts] = []

    def decide(facts: Facts, now_ms: int) -> Batch:
        seen.append(facts)
        return batch

    head = head or await ledger.head()
    assert await ledger.transact(head.epoch, head.commits, ids, ends, decide) == batch
    return seen[0]


async def test_an_empty_ledger(ledger: Ledger) -> None:
    assert await ledger.head() == Head(0, 0, 0, 0, 0)
    assert await ledger.snapshot() == Snapshot(0, [], [], [])
    assert await ledger.journal(0, 10) == []
    assert await ledger.checkpoint() is None
    assert await ledger.cursor(b"inbox") is None
    assert await ledger.outbox(0, 10) == []


async def test_a_batch_is_there_as_a_whole(ledger: Ledger) -> None:
    head = await ledger.take_over()
    assert (head.epoch, head.commits) == (1, 1)
    said = Outgoing(b"m1", b"ann", b"paid")
    rows = [row(1), row(2, id=None, ends=b"p"), row(3)]
    await write(ledger, Batch(50, rows, [said], [(b"inbox", b"7")], checkpoint=b"cp3"))
    assert await ledger.head() == Head(1, 3, 2, 50, 0)
    assert await ledger.journal(0, 10) == rows
    assert await ledger.journal(1, 1) == rows[1:2]
    assert [waiting.outgoing for waiting in await ledger.outbox(0, 10)] == [said]
    assert await ledger.cursor(b"inbox") == b"7"
    assert await ledger.checkpoint() == await ledger.checkpoint(3) == b"cp3"
    assert await ledger.checkpoint(2) is None
    assert await ledger.checkpoints({2, 3, 2**53}) == {b"cp3"}


async def test_many_cursors_and_lines_at_once(ledger: Ledger) -> None:
    await ledger.take_over()
    await write(ledger, Batch(1, [row(1), row(2)], cursors=[(b"a", b"1"), (b"b", b"2")]))
    assert await ledger.cursors([b"a", b"b", b"c"]) == {b"a": b"1", b"b": b"2"}
    assert await ledger.records([b"id2", b"nobody"]) == [row(2)]
    assert await ledger.cursors([]) == {}
    assert await ledger.records([]) == []


async def test_the_decision_is_given_what_the_journal_knows(ledger: Ledger) -> None:
    await ledger.take_over()
    await write(ledger, Batch(1, [row(1), row(2, id=None, ends=b"p")]))
    facts = await write(ledger, Batch(1), ids=[b"id1", b"new"], ends=[b"p", b"q"])
    assert (list(facts.known), list(facts.ended)) == ([b"body1"], [b"body2"])


async def test_who_was_taken_over_writes_nothing(ledger: Ledger) -> None:
    first = await ledger.take_over()
    await ledger.take_over()
    with pytest.raises(Fenced, match="taken the ledger over"):
        await write(ledger, Batch(1, [row(1)]), head=first)
    with pytest.raises(Fenced):
        await ledger.acknowledge(first.epoch, [1])
    assert (await ledger.head()).sequence == 0


async def test_who_missed_a_commit_writes_nothing(ledger: Ledger) -> None:
    head = await ledger.take_over()
    await write(ledger, Batch(1, [row(1)]))
    with pytest.raises(Rejected, match="without being heard of"):
        await write(ledger, Batch(1, [row(2)]), head=head)


@pytest.mark.parametrize(
    "rows",
    [
        [row(3)],
        [row(2), row(4)],
        [row(1)],
        [row(2, id=b"id1")],
        [row(2), row(3, id=b"id2")],
        [row(2, ends=b"p")],
        [row(2, ends=b"q"), row(3, ends=b"q")],
    ],
)
async def test_the_wall_of_the_journal(ledger: Ledger, rows: list[JournalRow]) -> None:
    await ledger.take_over()
    await write(ledger, Batch(1, [row(1, ends=b"p")]))
    before = await ledger.head()
    with pytest.raises(Rejected, match="refused the batch"):
        await write(ledger, Batch(2, rows, [Outgoing(b"m", b"d", b"b")], [(b"inbox", b"9")]))
    assert len(await ledger.journal(0, 10)) == 1
    assert await ledger.outbox(0, 10) == []
    assert await ledger.cursor(b"inbox") is None
    assert (await ledger.head()).sequence == before.sequence


@pytest.mark.parametrize(
    "fields",
    [
        {"debits_posted": 100},
        {"credits_posted": -1},
        {"credits_posted": INT_MAX + 1},
        {"kind": 1},
        {"status": 2},
        {"status": 2, "debits_pending": 0, "credits_pending": 0},
    ],
)
async def test_the_wall_of_the_accounts(ledger: Ledger, fields: dict[str, int]) -> None:
    await ledger.take_over()
    with pytest.raises(Rejected, match="refused the batch"):
        await write(ledger, Batch(1, [row(1)], snapshot=Snapshot(1, accounts=[replace(ACCOUNT, **fields)])))
    assert (await ledger.snapshot()).accounts == []
    await write(ledger, Batch(1, [row(1)], snapshot=Snapshot(1, accounts=[ACCOUNT])), head=await ledger.head())


async def test_a_snapshot_takes_in_what_has_changed(ledger: Ledger) -> None:
    await ledger.take_over()
    rail = AccountRow("EUR", b"r" * 32, 1, 0, 0, 0, 0, 100, 0, 100)
    closed = AccountRow("EUR", b"z" * 32, 0, 2, 0, 0, 0, 7, 0, 7)
    first = Snapshot(1, [("EUR", 2)], [ACCOUNT, rail, closed], [(b"p", b"held"), (b"q", b"held")])
    await write(ledger, Batch(1, [row(1)], snapshot=first))
    changed = replace(ACCOUNT, debits_posted=30)
    second = Snapshot(2, [("EUR", 2), ("points", 0)], [changed], [(b"q", b"held"), (b"r", b"new")], [b"p", b"x"])
    await write(ledger, Batch(1, [row(2)], snapshot=second))
    found = await ledger.snapshot()
    assert found.sequence == (await ledger.head()).snapshot == 2
    assert sorted(found.ledgers) == [("EUR", 2), ("points", 0)]
    assert list(found.accounts) == [changed, rail, closed]
    assert sorted(found.held) == [(b"q", b"held"), (b"r", b"new")]


async def test_the_outbox_is_read_on_from_and_forgotten(ledger: Ledger) -> None:
    head = await ledger.take_over()
    said = [Outgoing(b"m%d" % n, b"ann", b"%d" % n) for n in range(5)]
    await write(ledger, Batch(1, outbox=said[:3]))
    await write(ledger, Batch(1, outbox=said[2:]))  # one of them waits already
    waiting = await ledger.outbox(0, 10)
    assert [entry.outgoing for entry in waiting] == said
    assert [entry.outgoing for entry in await ledger.outbox(waiting[1].number, 2)] == said[2:4]
    await ledger.acknowledge(head.epoch, [entry.number for entry in waiting[:4]])
    await ledger.acknowledge(head.epoch, [waiting[0].number])
    assert await ledger.outbox(0, 10) == waiting[4:]
    await write(ledger, Batch(1, outbox=said[:1]))
    assert (await ledger.outbox(0, 10))[-1].number > waiting[4].number


async def test_cursors_are_apart_and_the_last_one_counts(ledger: Ledger) -> None:
    await ledger.take_over()
    await write(ledger, Batch(1, cursors=[(b"a", b"1"), (b"b", b"1"), (b"a", b"2")]))
    assert (await ledger.cursor(b"a"), await ledger.cursor(b"b")) == (b"2", b"1")


async def test_the_ledgers_time_never_runs_backwards(ledger: Ledger) -> None:
    await ledger.take_over()
    await write(ledger, Batch(9, [row(1)]))
    await write(ledger, Batch(5, [row(2)]))
    assert (await ledger.head()).time_ms == 9


async def test_every_receipt_can_be_proved(ledger: Ledger) -> None:
    await ledger.take_over()
    frontier, size = Frontier(), 300
    nodes = [node for n in range(1, size + 1) for node in frontier.append(leaf(n), TREE_LEVEL_MIN)]
    await write(ledger, Batch(1, [row(n) for n in range(1, size + 1)], nodes=nodes))
    for index in (0, 1, 255, 256, 299):
        proof = await ledger.tree(lambda node, index=index: inclusion_proof(index, size, node))  # type: ignore[misc]
        assert verify_inclusion(leaf(index + 1), index, size, proof, frontier.root())
    for level, index in ((0, size), (3, 40), (8, 1), (9, 0)):
        with pytest.raises(KeyError):
            await ledger.tree(lambda node, level=level, index=index: node(level, index))  # type: ignore[misc]
