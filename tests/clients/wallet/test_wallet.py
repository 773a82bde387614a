"""A wallet against a real worker on a real relay."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.wallet import WalletError
from protocol.messages.pay import State
from protocol.money import MoneyError
from tests.support import settlement_life as life
from tests.support.settlement import open_bank
from tests.support.workers import until


async def test_everything_a_person_does(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 10_000), await bank.person("bob")
        await life.questions(bank, alice, bob)
        talk = await bob.pair(alice.account)
        asked = await bob.wallet.request(talk.topic, "EUR", 300, least=100)
        await until(lambda: asked in alice.wallet.book.requests, "the request")
        with pytest.raises(WalletError, match="does not allow"):
            await alice.wallet.pay_request(asked, 50)
        paid = await alice.wallet.pay_request(asked, 200)
        assert paid.state == State.SETTLED
        await until(lambda: bob.wallet.request_of(asked)[0].state == "paid", "the receipt")
        part = await bob.wallet.refund(paid.operation, 50)
        assert part.state == State.SETTLED
        with pytest.raises(WalletError, match="came to you"):
            await alice.wallet.refund(paid.operation)
        second = await bob.wallet.request(talk.topic, "EUR")
        await until(lambda: second in alice.wallet.book.requests, "the request")
        await alice.wallet.decline(second, "no")
        await until(lambda: bob.wallet.request_of(second)[0].state == "declined", "the refusal")
        third = await bob.wallet.request(talk.topic, "EUR", 5)
        await until(lambda: third in alice.wallet.book.requests, "the request")
        with pytest.raises(WalletError, match="only whoever asked"):
            await alice.wallet.cancel(third)
        await bob.wallet.cancel(third)
        await until(lambda: alice.wallet.request_of(third)[0].state == "cancelled", "the cancellation")
        assert alice.wallet.amount("1.50", "EUR") == 150
        assert alice.wallet.shown(150, "EUR") == "1.50 EUR"
        assert len(alice.wallet.requests) == 3
        assert alice.wallet.payments[0].state == State.SETTLED
        with pytest.raises(MoneyError):
            alice.wallet.amount("1.505", "EUR")
        got = next(p for p in bob.wallet.payments if not p.signed)
        with pytest.raises(WalletError, match="nothing to ask"):
            await bob.wallet.ask_again(got.operation)


async def test_what_cannot_be_done(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, dora = await bank.person("alice", 10), await bank.person("dora", wallet=False)
        assert dora.wallet.shown(5, "EUR") == "5 EUR"
        with pytest.raises(WalletError, match="no wallet is open"):
            _ = dora.wallet.home
        with pytest.raises(WalletError, match="knows no payment"):
            alice.wallet.payment(b"x")
        with pytest.raises(WalletError, match="no wallet in X"):
            alice.wallet.exponent("X")
        with pytest.raises(WalletError, match="no such request"):
            alice.wallet.request_of(b"h")
        with pytest.raises(WalletError, match="no wallet in"):
            await alice.wallet.open("XYZ", timeout_s=0.01)
        await bank.running.crash()
        for silent in (alice.wallet.balance, alice.wallet.history):
            with pytest.raises(WalletError, match="does not answer"):
                await silent(timeout_s=0.01)
        topic = alice.wallet.home.topic
        alice.engine.shelf.conversations[topic].status = 6
        with pytest.raises(WalletError, match="not in that conversation"):
            await alice.wallet.request(topic, "EUR", 5)
        with pytest.raises(WalletError, match="is over"):
            await alice.wallet.balance(timeout_s=0.01)
