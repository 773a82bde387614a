"""Disputes among people, through the relay and the worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.wallet import WalletError
from extensions.settlement import bounds
from protocol.limits import DISPUTE_MS
from protocol.messages.dispute import Stage
from protocol.payments import PayCode
from tests.support import money_disputes as M
from tests.support.settlement import open_bank
from tests.support.settlement_life import pays


async def test_half_goes_back_by_agreement(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        paid = await pays(alice, bob, 400)
        await M.agreed(alice, bob, paid)
        assert (await bob.wallet.balance())["EUR"][1:3] == (200, 0)
        assert (await alice.wallet.balance())["EUR"][1] == 800
        await M.says_no(bob, paid.operation, PayCode.DISPUTE_OVER)
        assert (await bob.wallet.refund(paid.operation, 201)).code == PayCode.REFUND_TOO_LARGE
        assert bank.sum() == 1000
        assert await bank.audit() == []


async def test_what_is_frozen_is_nobodys_to_spend_or_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TICK_S", 0.01)
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        paid = await pays(alice, bob, 400)
        await alice.wallet.dispute(paid.operation, 400, "no")
        assert (await bob.wallet.pay(alice.account, 1, "EUR")).code == 1060
        await alice.wallet.open("EUR")
        await alice.wallet.balance()
        assert bank.books.account("EUR", bob.account).debits_pending == 400  # type: ignore[union-attr]
        await alice.wallet.withdraw(paid.operation, "sorry")
        await M.stage(bob, paid.operation, Stage.WITHDRAWN)
        assert (await bob.wallet.pay(alice.account, 1, "EUR")).code == 0
        other = await pays(alice, bob, 100)
        await alice.wallet.dispute(other.operation, 100, "no")
        when_ms = alice.wallet.disputes[-1].expires_ms
        assert when_ms <= bank.stage.clock_ms() + DISPUTE_MS
        with pytest.raises(WalletError, match="already"):
            await alice.wallet.dispute(other.operation, 100, "again")
        assert bank.sum() == 1000
        assert await bank.audit() == []
