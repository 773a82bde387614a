"""Verbs about money, as a person types them."""

from __future__ import annotations

from pathlib import Path

import pytest
import xmlschema

from clients.cli.money import Money
from clients.cli.receipt import verify
from clients.cli.room import NotFound, Room
from protocol.errors import ChappeError
from tests.support.settlement import open_bank
from tests.support.vectors import vector_path
from tests.support.workers import until


async def test_a_conversation_about_money(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 10_000), await bank.person("bob")
        await alice.add_contact(bob.account, "bob")
        await bob.add_contact(alice.account, "alice")
        one, two = Money(Room(alice)).verbs, Money(Room(bob)).verbs
        assert await one["wallet"]([]) == ["  100.00 EUR"]
        assert await two["wallet"](["open", "EUR"]) == ["  0.00 EUR"]
        assert await two["payments"]([]) == ["no payments"]
        (question,) = await one["pay"](["bob", "12.50", "EUR", "lunch"])
        assert "this pays 12.50 EUR to bob" in question
        assert question.endswith("/pay bob 12.50 EUR lunch yes")
        assert bank.books.account("EUR", bob.account).balance == 0  # type: ignore[union-attr]
        (done,) = await one["pay"](["bob", "12.50", "EUR", "lunch", "yes"])
        assert "settled" in done
        digits = done.split()[0]
        assert await one["payments"](["again", digits]) == [done]
        file = tmp_path / "receipt.json"
        await one["payments"](["save", digits, str(file)])
        assert verify(file, worker=bank.account.hex()) == 0
        (asked,) = await two["request"](["alice", "3", "EUR", "tea"])
        short = asked.split()[1].rstrip(";")
        await until(lambda: alice.wallet.requests, "the request")
        assert any("bob asks for 3.00 EUR" in line for line in await one["payments"]([]))
        (question,) = await one["pay"]([short])
        assert "3.00 EUR" in question
        assert "settled" in (await one["pay"]([short, "yes"]))[0]
        await until(lambda: len(bob.wallet.payments) == 2, "the payment")
        assert "this pays 12.50 EUR to alice" in (await two["refund"]([digits]))[0]
        await until(lambda: bob.wallet.payments[0].receipt, "the receipt")
        assert "settled" in (await two["refund"]([digits, "0.50", "yes"]))[0]
        for verb, who in ((two, bob), (one, alice)):
            (asked,) = await two["request"](["alice", "1", "EUR"])
            short = asked.split()[1].rstrip(";")
            await until(lambda short=short: any(r.hash.hex().startswith(short) for r in alice.wallet.requests), "it")  # type: ignore[misc]
            assert (await verb["decline"]([short]))[0].startswith("taken back" if who is bob else "declined")
        with pytest.raises(NotFound):
            await one["decline"](["beef"])
        with pytest.raises(NotFound):
            await one["payments"](["again", "beef"])
        with pytest.raises(ValueError, match="cannot be written"):
            await one["payments"](["save", digits, str(tmp_path / "no" / "where")])
        failed = await one["pay"](["bob", "99999", "EUR", "yes"])
        assert "failed (not enough money" in failed[0]
        with pytest.raises(NotFound, match="no receipt"):
            await one["payments"](["save", failed[0].split()[0], str(file)])
        with pytest.raises(ChappeError):
            await one["pay"](["bob", "1.005", "EUR"])


async def test_requests_for_bookkeeping_software(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 10_000), await bank.person("bob")
        await bob.add_contact(alice.account, "alice")
        one, two = Money(Room(alice)).verbs, Money(Room(bob)).verbs
        await bank.meet(alice, bob)
        short = (await two["request"](["alice", "12.50", "EUR", "tea"]))[0].split()[1].rstrip(";")
        await until(lambda: alice.wallet.requests, "the request")
        file = tmp_path / "request.xml"
        (said,) = await two["payments"](["export", short, str(file)])
        assert said == f"{short} is written as pain.013.001.08 of ISO 20022"
        xmlschema.XMLSchema(str(vector_path("iso20022/pain.013.001.08.xsd"))).validate(file.read_text())
        schema = xmlschema.XMLSchema(str(vector_path("iso20022/pain.014.001.08.xsd")))
        await one["payments"](["answer", short, str(file)])
        schema.validate(file.read_text())
        assert ">PDNG<" in file.read_text()
        await one["pay"]([short, "yes"])
        await one["payments"](["answer", short, str(file)])
        schema.validate(file.read_text())
        assert ">ACSC<" in file.read_text()
        assert f">{alice.wallet.payments[-1].sequence}<" in file.read_text()
        with pytest.raises(NotFound):
            await one["payments"](["export", "beef", str(file)])
