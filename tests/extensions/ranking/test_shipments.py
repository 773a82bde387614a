"""The model on its way to devices: made when it is asked for, and uploaded once for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.blobs import FileRefused
from clients.feed.ranked import RankError
from clients.files import Files
from extensions.ranking import shipments, worker
from tests.support.feeds import said
from tests.support.ranking import open_ranking


async def test_one_upload_serves_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_S", 0.03)
    async with open_ranking(tmp_path) as town:
        ann, eve = [(await town.stage.person(name)).client for name in ("ann", "eve")]
        await town.knows(await said(ann, "one"))
        ranker = town.running.process.engine.shelf.account
        first = await ann.feed.rank.model(ranker)
        assert await eve.feed.rank.model(ranker) == first
        monkeypatch.setattr(shipments, "FRESH_MS", 0)
        assert (await eve.feed.rank.model(ranker)).file.id != first.file.id

        async def full(self: Files, path: Path, *, name: str = "", mime: str = "") -> None:
            raise FileRefused(507, "full")

        monkeypatch.setattr(Files, "put", full)
        with pytest.raises(RankError, match="does not take the model: full"):
            await eve.feed.rank.model(ranker)


async def test_it_waits_for_the_disk_and_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = shipments.Shipments()
    monkeypatch.setattr(shipments, "WAITING_MAX", 2)
    for number in range(4):
        made.want(b"t", bytes([number]))
    assert made._waiting == [(b"t", b"\0"), (b"t", b"\1")]
    async with open_ranking(tmp_path) as town:
        town.ranking._busy = True
        assert town.ranking._still() is None
        town.ranking._busy = False
        town.shop.stale = True
        assert town.ranking._still() is None
        town.shop.stale = False
        assert town.ranking._still() is town.shop
