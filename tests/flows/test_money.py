"""Money from end to end: relay, settlement worker and wallets, each with its own keys, in one process."""

from __future__ import annotations

from pathlib import Path

import trio

from protocol.messages.pay import State
from tests.support.settlement import free, open_bank
from tests.support.workers import until


async def test_asked_paid_received_and_given_back(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 10_000), await bank.person("bob")
        talk = await bob.pair(alice.account)
        asked = await bob.wallet.request(talk.topic, "EUR", 1250, memo="lunch")
        await until(lambda: asked in alice.wallet.book.requests, "the request")
        paid = await alice.wallet.pay_request(asked)
        assert paid.state == State.SETTLED
        await until(lambda: paid.operation in bob.wallet.book.payments, "the payment")
        await until(lambda: bob.wallet.payment(paid.operation).receipt, "the receipt")
        got = bob.wallet.payment(paid.operation)
        assert (got.state, got.amount, got.payer) == (State.SETTLED, 1250, alice.account)
        assert bob.wallet.request_of(asked)[0].state == "paid"
        back = await bob.wallet.refund(paid.operation)
        assert back.state == State.SETTLED
        await until(lambda: alice.wallet.payment(paid.operation).state == State.REVERSED, "the refund")
        assert (await alice.wallet.balance())["EUR"][1] == 10_000
        assert free(bob.wallet) == 0 or (await bob.wallet.balance())["EUR"][1] == 0
        assert await alice.wallet.audit() == ""
        assert await bank.audit() == []
        assert bank.sum() == 10_000
        await trio.lowlevel.checkpoint()
