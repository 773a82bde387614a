"""Disputes, as people type them."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.cli.money import Money
from clients.cli.room import Room
from clients.wallet import WalletError
from protocol.messages.dispute import Stage
from tests.clients.cli.test_news import Face
from tests.support import money_disputes as M
from tests.support.settlement import open_bank
from tests.support.settlement_life import pays
from tests.support.workers import until


async def test_a_dispute_from_words_to_money(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 10_000), await bank.person("bob")
        await alice.add_contact(bob.account, "bob")
        await bob.add_contact(alice.account, "alice")
        paid = (await pays(alice, bob, 1000)).operation
        digits = paid[:16].hex()[-8:]
        one, two = Money(Room(alice)).verbs["dispute"], Money(Room(bob)).verbs["dispute"]
        news = Face(bob)
        assert await one([]) == ["no disputes"]
        assert await one([digits]) == ["nobody disputes this payment"]
        (question,) = await one([digits, "open", "8", "broken"])
        assert question == f"this freezes 8.00 EUR of what you paid. To do it: /dispute {digits} open 8 broken yes"
        lines = await one([digits, "open", "8", "broken", "yes"])
        assert lines == [f"  {digits}  me disputes 8.00 EUR: open", "    me offers 8.00 EUR back", "    me: broken"]
        assert await news.comes("disputes") == (
            f"{digits}  alice disputes 8.00 EUR: open: broken; /dispute {digits} shows more"
        )
        await two([digits, "say", "it", "was", "not"])
        await two([digits, "offer", "0"])
        assert await one([digits, "accept"]) != []
        await two([digits, "offer", "2.50"])
        await M.heard(alice, paid, "it was not")
        cases = alice.wallet.book.cases.cases
        await until(lambda: cases[paid].offer_of(bob.account) == 250, "the offer")
        assert (await one([digits, "accept"])) == [
            f"then 2.50 EUR goes back to the payer. To do it: /dispute {digits} accept yes"
        ]
        lines = await one([digits, "accept", "yes"])
        assert lines[0] == f"  {digits}  me disputes 8.00 EUR: agreed, 2.50 EUR went back"
        await M.stage(bob, paid, Stage.AGREED)
        assert (await two([]))[0].endswith("agreed, 2.50 EUR went back")
        with pytest.raises(WalletError, match="is over"):
            await one([digits, "withdraw"])


async def test_nothing_is_accepted_that_nobody_offered(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 10_000), await bank.person("bob")
        paid = (await pays(alice, bob, 1000)).operation
        digits = paid[:16].hex()[-8:]
        one = Money(Room(alice)).verbs["dispute"]
        await one([digits, "open", "8", "yes"])
        assert await one([digits, "accept"]) == ["the other one has offered nothing yet"]
        assert (await one([digits, "withdraw", "sorry"]))[0].endswith("withdrawn")
