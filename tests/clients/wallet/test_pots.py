"""What a wallet makes of messages about red packets, true ones and others."""

from __future__ import annotations

from pathlib import Path

from clients.events import Received
from clients.wallet.pots import PACKETS, Packet
from protocol.codec import encode_struct
from protocol.messages import Body, compose
from protocol.messages import packet as K
from protocol.packets import Claimed, Terms, commitment_of, shares_of, terms_hash
from tests.support import money_together as T
from tests.support.settlement import open_bank
from tests.support.workers import until

SEED = b"s" * 32


def event(account: bytes, topic: bytes, body: Body) -> Received:
    return Received(topic=topic, offset=1, id=b"i" * 16, account=account, device=b"d" * 32, ts=1, content=compose(body))


async def test_only_whoever_gives_it_is_believed(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        bob = await bank.person("bob")
        pots, giver, topic = bob.wallet.book.pots, b"g" * 32, b"t" * 32
        terms = Terms(
            bank.account, giver, "EUR", 2, 100, 2, 9, commitment_of(SEED), b"n" * 16, (bob.account, b"c" * 32)
        )
        raw = encode_struct(terms)
        shown = K.Packet(operation=b"o" * 48, terms=raw)

        def hear(account: bytes, where: bytes, body: Body) -> None:
            pots.heard(event(account, where, body), body)

        hear(b"x" * 32, topic, shown)
        hear(giver, topic, K.Packet(operation=b"o" * 48, terms=b"rubbish"))
        assert pots.packets == {}
        hear(giver, topic, shown)
        (packet,) = bob.wallet.packets
        assert repr(packet) == f"Packet({terms_hash(raw).hex()[:16]}, open)"
        first, second = shares_of(terms, SEED)
        fair = (Claimed(b"c" * 32, first, b"1" * 48), Claimed(bob.account, second, b"2" * 48))
        end = K.Shares(operation=b"o" * 48, terms=raw, seed=SEED, claimed=fair)
        hear(b"x" * 32, topic, end)
        hear(giver, b"elsewhere" * 3 + b"there", end)
        hear(giver, topic, K.Shares(operation=b"p" * 48, terms=raw, seed=SEED))
        hear(giver, topic, K.Shares(operation=b"o" * 48, terms=raw[:-1] + b"\0", seed=SEED))
        assert not packet.over
        hear(giver, topic, K.Shares(operation=b"o" * 48, terms=raw, seed=b"t" * 32, claimed=fair))
        assert (packet.over, packet.verdict) == (True, "the seed is not the one that the terms commit to")
        hear(giver, topic, end)
        assert packet.verdict == "fair"
        assert "over" in repr(packet)
        hear(giver, topic, K.Shares(operation=b"o" * 48, terms=raw, seed=b"t" * 32))
        assert packet.verdict == "fair"


async def test_a_worker_that_tells_us_one_amount_and_others_another(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        await bank.meet(alice, bob)
        topic = (await alice.pair(bob.account)).topic
        packet = await T.give(alice, topic, [bob], 10, 2)
        got = await T.take(bob, packet)
        mine = bob.wallet.packet(packet.hash)
        lie = shares_of(packet.terms, packet.seed)
        told = (Claimed(bob.account, lie[0], got.operation),)
        body = K.Shares(operation=packet.operation, terms=packet.raw, seed=packet.seed, claimed=told)
        bob.wallet.payment(got.operation).amount += 1
        home = bob.wallet.home
        bob.wallet.book.pots.heard(event(home.worker, home.topic, body), body)
        assert mine.verdict == "your own receipt says something else"
        assert packet.shown
        bob.wallet.book.pots.held(got)
        assert bob.wallet.book.pots.funding(got) is None
        await bob.engine.shelf.journal.flushed()
        await until(lambda: list(bob.engine.shelf.vault.scan(PACKETS)), "the row")


async def test_what_is_not_for_packets(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 1000), await bank.person("bob")
        await bank.meet(alice, bob)
        paid = await alice.wallet.pay(bob.account, 10, "EUR")
        pots = alice.wallet.book.pots
        assert pots.funding(paid) is None
        pots.held(paid)
        assert pots.packets == {}
        assert isinstance(Packet(b"h", b"o", b"t", b"p", b"r", 1), Packet)
