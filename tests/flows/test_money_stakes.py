"""Stakes of matches, through the relay and the worker."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from clients.wallet import WalletError
from extensions.settlement import bounds
from protocol.messages.pay import State
from protocol.payments import PayCode, PayError
from protocol.stakes import stake_hash
from tests.support import money_stakes as M
from tests.support.settlement import free, open_bank
from tests.support.workers import until


async def test_a_match_is_paid_as_the_referee_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TICK_S", 0.01)
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob", 1000)
        raw = await M.match_is_paid(bank, alice, bob)
        await until(lambda: (free(alice.wallet), free(bob.wallet)) == (950, 1050), "the money")
        assert await M.say(alice, raw, M.result(raw, 300, 0, revision=2)) == (State.FAILED, PayCode.STAKE_OVER)
        stake = next(p for p in alice.wallet.payments if p.memo == "stake")
        assert (await alice.wallet.ask_again(stake.operation)).state == State.SETTLED
        assert stake.receipt
        assert bank.sum() == 2000
        assert await bank.audit() == []


async def test_all_come_back_when_it_is_called_off_or_nobody_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "TICK_S", 0.01)
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob", 1000)
        off = M.terms(bank, alice, bob)
        await M.both_put(off, alice, bob)
        await bob.wallet.show_result(stake_hash(off), M.result(off))
        await until(partial(M.stands, alice, off, State.EXPIRED), "the money back")
        silent = M.terms(bank, alice, bob)
        await M.both_put(silent, alice, bob)
        bank.stage.ahead_ms += 12 * M.HOUR_MS + 1
        await until(partial(M.stands, bob, silent, State.EXPIRED), "the money back")
        assert (await alice.wallet.balance())["EUR"][1:3] == (1000, 0)
        with pytest.raises(WalletError):
            await alice.wallet.stake(M.terms(bank, bob, bob))
        with pytest.raises(PayError):
            await alice.wallet.stake(M.terms(bank, alice, bob, expires_ms=1))
        assert bank.sum() == 2000
        assert await bank.audit() == []
