"""One history for all: what convicts a worker, and what does not."""

from __future__ import annotations

import pytest

from clients.wallet import watch as module
from clients.wallet.records import KnownLog
from clients.wallet.watch import OPEN_MAX, Watch
from protocol.identity import SigningKey
from protocol.receipts import Checkpoint, Frontier, consistency_proof, leaf_hash, node_hash, sign_checkpoint

KEY = SigningKey(b"k" * 32)


class Log:
    """A worker's log, honest or not."""

    def __init__(self, word: bytes = b"") -> None:
        self.leaves = [leaf_hash(bytes(32), word * (n > 3) + b"%d" % n) for n in range(100)]

    def node(self, level: int, index: int) -> bytes:
        row = self.leaves[index << level : (index + 1) << level]
        while len(row) > 1:
            row = [node_hash(row[n], row[n + 1]) for n in range(0, len(row), 2)]
        return row[0]

    def signed(self, size: int) -> bytes:
        frontier = Frontier()
        for leaf in self.leaves[:size]:
            frontier.append(leaf)
        return sign_checkpoint(Checkpoint("log", size, frontier.root(), size, 1), KEY)

    def proof(self, old: int, to: int) -> tuple[bytes, ...]:
        return tuple(consistency_proof(old, to, self.node))


HONEST, OTHER = Log(), Log(b"x")


class Told:
    """A watch, with what it asked and said."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.said: list[str] = []
        self.now_ms = 10**9
        ask = lambda old, to: self.asked.append((old, to))  # noqa: E731
        self.watch = Watch(KnownLog(KEY.public, "log"), lambda: self.now_ms, ask, self.said.append)


def test_an_honest_worker() -> None:
    told = Told()
    watch = told.watch
    assert watch.newest == b""
    watch.prove()
    assert watch.shown_by_worker(HONEST.signed(10))
    assert watch.shown_by_worker(HONEST.signed(20))
    assert told.asked == [(10, 0)]
    watch.proof(10, 30, HONEST.signed(30), HONEST.proof(10, 30))
    assert watch.log.proved == HONEST.signed(30)
    watch.shown_by_others(HONEST.signed(40))
    assert told.asked[-1] == (30, 40)
    watch.proof(30, 40, b"", HONEST.proof(30, 40))
    assert watch.log.open == {}
    watch.shown_by_others(HONEST.signed(7))
    watch.proof(7, 40, HONEST.signed(40), HONEST.proof(7, 40))
    watch.proof(3, 4, b"", ())
    assert told.said == []
    assert watch.newest == HONEST.signed(20)


def test_two_roots_of_one_size() -> None:
    told = Told()
    told.watch.shown_by_worker(HONEST.signed(10))
    told.watch.shown_by_others(OTHER.signed(10))
    assert len(told.said) == 1
    assert set(told.watch.log.evidence) == {HONEST.signed(10), OTHER.signed(10)}
    assert not told.watch.shown_by_worker(OTHER.signed(10))
    assert len(told.said) == 1


def test_a_history_that_does_not_continue() -> None:
    told = Told()
    told.watch.shown_by_worker(HONEST.signed(10))
    told.watch.shown_by_others(OTHER.signed(20))
    assert told.asked == [(10, 20)]
    told.watch.proof(10, 20, OTHER.signed(20), OTHER.proof(10, 20))
    assert told.said
    assert told.watch.log.alarm


def test_what_is_no_checkpoint() -> None:
    told = Told()
    assert not told.watch.shown_by_worker(b"rubbish")
    foreign = sign_checkpoint(Checkpoint("log", 5, b"r" * 32, 1, 1), SigningKey(b"f" * 32))
    told.watch.shown_by_others(foreign)
    told.watch.proof(1, 5, foreign, ())
    assert told.said == []
    assert told.watch.newest == b""


def test_others_first_and_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    told.watch.shown_by_others(HONEST.signed(1))
    assert told.watch.log.proved == HONEST.signed(1)
    for size in range(2, OPEN_MAX + 5):
        told.watch.shown_by_others(HONEST.signed(size))
    assert len(told.watch.log.open) == OPEN_MAX
    told.watch.shown_by_others(HONEST.signed(OPEN_MAX))
    assert len(told.watch.log.open) == OPEN_MAX
    assert module.PROVE_EVERY_MS
