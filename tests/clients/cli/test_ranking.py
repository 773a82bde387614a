"""Verbs about ranked pages, as a person types them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from clients.cli.posting import Posting, digits
from clients.cli.ranking import RankVerbs
from clients.cli.room import NotFound, Room
from clients.client import Client
from clients.feed.ranked import RankError
from extensions.ranking import worker
from extensions.ranking.shipments import signed_model
from protocol.identity import SigningKey
from tests.support.feeds import said
from tests.support.ranking import Town, open_ranking

Verbs = dict[str, Callable[[list[str]], Awaitable[list[str]]]]


async def _locally(town: Town, bob: Client, verbs: Verbs, folder: Path) -> None:
    """Pages of this device alone."""
    assert "a model of 3 posts" in (await verbs["rank"](["model"]))[0]
    lines = await verbs["ranked"](["local", "900", "100"])
    assert len(lines) == 2
    name = lines[0].split()[1]
    assert "from local" in (await verbs["why"]([name]))[0]
    assert await verbs["less"]([name]) == ["noted: fewer like this"]
    assert await verbs["more"]([lines[1].split()[1]]) == ["noted: more like this"]
    assert len(bob.feed.local.own.seen) == 2
    assert len(await verbs["ranked"](["local"])) == 1
    key = SigningKey(bytes(32))
    file = folder / "model"
    file.write_bytes(signed_model(town.shop, key, bob.engine.shelf.clock_ms())[1])
    assert "a model of 3 posts" in (await verbs["rank"](["model", str(file), key.public.hex()]))[0]
    with pytest.raises(NotFound, match="64 hex digits"):
        await verbs["rank"](["model", str(file), "bob"])


async def test_what_people_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_S", 0.03)
    async with open_ranking(tmp_path) as town:
        ann = (await town.stage.person("ann")).client
        bob = await town.reader("bob", ann)
        posting = Posting(Room(bob))
        verbs = RankVerbs(Room(bob), posting).verbs
        assert await verbs["ranked"]([]) == ["the ranker has nothing for you yet"]
        posts = [await said(ann, text, text) for text in ("sea", "hill", "town")]
        await town.knows(*posts)
        assert "learns from" in (await verbs["rank"](["on"]))[0]
        lines = await verbs["ranked"](["plain"])
        assert len(lines) == 2  # no author more than twice in ten
        assert lines[0].startswith("  1. ")
        name = lines[0].split()[1]
        assert "points, from" in (await verbs["why"]([name]))[0]
        assert await verbs["less"]([name]) == ["noted: fewer like this"]
        assert await verbs["more"]([f"#{name}"]) == ["noted: more like this"]
        assert await verbs["whynot"]([digits(posts[0])])
        with pytest.raises(NotFound, match="ranked posts end"):
            await verbs["why"](["ffff"])
        with pytest.raises(RankError, match="whole ranking"):
            await verbs["ranked"](["more"])
        assert await verbs["rank"](["slider", "900"]) == ["slider: bridging 900, fresh 0"]
        assert await verbs["rank"](["slider", "900", "100"]) == ["slider: bridging 900, fresh 100"]
        with pytest.raises(RankError, match="0 to 1000"):
            await verbs["rank"](["slider", "9000"])
        file = tmp_path / "known.json"
        assert str(file) in (await verbs["rank"](["save", str(file)]))[0]
        assert file.read_bytes().startswith(b"{")
        assert "forgotten" in (await verbs["rank"](["reset"]))[0]
        assert await verbs["briefing"]([])
        assert "forgotten" in (await verbs["rank"](["off"]))[0]
        await _locally(town, bob, verbs, tmp_path)
        assert await verbs["rank"](["?"]) == ["no ranker: /rank on"]
