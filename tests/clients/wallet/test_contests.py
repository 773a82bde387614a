"""Stakes in a wallet: refused before anything is sent, and asked again."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.wallet import WalletError
from protocol.messages.pay import State
from protocol.payments import PayError
from protocol.stakes import stake_hash
from tests.support import money_stakes as M
from tests.support.settlement import open_bank


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
