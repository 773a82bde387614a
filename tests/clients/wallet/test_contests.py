"""Stakes in a wallet: refused before anything is sent, and asked again."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.wallet import WalletError
from protocol.messages.dispute import Stage
from protocol.messages.pay import State
from protocol.payments import PayError
from protocol.stakes import stake_hash
from tests.support import money_disputes as D
from tests.support import money_stakes as M
from tests.support.settlement import open_bank
from tests.support.settlement_life import pays


async def test_a_stake_is_asked_again_until_it_is_held(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob", 1000)
        for raw, error in (
            (M.terms(bank, bob, bob), WalletError), (M.terms(bank, alice, bob, worker=b"x" * 32), WalletError),
            (M.terms(bank, alice, bob, expires_ms=1), PayError), (b"rubbish", PayError),
        ):  # fmt: skip
            with pytest.raises(error):
                await alice.wallet.stake(raw)
        assert alice.wallet.payments == []
        raw = M.terms(bank, alice, bob)
        first = await alice.wallet.stake(raw, timeout_s=0)
        assert first.state == State.UNKNOWN
        assert (await bob.wallet.stake(raw)).state == State.HELD
        assert (await alice.wallet.ask_again(first.operation)).state == State.HELD
        await alice.wallet.show_result(stake_hash(raw), M.result(raw))
        assert (await alice.wallet.outcome(first.operation)).operation == first.operation


async def test_disputes_end_by_agreement_or_by_whoever_opened(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        first, second = await pays(alice, bob, 100), await pays(alice, bob, 100)
        await D.agreed(alice, bob, first)
        await alice.wallet.dispute(second.operation, 100, "no")
        over = await alice.wallet.withdraw(second.operation, "yes")
        assert over.stage == Stage.WITHDRAWN
        assert [case.payment for case in alice.wallet.disputes] == [first.operation, second.operation]
        with pytest.raises(WalletError, match="is over"):
            await alice.wallet.accept(second.operation, 100)
        with pytest.raises(WalletError, match="not answered yet"):
            await alice.wallet.say_about(second.operation, "hello", timeout_s=0)
        alice.engine.shelf.conversations.pop(alice.wallet.home.topic)
        with pytest.raises(WalletError, match="open a wallet again"):
            await alice.wallet.offer(second.operation, 1)
