"""Trouble from outside of a payment: revoked devices, closed accounts, clocks, poison, a worker that lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from clients.client import Client
from clients.devices.revoking import revoke
from extensions.settlement import desk as desk_module
from extensions.settlement import judge as judge_module
from extensions.settlement import voice as voice_module
from extensions.settlement.intents import Payment
from extensions.settlement.judge import Answer
from extensions.settlement.operations import decode_record
from protocol.identity import SigningKey
from protocol.ids import pair_topic
from protocol.messages import Body
from protocol.messages import pay as P
from protocol.messages.pay import State
from protocol.payments import LEDGER_CODES, PayCode
from protocol.receipts import sign_checkpoint
from tests.support.devices_proof import open_linked
from tests.support.money import answers, ask, fields, order_to_pay, outcomes, sign
from tests.support.proof import check
from tests.support.settlement import Bank
from tests.support.workers import until, until_all

FAILED = State.FAILED
SETTLED = (State.SETTLED, 0)
POISON = 13  # minor units


async def revoked_device(bank: Bank, home: Path, alice: Client, bob: Client) -> dict[str, Any]:
    """A device of the payer pays as long as it is on the list, and no more once it was taken off."""
    async with open_linked(home, "alice-2", bank.stage.relay.url, alice) as (second, _, _):
        stolen = second.engine.shelf.device
    early = sign(fields(alice, bob.account, 7), stolen)
    before = await ask(alice, P.Authorize(signed=early))
    check(before == SETTLED, f"a listed device: {before}")
    await revoke(alice, stolen.public)
    after = await ask(alice, P.Authorize(signed=sign(fields(alice, bob.account, 7), stolen)))
    check(after == (FAILED, PayCode.DEVICE_UNKNOWN), f"a revoked device: {after}")
    again = await ask(alice, P.Authorize(signed=early))
    check(again == SETTLED, f"what it had paid before: {again}")
    return {"revoked device": f"{after[0].name} {after[1]}"}


async def closed_account(bank: Bank, alice: Client, dora: Client) -> dict[str, Any]:
    """An account with an open pending is not closed; nothing of it is lost."""
    await bank.meet(alice, dora)
    held = await alice.wallet.pay(dora.account, 5, "EUR")
    check(held.state == State.HELD, f"money for nobody's wallet: {held}")
    for who in (alice, dora):
        done = await bank.order("close", account=who.account)
        check(done.code == 55, f"closing with an open pending: {done}")
    await dora.wallet.open("EUR")
    await until(lambda: alice.wallet.payment(held.operation).state == State.SETTLED, "the claim")
    back = await dora.wallet.refund(held.operation)
    check(back.state == State.SETTLED, f"the refund: {back}")
    done = await bank.order("close", account=dora.account)
    check(done.code == 0, f"closing an empty account: {done}")
    late = await order_to_pay(alice, dora.account, 5)
    check(late == (FAILED, LEDGER_CODES + 48), f"to a closed account: {late}")
    return {"closing with an open pending": 55, "to a closed account": late[1]}


class Clock:
    """A clock of the worker that somebody turns."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self.ahead_ms = 0

    def __call__(self) -> int:
        return self._clock_ms() + self.ahead_ms


async def clock_back(bank: Bank, clock: Clock, alice: Client, bob: Client, emil: Client) -> dict[str, Any]:
    """What expired stays expired when the worker's clock goes back, and its records never go back in time."""
    await bank.meet(alice, emil)
    held = await alice.wallet.pay(emil.account, 5, "EUR", claim_ms=60_000)
    check(held.state == State.HELD, f"money for nobody's wallet: {held}")
    clock.ahead_ms = 120_000
    await until(lambda: alice.wallet.payment(held.operation).state == State.EXPIRED, "the expiry")
    clock.ahead_ms = -3_600_000
    again = await alice.wallet.ask_again(held.operation)
    check(again.state == State.EXPIRED, f"after the clock went back: {again.state}")
    paid = await alice.wallet.pay(bob.account, 3, "EUR")
    check(paid.state == State.SETTLED, f"a payment after the clock went back: {paid}")
    await emil.wallet.open("EUR")
    check((await emil.wallet.balance())["EUR"][1] == 0, "an expired pending was claimed")
    times = [decode_record(row.body).at_ms for row in await bank.books.journal(0, 100_000)]
    check(times == sorted(times), "a record is older than the one before")
    return {"clock an hour back": "nothing unexpires"}


async def poison(bank: Bank, payers: list[Client], payee: Client, count: int) -> dict[str, Any]:
    """One item at which the program raises, among many that wait at the worker: all others are settled."""
    real = judge_module.judge

    def poisoned(intent: Any, facts: Any) -> Any:
        if isinstance(intent, Payment) and intent.authorization.amount == POISON:
            raise RuntimeError("a fault planted here")
        return real(intent, facts)

    before, share = bank.books.sequence, count // len(payers)
    heard = {payer.account: len(outcomes(payer)) for payer in payers}
    with patch.object(desk_module, "judge", poisoned):
        for payer in payers:
            topic = pair_topic(payer.account, payer.wallet.home.worker)
            for number in range(share):
                bad = payer is payers[0] and number == share // 2
                signed = sign(fields(payer, payee.account, POISON if bad else 1), payer.engine.shelf.device)
                payer.wallet.book.say(topic, P.Authorize(signed=signed))
        wanted = sum(heard.values()) + share * len(payers)
        await until_all(lambda: sum(len(outcomes(payer)) for payer in payers), wanted, "all answers")
    found = [outcome for payer in payers for outcome in outcomes(payer)[heard[payer.account] :]]
    settled = found.count(SETTLED)
    refused = [outcome for outcome in found if outcome != SETTLED]
    check(settled == count - 1, f"{settled} of {count} were settled")
    check([code for _, code in refused] == [PayCode.INTERNAL], f"the poisoned one: {refused}")
    check(bank.books.sequence == before + count - 1, "not every payment is in the books once")
    return {"settled beside the poisoned one": settled, "largest commit": bank.books.statistics().batch_max}


async def other_answer(bank: Bank, alice: Client, bob: Client) -> dict[str, Any]:
    """A worker that answers with another payment's receipt: the payer sees *unknown*, and asks again."""
    first = await alice.wallet.pay(bob.account, 4, "EUR")
    check(first.state == State.SETTLED, f"an honest answer: {first}")
    real = voice_module.body_of
    swapped: list[bytes] = []

    def lying(answer: Answer, receipt: Any, worker: bytes) -> Body:
        body = real(answer, receipt, worker)
        if isinstance(body, P.ReceiptOf) and answer.to == alice.account:
            swapped.append(answer.operation)
            return P.ReceiptOf(
                operation=answer.operation, state=body.state, worker=worker, log=body.log, receipt=first.receipt,
            )  # fmt: skip
        return body

    count = len(answers(alice))
    with patch.object(voice_module, "body_of", lying):
        second = await alice.wallet.pay(bob.account, 6, "EUR", timeout_s=0)
        await until(lambda: len(answers(alice)) > count and swapped, "the false answer")
        await alice.engine.shelf.journal.flushed()
        seen = alice.wallet.payment(second.operation)
        check(seen.state not in (State.SETTLED, State.FAILED), f"a receipt of another payment was believed: {seen}")
        shown = State(seen.state).name
        check(not seen.receipt, "a receipt of another payment was kept")
        other = await order_to_pay(bob, alice.account, 1)
        check(other == SETTLED, f"somebody else meanwhile: {other}")
    honest = await alice.wallet.ask_again(second.operation)
    check(honest.state == State.SETTLED, f"asked again: {honest}")
    return {"the receipt of another payment": shown, "asked again": State(honest.state).name}


async def two_histories(bank: Bank, alice: Client, bob: Client) -> dict[str, Any]:
    """A worker that shows each of two people a log of its own: the first request between them brings it to light."""
    key = bank.running.process.engine.shelf.identity.root_seed
    watch = alice.wallet.book.watches[bank.account]
    mine = watch._read(watch.newest)
    assert mine is not None
    assert key is not None
    lie = sign_checkpoint(msgspec.structs.replace(mine, root=b"L" * 32), SigningKey(key))
    bob.wallet.book.watches[bank.account].log.latest = lie
    talk = await bob.pair(alice.account)
    await bob.wallet.request(talk.topic, "EUR", 5)
    await until(lambda: alice.wallet.alarm, "the alarm")
    check(len(watch.log.evidence) == 2, "the two statements are not kept")
    return {"caught": True, "signed statements kept": len(watch.log.evidence)}
