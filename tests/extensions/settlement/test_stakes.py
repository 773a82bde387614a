"""Stakes at the worker: every bad one and every bad result with its code, retries, and books that refuse."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from extensions.settlement import bounds, stakes
from extensions.settlement.codes import Code
from extensions.settlement.intents import Asked, Refusal
from extensions.settlement.judge import Facts
from extensions.settlement.operations import Result
from protocol import limits as L
from protocol.identity import SigningKey
from protocol.messages import stake as S
from protocol.messages.pay import State
from protocol.payments import LEDGER_CODES, PayCode
from protocol.stakes import Player, stake_hash
from tests.support import money_stakes as M
from tests.support.settlement import Bank, open_bank
from tests.support.workers import until

FAILED, PENDING = State.FAILED, State.PENDING
ASKED = Asked(b"a" * 32, b"t" * 32, b"i" * 16, 1, b"w" * 32)


def test_nothing_is_done_elsewhere() -> None:
    refused = stakes.read(ASKED, S.Result(stake=b"s" * 32, id=b"r" * 16, signed=b""))
    assert isinstance(refused, Refusal)
    malformed = stakes.read(ASKED, S.Stake(signed=b"", terms=b"x"))
    assert isinstance(malformed, Refusal)
    assert malformed.code is PayCode.MALFORMED
    assert stakes.due(None, 1, b"w" * 32) == []


async def test_bad_stakes(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob", 1000)
        carol = await bank.person("carol", 1000)
        raw = M.terms(bank, alice, bob)
        assert await M.put(carol, raw, 100) == (FAILED, PayCode.STAKE_MISMATCH)
        assert await M.put(alice, raw, 99) == (FAILED, PayCode.STAKE_MISMATCH)
        assert await M.put(alice, b"rubbish", 100) == (FAILED, PayCode.STAKE_MISMATCH)
        alone = M.terms(bank, alice, bob, players=(Player(alice.account, 100),))
        assert await M.put(alice, alone, 100) == (FAILED, PayCode.STAKE_TERMS_INVALID)
        now_ms = bank.stage.clock_ms()
        late = {"not_before_ms": now_ms - 10_000, "expires_ms": now_ms - 5_000}
        assert await M.put(alice, raw, 100, **late) == (FAILED, PayCode.EXPIRED)
        early = {"not_before_ms": now_ms + 48 * M.HOUR_MS, "expires_ms": now_ms + 49 * M.HOUR_MS}
        assert await M.put(alice, raw, 100, **early) == (PENDING, PayCode.NOT_YET)
        assert await M.put(alice, raw, 100, id=b"one" * 5 + b"!") == (PENDING, 0)
        assert await M.put(alice, raw, 100, id=b"one" * 5 + b"!") == (PENDING, 0)
        assert await M.put(alice, raw, 100) == (FAILED, PayCode.STAKE_TWICE)
        assert await M.say(bob, raw, M.result(raw, 300, 0)) == (FAILED, PayCode.STAKE_NOT_FOUND)
        assert await M.put(bob, raw, 200) == (State.HELD, 0)
        assert await M.put(bob, raw, 200) == (FAILED, PayCode.STAKE_TWICE)
        assert await M.put(alice, raw, 100, id=b"one" * 5 + b"!") == (State.HELD, 0)
        other = M.terms(bank, alice, bob)
        assert await M.put(alice, other, 100, id=b"one" * 5 + b"!") == (FAILED, PayCode.ID_REUSED)
        poor = M.terms(bank, alice, bob, stakes=(100, 801))
        await alice.wallet.stake(poor, timeout_s=0)
        assert await M.put(bob, poor, 801, id=b"two" * 5 + b"!") == (FAILED, LEDGER_CODES + Code.EXCEEDS_CREDITS)
        await until(partial(M.stands, alice, poor, FAILED), "that it failed for both")
        assert alice.wallet.payments[-1].code == LEDGER_CODES + Code.LINKED_FAILED
        assert await M.put(bob, poor, 801, id=b"two" * 5 + b"!") == (FAILED, LEDGER_CODES + Code.EXCEEDS_CREDITS)
        assert bank.sum() == 3000
        assert await bank.audit() == []


async def test_bad_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob", 1000)
        raw = M.terms(bank, alice, bob)
        await M.both_put(raw, alice, bob)
        stranger = SigningKey(b"x" * 32)
        assert await M.say(bob, raw, M.result(raw, 0, 300, key=stranger)) == (FAILED, PayCode.RESULT_BAD)
        assert await M.say(bob, raw, M.result(raw, 0, 300, match=b"m")) == (FAILED, PayCode.RESULT_BAD)
        assert await M.say(bob, raw, M.result(raw, 0, 301)) == (FAILED, PayCode.PAYOUT_WRONG)
        monkeypatch.setattr(L, "STAKES_DUE_MAX", 0)
        assert await M.say(bob, raw, M.result(raw, 0, 300)) == (State.UNKNOWN, PayCode.INTERNAL)
        monkeypatch.undo()
        assert await M.say(bob, raw, M.result(raw, 0, 300, revision=5)) == (PENDING, 0)
        assert await M.say(bob, raw, M.result(raw, 0, 300, revision=4)) == (FAILED, PayCode.RESULT_OLD)
        assert await M.say(bob, raw, M.result(raw, 300, 0, revision=5)) == (FAILED, PayCode.RESULT_CONFLICT)
        await until(partial(M.stands, alice, raw, State.EXPIRED), "the money back")
        assert alice.wallet.payments[-1].code == PayCode.STAKE_VOID
        await alice.wallet.ask_again(alice.wallet.payments[-1].operation)
        assert await M.say(bob, raw, M.result(raw, 0, 300, revision=6)) == (FAILED, PayCode.STAKE_OVER)
        assert (await alice.wallet.balance())["EUR"][1] == 1000
        assert bank.sum() == 2000


async def test_who_was_first_is_looked_at_again(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob", 1000)
        raw = M.terms(bank, alice, bob)
        now_ms = bank.stage.clock_ms()
        short = {"not_before_ms": now_ms, "expires_ms": now_ms + M.HOUR_MS}
        assert await M.put(alice, raw, 100, **short) == (PENDING, 0)
        bank.stage.ahead_ms = M.HOUR_MS + 1
        assert await M.put(bob, raw, 200) == (PENDING, 0)
        await until(lambda: bank.books.sequence, "the books")
        assert await M.put(alice, raw, 100) == (State.HELD, 0)


async def test_what_is_held_is_not_begun_anew_when_its_authorizations_are_old(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob", 1000)
        raw = M.terms(bank, alice, bob)
        now_ms = bank.stage.clock_ms()
        for player, amount, state in ((alice, 100, PENDING), (bob, 200, State.HELD)):
            short = {"not_before_ms": now_ms, "expires_ms": now_ms + M.HOUR_MS}
            assert await M.put(player, raw, amount, **short) == (state, 0)
        bank.stage.ahead_ms = M.HOUR_MS + 1
        assert await M.put(alice, raw, 100) == (FAILED, PayCode.STAKE_TWICE)
        assert await M.say(bob, raw, M.result(raw)) == (State.SETTLED, 0)
        assert await M.put(alice, raw, 100) == (FAILED, PayCode.STAKE_OVER)
        assert bank.sum() == 2000


async def test_a_late_result_is_paid_before_the_stakes_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TICK_S", 0.01)
    monkeypatch.setattr(L, "STAKE_MARGIN_MS", M.HOUR_MS)
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob", 1000)
        raw = M.terms(bank, alice, bob)
        await M.both_put(raw, alice, bob)
        bank.stage.ahead_ms = 12 * M.HOUR_MS - 3 * M.HOUR_MS // 2
        assert await M.say(bob, raw, M.result(raw, 0, 300)) == (PENDING, 0)
        bank.stage.ahead_ms = 12 * M.HOUR_MS - 3 * M.HOUR_MS // 4
        await until(partial(M.stands, bob, raw, State.SETTLED), "the payout")
        assert bank.sum() == 2000


async def _frozen(bank: Bank, account: bytes, verb: str) -> None:
    assert (await bank.order(verb, account=account)).code == 0


async def test_a_payout_that_the_books_refuse_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TICK_S", 0.01)
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob", 1000)
        for thaws in (True, False):
            raw = M.terms(bank, alice, bob, expires_ms=bank.stage.clock_ms() + 6 * M.HOUR_MS)
            await M.both_put(raw, alice, bob)
            assert await M.say(bob, raw, M.result(raw, 0, 300)) == (PENDING, 0)
            await _frozen(bank, alice.account, "freeze")
            bank.stage.ahead_ms += M.HOUR_MS + 1
            note = stakes.note_match(stake_hash(raw))

            async def tried(note: bytes = note) -> int:
                found = stakes.match_of(await bank.books.cursors({note}), note[1:])
                assert found is not None
                return found.attempt

            while not await tried():
                await bank.settlement._desks[bank.running.process.engine].pay_due()
            if thaws:
                await _frozen(bank, alice.account, "unfreeze")
                bank.stage.ahead_ms += L.STAKE_RETRY_MS + 1
                await until(partial(M.stands, bob, raw, State.SETTLED), "the payout")
            else:
                bank.stage.ahead_ms += 6 * M.HOUR_MS
                await until(partial(M.stands, bob, raw, State.EXPIRED), "the money back")
                assert await M.say(bob, raw, M.result(raw, 0, 300)) == (FAILED, PayCode.STAKE_OVER)
        assert bank.sum() == 2000
        assert await bank.audit() == []


def test_voids_that_come_too_late_and_matches_that_are_gone() -> None:
    facts = Facts({}, {}, {}, 5, lambda ledger, owner: None, lambda id_: None, lambda ledger, owner: [])
    gone = stakes.Paying(ASKED, b"", b"h" * 32).judge(facts)
    assert gone.chains == ()
    assert gone.notes([])[0][0] == stakes.DUE
    match = stakes.Match(b"raw", stakes.HELD, (stakes.Entry(b"a" * 32, b"o" * 48, b""),))
    void = stakes.Deciding(ASKED, b"r" * 16, match.hash, b"")._void(match, facts, PayCode.OK)
    (answer,) = void.says([(Result(Code.PENDING_EXPIRED),)])
    assert answer.code == PayCode.STAKE_OVER
