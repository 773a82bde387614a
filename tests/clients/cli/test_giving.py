"""Red packets and bills, as a person types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.cli.money import Money
from clients.cli.room import NotFound, Room
from tests.support import money_together as T
from tests.support.settlement import open_bank
from tests.support.workers import until


async def test_a_bill_and_red_packets(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 10_000), await bank.person("bob")
        carol = await bank.person("carol")
        await T.group_of(bank, alice, bob, carol)
        for one, name in ((bob, "bob"), (carol, "carol")):
            await alice.add_contact(one.account, name)
            await one.add_contact(alice.account, "alice")
        give, take, third = (Money(Room(one)).verbs for one in (alice, bob, carol))
        lines = await give["split"](["10", "EUR", "me", "bob", "carol:2", "for", "lunch", "today"])
        assert [line.split()[:3] for line in lines] == [
            ["2.50", "EUR", "me"], ["2.50", "EUR", "bob"], ["5.00", "EUR", "carol"]
        ]  # fmt: skip
        await until(lambda: bob.wallet.requests, "the request")
        assert any("alice asks for 2.50 EUR  lunch today" in line for line in await take["payments"]([]))
        assert await take["claim"]([]) == ["no red packets wait"]
        (question,) = await give["packet"](["friends", "3", "EUR", "2", "even", "good", "luck"])
        assert "sets 3.00 EUR aside, 2 even shares for 3 people" in question
        assert question.endswith("/packet friends 3 EUR 2 even good luck yes")
        (given,) = await give["packet"](["friends", "3", "EUR", "2", "even", "good", "luck", "yes"])
        short = given.split()[1].rstrip(";")
        await until(lambda: bob.wallet.packets and carol.wallet.packets, "the packet")
        assert await take["claim"]([]) == [f"  {short}  alice gives 3.00 EUR in 2 shares  good luck"]
        assert await give["claim"]([]) == [f"  {short}  you give 3.00 EUR in 2 shares  good luck"]
        assert await take["claim"]([short]) == ["you got 1.50 EUR"]
        assert "you got 1.50 EUR" in (await third["claim"]([short]))[0]
        await until(lambda: carol.wallet.packets[0].over and bob.wallet.packets[0].over, "the end")
        assert "150 + 150" in (await third["claim"]([short]))[1]
        assert "1.50 EUR from a red packet  settled" in (await take["payments"]([]))[0]
        (given,) = await give["packet"](["bob", "1", "EUR", "1", "yes"])
        assert given.startswith("given")
        (refused,) = await give["packet"](["bob", "9999", "EUR", "1", "yes"])
        assert refused == "failed: not enough money: debits would exceed credits"
        assert (await give["claim"]([given.split()[1].rstrip(";")]))[0] == "failed: the packet is for others"
        assert await give["payments"]([])
        packet = bob.wallet.packets[0]
        packet.verdict = "a lie"
        assert "DO NOT TRUST this packet: a lie" in (await take["claim"]([short]))[1]
        with pytest.raises(NotFound):
            await take["claim"](["beef"])
