"""Trouble around payments, end to end: what it does to the one who has it, and that nobody else suffers."""

from __future__ import annotations

from pathlib import Path

from clients.client import now_ms
from tests.support import settlement_trouble as trouble
from tests.support.settlement import open_bank


async def test_devices_accounts_and_false_answers(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob", 10)
        dora = await bank.person("dora", wallet=False)
        await trouble.revoked_device(bank, tmp_path, alice, bob)
        await trouble.closed_account(bank, alice, dora)
        await trouble.other_answer(bank, alice, bob)
        assert bank.sum() == 1010
        assert await bank.audit() == []


async def test_the_clock_of_the_worker_goes_back(tmp_path: Path) -> None:
    clock = trouble.Clock(now_ms)
    async with open_bank(tmp_path, clock_ms=clock) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        emil = await bank.person("emil", wallet=False)
        await trouble.clock_back(bank, clock, alice, bob, emil)
        assert bank.sum() == 1000
        assert await bank.audit() == []


async def test_one_poisoned_item_among_many(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        payers, payee = [await bank.person(f"p{n}", 1000) for n in range(2)], await bank.person("payee")
        found = await trouble.poison(bank, payers, payee, 40)
        assert found["settled beside the poisoned one"] == 39
        assert await bank.audit() == []
