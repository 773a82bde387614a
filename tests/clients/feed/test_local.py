"""Ranking on the reader's own device: the ranker's order, nothing told, and no relay needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from clients.client import Client, open_client
from clients.feed import local as local_module
from clients.feed.local import Local, Own
from clients.feed.ranked import RankedPage, RankError
from clients.vault import Secret, Vault
from extensions.ranking import worker
from extensions.ranking.shipments import signed_model
from protocol import limits
from protocol.identity import SigningKey
from protocol.messages.rank import SignalKind
from protocol.scoring.local import sign_model
from tests.support.feeds import said
from tests.support.ranking import Town, open_ranking
from tests.support.workers import until


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_S", 0.03)
    monkeypatch.setattr(local_module, "READ_S", 60.0)  # a slow machine is no relay that is away


def sums(page: RankedPage) -> list[tuple[object, ...]]:
    """Posts of a page in order, with all that decided it."""
    return [(item.item.text, item.placed.facts, item.placed.terms, item.placed.score) for item in page.items]


async def a_town(town: Town) -> tuple[Client, Client]:
    """Ann, who is followed by bob, and three authors' posts that the ranker knows."""
    people = [(await town.stage.person(name)).client for name in ("ann", "cem", "dan")]
    posts = [await said(who, f"{n} {who.account.hex()[:4]}", f"tag{n}") for n in range(2) for who in people]
    bob = await town.reader("bob", people[0])
    await town.knows(*posts)
    return people[0], bob


async def test_the_same_order_as_the_ranker(tmp_path: Path) -> None:
    async with open_ranking(tmp_path) as town:
        ann, bob = await a_town(town)
        with pytest.raises(RankError, match="no model on this device"):
            await bob.feed.rank_locally()
        model = await bob.feed.local.fetch()
        assert len(model.posts) == 6
        await bob.feed.rank.set_slider(bridging=300, fresh=700)
        remote = await bob.feed.rank.page(explore=False)
        mine = await bob.feed.local.page(now_ms=remote.page.made_ms)
        assert sums(mine) == sums(remote)
        assert len(mine.items) == 6
        assert mine.items[0].why[0].endswith("from local")
        assert [item.item.text for item in (await bob.feed.rank_locally(2)).items] == [row[0] for row in sums(mine)[:2]]
        await bob.block(ann.account)
        assert not any(item.placed.author == ann.account for item in (await bob.feed.rank_locally()).items)
        await bob.feed.hide_word("tag1")
        assert len((await bob.feed.rank_locally()).items) == 2
        with pytest.raises(RankError, match="0 to 1000"):
            await bob.feed.rank_locally(bridging=1001)


async def test_who_has_not_opted_in_and_has_no_relay(tmp_path: Path) -> None:
    async with open_ranking(tmp_path) as town:
        await a_town(town)
        eve = (await town.stage.person("eve")).client
        await eve.feed.local.fetch()
        assert eve.feed.rank.home is None
        assert eve.account not in town.shop.readers
        again = await eve.feed.local.fetch()  # the file that is up serves everybody for a while
        assert len(again.posts) == 6
        online = await eve.feed.rank_locally()
        await eve.feed.local.more(online.items[0])
        await eve.feed.local.less(online.items[1])
        own = eve.feed.local.own
        assert town.shop.ranker.learner.readers.get(eve.account) is None
    vault = Vault(tmp_path / "eve.db", Secret.key_file(tmp_path / "eve.key"))
    try:
        async with open_client("ws://127.0.0.1:9/", vault) as offline:  # nobody listens there
            assert offline.feed.local.own == own
            page = await offline.feed.rank_locally()
            left = {item.item.text for item in online.items[2:]}
            assert {item.item.text for item in page.items} == left
            assert page.left_out == 0
    finally:
        vault.close()


async def test_a_model_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_ranking(tmp_path) as town:
        _, bob = await a_town(town)
        key, local = SigningKey(bytes(32)), bob.feed.local
        model, signed = signed_model(town.shop, key, bob.engine.shelf.clock_ms())
        path = tmp_path / "model"
        path.write_bytes(signed)
        assert await local.load(path, key.public) == model
        with pytest.raises(RankError, match="cannot be believed"):
            await local.load(path, bob.account)
        path.write_bytes(sign_model(structs.replace(model, weights=99), key))
        with pytest.raises(RankError, match="weights 99"):
            await local.load(path, key.public)
        monkeypatch.setattr(limits, "RANK_MODEL_BYTES_MAX", 10)
        with pytest.raises(RankError, match="no model"):
            await local.load(path, key.public)
        with pytest.raises(RankError, match="takes 10"):
            await local.fetch()
        monkeypatch.setattr(limits, "RANK_MODEL_BYTES_MAX", 32 << 20)
        again = Local(bob.engine, bob.feed.rank, bob.feed.timelines, bob.files, bob.find)  # as after a restart
        assert len((await again.page()).items) == 6


async def test_what_is_noted_stays_here(tmp_path: Path) -> None:
    async with open_ranking(tmp_path) as town:
        _, bob = await a_town(town)
        local = bob.feed.local
        await local.fetch()
        first, second, third, *rest = (await local.page()).items
        await local.more(first)
        await local.note([first], SignalKind.LIKE)
        await local.less(second)
        await local.less(second)
        await local.shown([third])
        own = local.own
        assert (own.engaged, own.history, len(own.less)) == (1, (first.placed.post,), 2)
        assert own.seen == tuple(item.placed.post for item in (first, second, third))
        assert {item.placed.post for item in (await local.page()).items} == {item.placed.post for item in rest}
        assert town.signals() == []
        await local.forget()
        assert local.own == Own()
        assert len((await local.page()).items) == 6


async def test_a_hide_is_of_one_post_and_a_report_of_its_author(tmp_path: Path) -> None:
    async with open_ranking(tmp_path) as town:
        _, bob = await a_town(town)
        local = bob.feed.local
        await local.fetch()
        first, second, *_ = (await local.page()).items
        await local.note([first], SignalKind.HIDE)
        assert (local.own.less, local.own.seen) == ((), (first.placed.post,))
        await local.note([second], SignalKind.REPORT)
        assert len(local.own.less) == 1
        assert local.own.history == ()


async def test_the_newest_version_of_somebody_whom_one_does_not_follow(tmp_path: Path) -> None:
    async with open_ranking(tmp_path) as town:
        cem = (await town.stage.person("cem")).client
        first, second = await said(cem, "one"), await said(cem, "two")
        eve = (await town.stage.person("eve")).client
        await town.knows(first, second)
        changed = await cem.feed.stored(await cem.feed.edit(first, "one!"))
        await until(lambda: town.shop.edits.get(first.key) == changed.offset, "the edit")
        await eve.feed.local.fetch()
        page = await eve.feed.rank_locally()
        assert {item.item.text: item.item.edits for item in page.items} == {"one!": 1, "two": 0}
    vault = Vault(tmp_path / "eve.db", Secret.key_file(tmp_path / "eve.key"))
    try:
        async with open_client("ws://127.0.0.1:9/", vault) as offline:  # nobody listens there
            assert {item.item.text for item in (await offline.feed.rank_locally()).items} == {"one!", "two"}
    finally:
        vault.close()
