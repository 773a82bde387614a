"""What messages mean to a wallet: what it believes, and what it does not."""

from __future__ import annotations

from pathlib import Path

import msgspec

from clients.client import Client
from clients.events import Received
from clients.wallet.book import Book, is_final
from protocol.messages import Body, compose
from protocol.messages import pay as P
from protocol.messages.pay import State
from tests.support import settlement_life as life
from tests.support.money import fields, sign
from tests.support.settlement import open_bank
from tests.support.workers import until


def hear(client: Client, body: Body | bytes, account: bytes, topic: bytes = b"t" * 32) -> None:
    """As if somebody had said it."""
    content = body if isinstance(body, bytes) else compose(body)
    client.wallet.book.heard(
        Received(topic=topic, offset=1, id=b"m" * 16, account=account, device=b"d" * 32, ts=1, content=content)
    )


async def test_life(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, dora = await bank.person("alice", 1000), await bank.person("dora", wallet=False)
        await life.waits_and_claims(bank, alice, dora)
        await alice.engine.shelf.journal.flushed()
        again = Book(alice.engine)  # as after a restart
        assert again.payments.keys() == alice.wallet.book.payments.keys()
        assert again.home == alice.wallet.book.home
        assert [is_final(p) for p in again.payments.values()].count(False) == 0


async def test_what_is_not_believed(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        paid = await life.pays(alice, bob)
        home, book = bob.wallet.home, bob.wallet.book
        count = len(book.payments)
        good = P.ReceiptOf(
            operation=paid.operation, state=State.SETTLED, worker=bank.account, log="settlement", receipt=paid.receipt
        )
        hear(bob, b"pay. rubbish", alice.account)
        hear(bob, msgspec.msgpack.encode({"t": "pay.new", "v": 1, "b": {}}), alice.account)
        for lie in (
            msgspec.structs.replace(good, receipt=b"rubbish"), msgspec.structs.replace(good, operation=b"o" * 48),
            msgspec.structs.replace(good, state=State.HELD), msgspec.structs.replace(good, worker=b"w" * 32),
        ):  # fmt: skip
            assert book.checked(lie) is None
            hear(bob, lie, alice.account)
            hear(bob, lie, home.worker, home.topic)
        assert len(book.payments) == count
        before = book.payments.pop(paid.operation)
        hear(bob, good, bank.account, b"another topic" + bytes(19))  # the worker, elsewhere
        assert paid.operation not in book.payments
        hear(bob, good, b"s" * 32)  # somebody else's receipt
        assert paid.operation not in book.payments
        hear(bob, good, home.worker, home.topic)
        assert book.payments[paid.operation].amount == before.amount
        del book.payments[paid.operation]
        book.home = msgspec.structs.replace(home, worker=b"w" * 32)
        hear(bob, good, alice.account)  # of a worker that is not ours
        assert paid.operation not in book.payments
        book.home = home
        request = P.Request(payee=b"x" * 32, worker=home.worker, ledger="EUR", exponent=2, expires_ms=9)
        hear(bob, request, alice.account)  # for somebody else's pocket
        hear(bob, msgspec.structs.replace(request, payee=alice.account, payer=alice.account), alice.account)
        hear(bob, P.Decline(request=b"r" * 32), alice.account)
        assert book.requests == {}


async def test_a_receipt_for_other_terms_is_an_alarm(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        paid = await life.pays(alice, bob)
        home, payment = alice.wallet.home, alice.wallet.payment(paid.operation)
        payment.amount = 99
        payment.state = State.UNKNOWN
        hear(alice, P.ReceiptOf(
            operation=paid.operation, state=State.SETTLED, worker=bank.account, log="settlement", receipt=paid.receipt
        ), home.worker, home.topic)  # fmt: skip
        assert payment.state == State.UNKNOWN


async def test_what_another_device_of_ours_did(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        signed = sign(fields(alice, bob.account), alice.engine.shelf.device)
        hear(alice, P.Authorize(signed=signed), alice.account)
        hear(alice, P.Authorize(signed=b"rubbish"), alice.account)
        (payment,) = alice.wallet.payments
        assert (payment.payee, payment.state) == (bob.account, State.UNKNOWN)
        assert (await alice.wallet.ask_again(payment.operation)).state == State.SETTLED


async def test_money_that_is_only_told_of(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        bob = await bank.person("bob")
        home = bob.wallet.home
        entry = P.Entry(5, 6, "transfer", "EUR", 70, b"a" * 32, b"o" * 48)
        hear(bob, P.History(entries=(entry,)), home.worker, home.topic)
        assert bob.wallet.payment(b"o" * 48).amount == 70
        bob.wallet.payment(b"o" * 48).state = State.HELD
        hear(bob, P.History(entries=(entry,)), home.worker, home.topic)
        assert bob.wallet.payment(b"o" * 48).state == State.SETTLED
        bob.wallet.book.say(b"nowhere" + bytes(25), P.Query(what="balance"))
        await until(lambda: True)
