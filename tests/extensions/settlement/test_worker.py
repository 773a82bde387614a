"""The worker as a whole: one process with the books, crashes, orders of the operator, and when it goes no further."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from extensions.errors import WorkerError
from extensions.settlement import bounds, orders
from extensions.settlement.worker import FILE, log_of, make_worker, open_the_books, worker
from protocol.identity import SigningKey
from protocol.receipts import Checkpoint, sign_checkpoint
from storage.base import StoreAway
from storage.ledger_base import Fenced as LedgerFenced
from storage.sqlite import unix_ms
from tests.support import settlement_life as life
from tests.support.settlement import open_bank, start_bank
from tests.support.workers import until


def test_what_it_says_of_itself() -> None:
    assert worker.manifest.name == make_worker().name == "settlement"
    assert "pay.authorize" in worker.consumes


async def test_orders_reach_it_through_its_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TICK_S", 0.01)
    async with open_bank(tmp_path) as bank:
        alice = await bank.person("alice", 1000)
        order = orders.Order("freeze", b"order", "EUR", account=alice.account)
        effects = bank.running.process.effects()
        effects.writes.append(orders.put(order))
        effects.commit(())
        vault = bank.running.vault
        await until(lambda: vault.query(orders.ANSWER, (msgspec.msgpack.encode(order),)), "the answer")
        assert (await alice.wallet.pay(bank.account, 5, "EUR", claim_ms=10**6)).code == 1053


async def test_a_crash_and_a_store_that_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TICK_S", 0.01)
    monkeypatch.setattr(bounds, "RETRY_MS", 1)
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        await bank.running.crash()
        again = await start_bank(bank.stage)
        away = [StoreAway("away"), StoreAway("away")]
        books = again.books
        real_outbox, real_due = books.outbox, books.is_due

        async def outbox(after: int, limit: int) -> object:
            if away:
                raise away.pop()
            return await real_outbox(after, limit)

        def due(now_ms: int) -> bool:
            if away:
                raise away.pop()
            return real_due(now_ms)

        monkeypatch.setattr(books, "outbox", outbox)
        monkeypatch.setattr(books, "is_due", due)
        await life.pays(alice, bob)
        await until(lambda: not away, "the store")
        assert again.sum() == 1000


@pytest.mark.parametrize("name", ["outbox", "is_due"])
async def test_fenced_means_begin_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(bounds, "TICK_S", 0.01)
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")

        def gone(*arguments: object) -> bool:
            raise LedgerFenced("taken over")

        monkeypatch.setattr(bank.books, name, gone)
        bank.settlement.wake()
        await until(lambda: len(bank.running.processes) > 1, "the next process")
        await until(lambda: bank.settlement.books is not None, "its books")
        await life.pays(alice, bob)


async def test_no_root_key_and_no_ledger(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        identity = bank.running.process.engine.shelf.identity
        with pytest.raises(WorkerError, match="root key"):
            log_of(msgspec.structs.replace(identity, root_seed=None))
        (tmp_path / FILE).write_bytes(b"no database at all" * 100)
        with pytest.raises(WorkerError):
            async with open_the_books(tmp_path / FILE, identity, unix_ms):
                pass


async def test_books_that_are_older_than_what_was_said_of_them(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        await bank.running.finish()
        file = tmp_path / "worker" / FILE
        old = file.read_bytes()
        again = await start_bank(bank.stage)
        await life.pays(alice, bob)
        await again.running.finish()
        file.write_bytes(old)
        for rest in list(file.parent.glob("ledger.db-*")):
            rest.unlink()
        running = await bank.stage.start(make_worker())
        await until(lambda: running.error is not None, "the refusal")
        assert "old backup" in str(running.error)


async def test_a_checkpoint_that_was_presented_is_not_forgotten(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice = await bank.person("alice", 1000)
        seed = bank.running.process.engine.shelf.identity.root_seed
        assert seed is not None
        ahead = sign_checkpoint(Checkpoint("settlement", 10**6, b"A" * 32, 1, 1), SigningKey(seed))
        alice.wallet.book.watches[bank.account].log.latest = ahead
        bank.settlement._desks[bank.running.process.engine]._confronted.clear()
        alice.wallet.book.ask_balance()
        await until(lambda: bank.running.error is not None, "the stop")
        again = await bank.stage.start(make_worker())
        await until(lambda: again.error is not None, "the refusal")
        assert "1000000 records" in str(again.error)
