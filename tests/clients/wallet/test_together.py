"""Red packets and bills in a wallet: what is refused before anything is sent, and claims that are asked again."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.wallet import WalletError
from protocol.messages.pay import State
from protocol.payments import PayError
from protocol.shares import ShareError
from tests.support import money_together as T
from tests.support.settlement import open_bank
from tests.support.workers import until


async def test_what_is_refused_at_once(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        await bank.meet(alice, bob)
        topic = (await alice.pair(bob.account)).topic
        with pytest.raises(WalletError, match="100 people"):
            await alice.wallet.split({bytes([n]) * 32: 1 for n in range(101)}, 1000, "EUR", topic=topic)
        with pytest.raises(ShareError):
            await alice.wallet.split({}, 1000, "EUR")
        with pytest.raises(WalletError, match="no such red packet"):
            await bob.wallet.claim(b"n" * 32)
        with pytest.raises(WalletError, match="1 to 100 people"):
            await alice.wallet.give(topic, [], 100, "EUR", 1)
        with pytest.raises(PayError):
            await alice.wallet.give(topic, [bob.account], 1, "EUR", 2)
        assert alice.wallet.payments == []
        bill = await alice.wallet.split({alice.account: 1, bob.account: 0}, 10, "EUR", topic=topic)
        assert [part.request for part in bill.parts] == [b"", b""]


async def test_a_claim_is_the_same_until_it_is_refused(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        carol = await bank.person("carol")
        topic = await T.group_of(bank, alice, bob, carol)
        packet = await T.give(alice, topic, [bob, carol], 10, 1)
        await T.shown(bob, packet.hash)
        silent = await bob.wallet.claim(packet.hash, timeout_s=0)
        assert silent.state == State.UNKNOWN
        got = await bob.wallet.claim(packet.hash)
        assert (got.operation, got.amount, got.state) == (silent.operation, 10, State.SETTLED)
        assert (await bob.wallet.claim(packet.hash)).operation == got.operation
        late = await T.take(carol, packet)
        assert late.state == State.FAILED
        assert (await carol.wallet.claim(packet.hash)).operation != late.operation
        await until(lambda: alice.wallet.packets[0].over, "the end")
        assert [p.hash for p in bob.wallet.packets] == [packet.hash]
        known = bob.wallet.packet(packet.hash)
        bob.wallet.book.home.worker = b"other" * 6 + b"xx"  # type: ignore[union-attr]
        with pytest.raises(WalletError, match="another worker"):
            await bob.wallet.claim(known.hash)
