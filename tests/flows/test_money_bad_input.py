"""Bad payments through the relay, end to end: one outcome each, and not a cent moves."""

from __future__ import annotations

from pathlib import Path

from tests.support import settlement_cases as cases
from tests.support.settlement import open_bank


async def test_every_bad_payment_has_one_outcome(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 10_000), await bank.person("bob")
        carol = await bank.person("carol", 5_000)
        before = bank.books.statistics().sequence
        await cases.bad_fields(bank, alice, bob)
        assert bank.books.account("EUR", alice.account).balance == 10_000  # type: ignore[union-attr]
        assert bank.books.statistics().sequence - before <= 2  # the two refusals of the ledger itself
        await cases.replays(bank, alice, bob)
        await cases.requests(bank, alice, bob, carol)
        await cases.refunds(alice, bob)
        assert bank.sum() == 15_000
        assert await bank.audit() == []
