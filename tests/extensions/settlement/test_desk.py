"""The desk: batches from the inbox into the books."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.connection import Refusal as Refused
from extensions.settlement import bounds, orders
from extensions.settlement.desk import Desk, rounds
from extensions.settlement.intents import Asked, Cancelling, Intent, Opening, Refusal
from protocol.frames import Err
from protocol.messages import pay as P
from protocol.payments import PayCode
from storage.base import StoreAway
from storage.ledger_base import Fenced as LedgerFenced
from tests.support import money_stakes as stakes
from tests.support import settlement_cases as cases
from tests.support import settlement_life as life
from tests.support.money import answers, ask
from tests.support.settlement import open_bank
from tests.support.workers import until


def asked(topic: int, number: int = 1) -> Asked:
    return Asked(b"a" * 32, bytes([topic]) * 32, bytes([number]) * 16, number, b"w" * 32)


def test_what_touches_the_same_is_decided_in_order() -> None:
    one, two = Cancelling(asked(1, 1), b"i", b"r"), Cancelling(asked(2, 2), b"i", b"r")
    behind = Refusal(asked(2, 3), b"i", PayCode.EXPIRED)
    free = Refusal(asked(3, 4), b"i", PayCode.EXPIRED)
    assert rounds([one, two, behind, free]) == [[one, free], [two, behind]]
    assert rounds([]) == []


def test_rounds_fit_a_commit() -> None:
    many: list[Intent] = [Opening(Asked(bytes([n]) * 32, b"t", b"i", n, b"w"), "EUR") for n in range(20)]
    made = rounds(many)
    assert sum(map(len, made)) == 20
    assert max(map(len, made)) * (bounds.CLAIMS_MAX + 1) <= bounds.ROUND_WEIGHT_MAX


async def test_a_day(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 10_000), await bank.person("bob")
        await life.questions(bank, alice, bob)
        await life.elsewhere(bank, alice, bob)
        await cases.requests(bank, alice, bob, await bank.person("carol", 1000))
        assert await bank.audit() == []


async def test_troubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "RETRY_MS", 1)
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 10_000), await bank.person("bob")
        (desk,) = bank.settlement._desks.values()
        fails = [Refused(Err(1, 429, "slowly", 1)), StoreAway("away")]
        real_fetch, real_cursors = desk._engine.directory.fetch, desk._books.cursors

        async def fetch(*arguments: object) -> None:
            if fails and isinstance(fails[0], Refused):
                raise fails.pop(0)
            await real_fetch(*arguments)  # type: ignore[arg-type]

        async def cursors(sources: object) -> dict[bytes, bytes]:
            if fails and isinstance(fails[0], StoreAway):
                raise fails.pop(0)
            return await real_cursors(sources)  # type: ignore[arg-type]

        monkeypatch.setattr(desk._engine.directory, "fetch", fetch)
        monkeypatch.setattr(desk._books, "cursors", cursors)
        await life.pays(alice, bob)
        assert not [fail for fail in fails if isinstance(fail, Refused)]
        monkeypatch.setattr("extensions.settlement.desk.read", lambda asked, body: 1 / 0)
        assert (await ask(alice, P.Open(ledger="EUR")))[1] == PayCode.INTERNAL


async def test_somebody_else_took_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_bank(tmp_path) as bank:
        alice = await bank.person("alice", 10)
        (desk,) = bank.settlement._desks.values()

        async def gone(sources: object) -> dict[bytes, bytes]:
            raise LedgerFenced("taken over")

        monkeypatch.setattr(desk._books, "cursors", gone)
        count = len(answers(alice))
        alice.wallet.book.ask_balance()
        await until(lambda: len(bank.running.processes) > 1, "the next process")
        await until(lambda: len(answers(alice)) > count, "the answer of the next process")


async def test_rubbish_for_a_checkpoint_stops_nobody(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice = await bank.person("alice", 10)
        (desk,) = bank.settlement._desks.values()
        assert isinstance(desk, Desk)
        desk._confronted.clear()
        count = len(answers(alice))
        topic = alice.wallet.home.topic
        await alice.conversation(topic).send(P.Query(what="balance", checkpoint=b"rubbish"))
        await until(lambda: len(answers(alice)) > count, "the answer")
        assert not desk.stopped.is_set()


async def test_the_operator_decides_a_dispute(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        (desk,) = bank.settlement._desks.values()
        payment = (await life.pays(alice, bob, 100)).operation
        order = orders.Order("resolve", b"o" * 16, "", amount=40, memo=payment)
        assert (await desk.arbitrate(order)).code == PayCode.DISPUTE_NOT_FOUND
        await alice.wallet.dispute(payment, 100, "no")
        assert (await desk.arbitrate(order)).code == 0
        account = bank.books.account("EUR", bob.account)
        assert account is not None
        assert (account.balance, account.debits_pending) == (60, 0)


async def test_stakes_are_paid_when_their_window_has_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TICK_S", 0.01)
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob", 1000)
        await stakes.match_is_paid(bank, alice, bob)
        assert bank.sum() == 2000
