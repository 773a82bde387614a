"""Red packets and bills among people, through the relay and the worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from extensions.settlement import bounds
from protocol.messages.pay import State
from protocol.payments import PayCode
from tests.support import money_together as T
from tests.support.settlement import free, open_bank
from tests.support.workers import until

HOUR_MS = 3_600_000


async def test_a_packet_is_claimed_by_all_and_recomputed_by_all(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 10_000), await bank.person("bob")
        carol = await bank.person("carol")
        topic = await T.group_of(bank, alice, bob, carol)
        packet = await T.five_claim(alice, [alice, bob, carol], topic, 1000)
        assert len(packet.claimed) == 3
        assert alice.wallet.payment(packet.operation).state == State.SETTLED
        assert (await alice.wallet.ask_again(packet.operation)).state == State.SETTLED
        again = await bob.wallet.claim(packet.hash)
        assert again.amount == next(c.amount for c in packet.claimed if c.member == bob.account)
        assert bank.sum() == 10_000
        assert await bank.audit() == []


async def test_what_nobody_takes_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TICK_S", 0.01)
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        await bank.meet(alice, bob)
        topic = (await alice.pair(bob.account)).topic
        paid = await alice.wallet.give(topic, [bob.account], 100, "EUR", 3, life_ms=HOUR_MS)
        alone = await alice.wallet.give(topic, [bob.account], 100, "EUR", 1, life_ms=HOUR_MS, random=False)
        packet = alice.wallet.packet(paid.request)
        got = await T.take(bob, packet)
        assert got.state == State.SETTLED
        bank.stage.ahead_ms = HOUR_MS + 1
        await until(lambda: alice.wallet.payment(alone.operation).state == State.EXPIRED, "the end of one share")
        assert alice.wallet.packet(alone.request).over
        late = await bob.wallet.claim(alone.request)
        assert (late.state, late.code) == (State.FAILED, PayCode.PACKET_EXPIRED)
        await until(lambda: alice.wallet.packet(packet.hash).over, "the end")
        await until(lambda: bob.wallet.packet(packet.hash).verdict == "fair", "the seed")
        assert (await alice.wallet.balance())["EUR"][1:3] == (1000 - got.amount, 0)
        assert bank.sum() == 1000
        assert await bank.audit() == []


async def test_a_bill_is_split_to_the_cent(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 5_000), await bank.person("bob", 5_000)
        carol = await bank.person("carol")
        await bank.meet(alice, bob)
        await bank.meet(alice, carol)
        thirds = {one.account: 1 for one in (alice, bob, carol)}
        bill = await alice.wallet.split(thirds, 1000, "EUR", memo="dinner")
        assert [part.amount for part in bill.parts] == [334, 333, 333]
        asked = bill.parts[1].request
        await until(lambda: asked in bob.wallet.book.requests, "the request")
        assert (await bob.wallet.pay_request(asked)).state == State.SETTLED
        await until(lambda: free(alice.wallet) == 5_333, "the part")
