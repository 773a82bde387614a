"""Disputes at the worker: every bad step with its code, the operator's decision, and time that runs out."""

from __future__ import annotations

from pathlib import Path

import pytest

from extensions.settlement import bounds, disputes
from extensions.settlement.codes import Code
from extensions.settlement.intents import Asked, Refusal
from extensions.settlement.judge import Answer, Facts
from extensions.settlement.operations import Result
from extensions.settlement.orders import Order
from protocol import limits as L
from protocol.disputes import What
from protocol.identity import SigningKey
from protocol.messages import dispute as D
from protocol.messages import pay as P
from protocol.messages.dispute import Stage
from protocol.messages.pay import State
from protocol.payments import PayCode
from tests.support import money_disputes as M
from tests.support.settlement import Bank, open_bank
from tests.support.settlement_life import pays

HOUR_MS = 3_600_000


async def test_bad_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        carol = await bank.person("carol")
        payment = (await pays(alice, bob, 400)).operation
        await M.refused(alice, M.step(alice, payment, What.EVIDENCE), PayCode.DISPUTE_NOT_FOUND)
        await M.refused(bob, M.step(bob, payment, What.OPEN, 400), PayCode.ORIGINAL_NOT_FOUND)
        await M.refused(alice, M.step(alice, b"n" * 48, What.OPEN, 400), PayCode.ORIGINAL_NOT_FOUND)
        await M.refused(alice, M.step(alice, payment, What.OPEN, 401), PayCode.DISPUTE_AMOUNT_WRONG)
        await M.refused(alice, M.step(alice, payment, What.OPEN, 0), PayCode.DISPUTE_AMOUNT_WRONG)
        await M.refused(alice, M.step(alice, payment, What.OPEN, 5, expires_ms=1), PayCode.EXPIRED)
        await M.refused(alice, M.step(alice, payment, What.OPEN, 5, worker=b"w" * 32), PayCode.FOREIGN_WORKER)
        await M.refused(alice, M.step(alice, payment, What.OPEN, 5, account=bob.account), PayCode.FOREIGN_PAYER)
        stranger = SigningKey(b"x" * 32)
        await M.refused(alice, M.step(alice, payment, What.OPEN, 5, key=stranger), PayCode.DEVICE_UNKNOWN)
        await M.refused(alice, D.Dispute(signed=b"rubbish"), PayCode.MALFORMED)
        monkeypatch.setattr(L, "DISPUTE_AFTER_MS", -HOUR_MS)
        await M.refused(alice, M.step(alice, payment, What.OPEN, 5), PayCode.DISPUTE_TOO_LATE)
        monkeypatch.undo()
        await alice.wallet.dispute(payment, 300, "why")
        await M.refused(alice, M.step(alice, payment, What.OPEN, 5), PayCode.DISPUTE_EXISTS)
        await M.refused(carol, M.step(carol, payment, What.EVIDENCE), PayCode.DISPUTE_NOT_YOURS)
        await M.refused(bob, M.step(bob, payment, What.WITHDRAW), PayCode.DISPUTE_NOT_YOURS)
        await M.refused(bob, M.step(bob, payment, What.OFFER, 301), PayCode.DISPUTE_AMOUNT_WRONG)
        await M.refused(bob, M.step(bob, payment, What.ACCEPT, 299), PayCode.DISPUTE_AMOUNT_WRONG)
        await M.refused(alice, M.step(alice, payment, What.ACCEPT, 0), PayCode.DISPUTE_AMOUNT_WRONG)
        assert (await bob.wallet.refund(payment, 100)).state == State.SETTLED
        await bank.order("issue", account=bob.account, exponent=2, amount=300)
        assert (await bob.wallet.refund(payment, 250)).state == State.SETTLED
        await M.refused(bob, M.step(bob, payment, What.ACCEPT, 300), PayCode.REFUND_TOO_LARGE)
        monkeypatch.setattr(L, "DISPUTE_STEPS_MAX", 1)
        await M.refused(bob, M.step(bob, payment, What.EVIDENCE), PayCode.DISPUTE_TOO_LONG)
        monkeypatch.undo()
        same = M.step(bob, payment, What.OFFER, 50, text="all that is left")
        for _ in range(3):
            await bob.conversation(bob.wallet.home.topic).send(same)
        await M.heard(alice, payment, "all that is left")
        await alice.wallet.accept(payment, 50)
        assert [words for _, words in alice.wallet.disputes[0].words] == ["why", "all that is left"]
        await M.refused(alice, M.step(alice, payment, What.WITHDRAW), PayCode.DISPUTE_OVER)
        assert bank.sum() == 1300
        assert await bank.audit() == []


async def test_money_that_is_gone_cannot_be_frozen(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        payment = (await pays(alice, bob, 400)).operation
        await bob.wallet.pay(alice.account, 400, "EUR")
        body = M.step(alice, payment, What.OPEN, 400)
        await M.refused(alice, body, 1060)
        await M.refused(alice, body, 1060)
        waiting = await bank.person("dora", wallet=False)
        await bank.meet(alice, waiting)
        held = await alice.wallet.pay(waiting.account, 50, "EUR")
        await M.refused(alice, M.step(alice, held.operation, What.OPEN, 50), PayCode.ORIGINAL_NOT_FOUND)
        await waiting.wallet.open("EUR")
        case = await alice.wallet.dispute(held.operation, 50, "it was claimed")
        assert case.payee == waiting.account


async def resolve(bank: Bank, payment: bytes, amount: int) -> tuple[int, int]:
    desk = bank.settlement._desks[bank.running.process.engine]
    done = await desk.arbitrate(Order("resolve", b"o" * 16, "", amount=amount, memo=payment))
    return done.code, done.sequence


async def test_the_operator_decides_and_time_runs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TICK_S", 0.01)
    monkeypatch.setattr(L, "DISPUTE_MS", HOUR_MS)
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        first, second, third = [(await pays(alice, bob, 100)).operation for _ in range(3)]
        assert await resolve(bank, first, 10) == (PayCode.DISPUTE_NOT_FOUND, 0)
        for payment in (first, second, third):
            await alice.wallet.dispute(payment, 100, "no")
        assert await resolve(bank, first, 101) == (PayCode.DISPUTE_AMOUNT_WRONG, 0)
        assert (await resolve(bank, first, 30))[0] == 0
        assert (await resolve(bank, first, 30))[0] == 0  # it counts once
        assert await resolve(bank, first, 31) == (PayCode.DISPUTE_OVER, 0)
        assert (await resolve(bank, second, 0))[0] == 0
        for one in (alice, bob):
            await M.stage(one, first, Stage.DECIDED)
            await M.stage(one, second, Stage.DECIDED)
        bank.stage.ahead_ms = HOUR_MS + 1
        for one in (alice, bob):
            await M.stage(one, third, Stage.LAPSED)
        late = M.step(alice, third, What.EVIDENCE, expires_ms=bank.stage.clock_ms() + HOUR_MS)
        await M.refused(alice, late, PayCode.DISPUTE_OVER)
        assert (await bob.wallet.balance())["EUR"][1:3] == (270, 0)
        assert bank.sum() == 1000
        assert await bank.audit() == []


async def test_what_is_not_said(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        assert await disputes.told(bank.books, Answer(b"a" * 32, b"", "case", b"", b"n" * 48)) is None
    asked = Asked(b"a" * 32, b"t" * 32, b"i" * 16, 1, b"w" * 32)
    assert disputes.read(asked, P.Query(what="balance")) is None
    assert isinstance(disputes.read(asked, M.bare(asked.worker, asked.account)), Refusal)
    facts = Facts({}, {}, {}, 5, lambda ledger, owner: None, lambda id_: None, lambda ledger, owner: [])
    assert disputes.Arbitrating(asked, b"i" * 16, b"p" * 48, 1).judge(facts).chains == ()
    case = disputes.Case(b"p" * 48, b"o" * 48, b"a" * 32, b"b" * 32, "EUR", 2, 5, 5, 9)
    late = disputes.end(case, 5, Stage.AGREED, facts, asked, b"s" * 16, "")
    (answer,) = late.says([(Result(Code.PENDING_EXPIRED),)])
    assert answer.code == 1000 + Code.PENDING_EXPIRED
    assert late.notes([(Result(Code.PENDING_EXPIRED),)]) == ()
