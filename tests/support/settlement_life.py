"""A day of a bank, in acts that several tests share."""

from __future__ import annotations

from clients.client import Client
from clients.wallet import Payment
from protocol.messages import pay as P
from protocol.messages.pay import State
from tests.support.money import answers, ask
from tests.support.settlement import Bank, free
from tests.support.workers import until


async def pays(one: Client, other: Client, amount: int = 100) -> Payment:
    """A payment that both have heard of, with its receipt."""
    await one.pair(other.account)
    paid = await one.wallet.pay(other.account, amount, "EUR", memo="tea")
    assert paid.state == State.SETTLED, paid
    await until(lambda: paid.operation in other.wallet.book.payments, "the payment")
    await until(lambda: other.wallet.payment(paid.operation).receipt, "the receipt")
    return paid


async def questions(bank: Bank, alice: Client, bob: Client) -> None:
    """Balance, history, proofs, and questions that are none."""
    paid = await pays(alice, bob)
    assert [(e.amount, e.other) for e in (await bob.wallet.history()).entries][-1] == (100, alice.account)
    assert (await bob.wallet.balance())["EUR"][1] == 100
    assert await bob.wallet.audit() == ""
    count = len(answers(bob))
    topic = bob.wallet.home.topic
    await bob.conversation(topic).send(P.Query(what="proof", old=10**6))
    await until(lambda: len(answers(bob)) > count, "an empty proof")
    assert bob.wallet.alarm == ""
    await bob.conversation(topic).send(P.Query(what="weather"))
    again = await alice.wallet.ask_again(paid.id)
    assert again.state == State.SETTLED


async def waits_and_claims(bank: Bank, alice: Client, dora: Client) -> None:
    """Money for somebody without a wallet, who opens one; somebody else who does not."""
    await bank.meet(alice, dora)
    held = await alice.wallet.pay(dora.account, 50, "EUR")
    assert held.state == State.HELD
    assert (await alice.wallet.ask_again(held.operation)).state == State.HELD
    short = await alice.wallet.pay(dora.account, 7, "EUR", claim_ms=200)
    await until(lambda: alice.wallet.payment(short.operation).state == State.EXPIRED, "the expiry")
    assert (await alice.wallet.ask_again(short.operation)).state == State.EXPIRED
    refused = await alice.wallet.pay(dora.account, 7, "EUR", claim_ms=0)
    assert refused.state == State.FAILED
    await until(lambda: held.operation in dora.wallet.book.payments, "the receipt")
    await dora.wallet.open("EUR")
    await until(lambda: free(dora.wallet) == 50, "the claim")
    await until(lambda: alice.wallet.payment(held.operation).state == State.SETTLED, "the news")
    assert (await alice.wallet.ask_again(held.operation)).state == State.SETTLED
    back = await dora.wallet.refund(held.operation)
    assert back.state == State.SETTLED
    await alice.wallet.ask_again(held.operation)
    await until(lambda: alice.wallet.payment(held.operation).state == State.REVERSED, "the refund")


async def elsewhere(bank: Bank, alice: Client, bob: Client) -> None:
    """Commands outside of the payer's own conversation, and unknown currencies."""
    group = await alice.group([bank.account, bob.account], "three")
    await until(lambda: len(group.in_group()) == 3, "the group")
    await alice.conversation(group.topic).send(P.Open(ledger="EUR"))
    await alice.conversation(group.topic).send(P.Query(what="balance"))
    await until(lambda: any(isinstance(b, P.Status) and b.code == 12 for b in answers(alice)), "the refusal")
    assert (await ask(alice, P.Open(ledger="XYZ")))[1] == 1033


__all__ = ["elsewhere", "pays", "questions", "waits_and_claims"]
