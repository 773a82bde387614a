"""Red packets at the worker: every bad one with its code, retries, and shares that come back."""

from __future__ import annotations

from pathlib import Path

import pytest

from extensions.settlement import bounds
from extensions.settlement import operations as ops
from extensions.settlement.codes import Code
from extensions.settlement.intents import Asked
from extensions.settlement.packets import Claiming, Funding, is_share, kept, read, share_id, told
from protocol.ids import pair_topic
from protocol.messages import packet as K
from protocol.messages import pay as P
from protocol.messages.pay import State
from protocol.payments import LEDGER_CODES, PayCode, open_authorization, operation_id
from tests.support import money_together as T
from tests.support.money import answers, ask, fields, sign
from tests.support.settlement import open_bank
from tests.support.workers import until

FAILED = State.FAILED


def test_shares_are_numbered_behind_the_packet() -> None:
    assert share_id(b"p" * 48, 0) == b"p" * 48
    assert [is_share(share_id(b"p" * 48, n)) for n in range(3)] == [False, True, True]
    assert kept({}, b"p" * 48) is None


async def test_bad_packets_bad_claims_and_repetitions(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 10_000), await bank.person("bob")
        carol = await bank.person("carol")
        topic = await T.group_of(bank, alice, bob, carol)
        await T.bad_fundings(alice, [bob.account, carol.account])
        assert bank.books.account("EUR", alice.account).balance == 10_000  # type: ignore[union-attr]
        found = await T.bad_claims(alice, bob, carol, topic)
        assert set(found.values()) == {65, 66, 67, 68}
        message = T.funding(alice, [bob.account], amount=7, shares=2)
        for _ in range(3):
            assert await ask(alice, message) == (State.HELD, 0)
        assert bank.sum() == 10_000
        assert await bank.audit() == []


async def test_ids_stand_for_one_thing(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        first = T.funding(alice, [bob.account], amount=7, shares=2)
        assert await ask(alice, first) == (State.HELD, 0)
        paid = sign(fields(alice, bob.account, 5), alice.engine.shelf.device)
        assert await ask(alice, P.Authorize(signed=paid)) == (State.SETTLED, 0)
        asked = Asked(alice.account, pair_topic(alice.account, bank.account), b"m" * 16, 10**6, bank.account)
        same_id = read(asked, K.Fund(signed=paid, terms=first.terms, seed=first.seed))
        assert isinstance(same_id, Funding)
        assert await ask(alice, K.Fund(signed=paid, terms=first.terms, seed=first.seed)) == (FAILED, PayCode.ID_REUSED)
        got = await ask(bob, K.Claim(operation=same_id.payment.operation, id=b"c" * 16))
        assert got == (FAILED, PayCode.PACKET_NOT_FOUND)
        paid_id = sign(fields(bob, alice.account, 5, id=b"d" * 16), bob.engine.shelf.device)
        assert await ask(bob, P.Authorize(signed=paid_id)) == (State.SETTLED, 0)
        got = await ask(bob, K.Claim(operation=first_operation(alice.account, first), id=b"d" * 16))
        assert got == (FAILED, PayCode.ID_REUSED)
        early = T.funding(alice, [bob.account], amount=7, shares=2)
        now_ms = alice.engine.shelf.clock_ms()
        later = fields(alice, b"p" * 32, not_before_ms=now_ms + 3 * T.DAY_MS, expires_ms=now_ms + 4 * T.DAY_MS)
        signed = sign(later, alice.engine.shelf.device)
        assert await ask(alice, K.Fund(signed=signed, terms=early.terms)) == (State.PENDING, PayCode.NOT_YET)


def first_operation(payer: bytes, message: K.Fund) -> bytes:
    return operation_id(payer, open_authorization(message.signed)[0].id)


async def test_accounts_that_cannot_take_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TICK_S", 0.01)
    async with open_bank(tmp_path) as bank:
        await bank.order("open", "points", exponent=0)
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        await bank.meet(alice, bob)
        topic = (await alice.pair(bob.account)).topic
        packet = await T.give(alice, topic, [bob], 10, 3)
        await bank.order("freeze", account=bob.account)
        claim = K.Claim(operation=packet.operation, id=b"c" * 16)
        assert await ask(bob, claim) == (FAILED, LEDGER_CODES + Code.CREDIT_FROZEN)
        await bank.order("unfreeze", account=bob.account)
        assert await ask(bob, claim) == (FAILED, LEDGER_CODES + Code.CREDIT_FROZEN)
        assert (await T.take(bob, packet)).state == State.SETTLED
        pending = share_id(packet.operation, 1)
        assert await told(bank.books, pending) is None
        end = await told(bank.books, share_id(packet.operation, 2))
        assert end is not None
        assert [claimed.member for claimed in end.claimed] == [bob.account]
        assert await told(bank.books, b"n" * 48) is None
        bank.stage.ahead_ms = T.DAY_MS // 2
        poor = await T.give(alice, topic, [alice, bob], 10, 1)
        assert poor.terms.expires_ms > bank.stage.clock_ms()
        bank.stage.ahead_ms = T.DAY_MS + 1
        await until(lambda: any(isinstance(b, K.Shares) for b in answers(alice)), "the end")
        late = await ask(bob, K.Claim(operation=packet.operation, id=b"e" * 16))
        assert late == (FAILED, PayCode.PACKET_CLAIMED)
        await alice.wallet.ask_again(packet.operation)
        assert bank.sum() == 1000


async def test_without_a_wallet_there_is_no_share(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        await bank.order("open", "points", exponent=0)
        alice, bob = await bank.person("alice", 1000), await bank.person("bob", ledger="points", wallet=False)
        await bob.wallet.open("points")
        await bank.meet(alice, bob)
        packet = await T.give(alice, (await alice.pair(bob.account)).topic, [bob], 10, 1)
        claim = K.Claim(operation=packet.operation, id=b"c" * 16)
        assert await ask(bob, claim) == (FAILED, PayCode.WALLET_NOT_OPEN)


def test_what_the_ledger_failed_at_may_be_tried_again() -> None:
    asked = Asked(b"m" * 32, b"t" * 32, b"i" * 16, 1, b"w" * 32)
    give = ops.Transfer(b"o" * 48, b"p" * 32, b"m" * 32, "EUR", 2, 5)
    answer = Claiming(asked, b"i" * 16, b"o" * 48)._answer(give, ops.Result(Code.INTERNAL))
    assert (answer.state, answer.code) == (State.UNKNOWN, PayCode.INTERNAL)
