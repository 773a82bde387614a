"""Money that waits, killed payers and workers, poison, old backups, and a worker that tells two stories."""

from __future__ import annotations

from pathlib import Path

import pytest

from extensions.settlement import desk as desk_module
from extensions.settlement import judge as judge_module
from extensions.settlement.intents import Payment
from protocol.identity import SigningKey
from protocol.messages.pay import State
from protocol.payments import PayCode
from protocol.receipts import Checkpoint, sign_checkpoint
from tests.support import settlement_trouble as trouble
from tests.support.money import order_to_pay
from tests.support.settlement import free, open_bank, start_bank
from tests.support.workers import until


async def test_money_waits_for_somebody_without_a_wallet(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, dora = await bank.person("alice", 1000), await bank.person("dora", wallet=False)
        await bank.meet(alice, dora)
        paid = await alice.wallet.pay(dora.account, 300, "EUR", memo="welcome")
        assert paid.state == State.HELD
        await until(lambda: paid.operation in dora.wallet.book.payments, "the receipt in their own conversation")
        await dora.wallet.open("EUR")
        await until(lambda: free(dora.wallet) == 300, "the claim")
        await until(lambda: alice.wallet.payment(paid.operation).state == State.SETTLED, "the news")
        assert await bank.audit() == []


async def test_nobody_claims_it(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, dora = await bank.person("alice", 1000), await bank.person("dora", wallet=False)
        await bank.meet(alice, dora)
        paid = await alice.wallet.pay(dora.account, 300, "EUR", claim_ms=1500)
        assert paid.state == State.HELD
        await until(lambda: alice.wallet.payment(paid.operation).state == State.EXPIRED, "the expiry")
        assert (await alice.wallet.balance())["EUR"][1] == 1000
        again = await alice.wallet.ask_again(paid.operation)
        assert again.state == State.EXPIRED
        assert await bank.audit() == []


async def test_a_payer_killed_before_the_answer_asks_again_and_pays_once(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        paid = await alice.wallet.pay(bob.account, 100, "EUR", timeout_s=0)
        for _ in range(20):
            paid = await alice.wallet.ask_again(paid.operation)
        assert paid.state == State.SETTLED
        assert bank.books.account("EUR", bob.account).balance == 100  # type: ignore[union-attr]
        assert bank.sum() == 1000


async def test_a_worker_that_crashes_after_the_books_says_it_once(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        await bank.running.crash()
        paid = await alice.wallet.pay(bob.account, 100, "EUR", timeout_s=0)
        assert paid.state == State.UNKNOWN
        again = await start_bank(bank.stage)
        assert (await alice.wallet.outcome(paid.operation)).state == State.SETTLED
        assert again.sum() == 1000
        assert await again.audit() == []


async def test_a_poison_item_harms_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = judge_module.judge

    def poisoned(intent: object, facts: object) -> object:
        if isinstance(intent, Payment) and intent.authorization.amount == 13:
            raise RuntimeError("poison")
        return real(intent, facts)  # type: ignore[arg-type]

    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        monkeypatch.setattr(desk_module, "judge", poisoned)
        assert await order_to_pay(alice, bob.account, 13) == (State.FAILED, PayCode.INTERNAL)
        assert await order_to_pay(alice, bob.account, 14) == (State.SETTLED, 0)


async def test_two_histories_are_found_out(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        await trouble.two_histories(bank, alice, bob)


async def test_books_behind_a_checkpoint_go_no_further(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice = await bank.person("alice", 1000)
        seed = bank.running.process.engine.shelf.identity.root_seed
        assert seed is not None
        ahead = sign_checkpoint(Checkpoint("settlement", 10**6, b"A" * 32, 1, 1), SigningKey(seed))
        alice.wallet.book.watches[bank.account].log.latest = ahead
        bank.settlement._desks[bank.running.process.engine]._confronted.clear()
        alice.wallet.book.ask_balance()
        await until(lambda: bank.running.error is not None, "the stop")
        assert "old backup" in str(bank.running.error)
