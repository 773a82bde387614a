"""A small demo, whole: real processes, real sockets, a real kill."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from relay.demo.games import Games
from relay.demo.judge import Verdict
from relay.demo.processes import DemoFailed
from relay.demo.story import Figures, Sizes, Story

#: Money, feeds and games have tests of their own.
SMALL = Sizes(pair=2, group=2, paced=5, away=20, killing=8, money=False, feeds=False, games=False)


async def test_a_small_demo_keeps_every_promise(tmp_path: Path) -> None:
    told: list[str] = []
    story = Story(tmp_path, SMALL, 7, told.append)
    async with trio.open_nursery() as nursery:
        try:
            await story.run(nursery)
            await story.conclude()
        finally:
            await story.close()
    figures = story.figures
    assert figures.failures == []
    assert figures.ok
    assert figures.sent == figures.stored == 1 + 4 + 10 + 5 + 20 + 32
    assert (figures.lost, figures.duplicated, figures.swapped, figures.killed_by) == (0, 0, 0, 9)
    assert figures.marker_in_files == []
    assert figures.marker_in_memory is not True
    assert figures.as_json()["ok"] is True
    assert len(told) == 7


async def test_a_promise_that_is_not_kept_is_a_failure(tmp_path: Path) -> None:
    class Broken(Story):
        async def _open(self, nursery: trio.Nursery) -> None:
            raise DemoFailed("the relay did not start")

    story = Broken(tmp_path, SMALL, 7, lambda text: None)
    async with trio.open_nursery() as nursery:
        await story.run(nursery)
        await story.close()
    assert story.figures.failures == ["the relay did not start"]
    assert not story.figures.ok


async def test_games_that_fail_are_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(self: Story, *arguments: object) -> None:
        await trio.lowlevel.checkpoint()

    async def breaks(self: Story, *arguments: object) -> None:
        raise DemoFailed("nobody came back")

    async def run(self: Games) -> None:
        self.figures["chess"] = "lost"
        raise ExceptionGroup("", [DemoFailed("no relay")])

    for name in ("_open", "_pair", "_group", "_latency", "_marker_search"):
        monkeypatch.setattr(Story, name, nothing)
    monkeypatch.setattr(Story, "_away", breaks)
    monkeypatch.setattr(Games, "run", run)
    story = Story(tmp_path, Sizes(), 7, lambda text: None)
    async with trio.open_nursery() as nursery:
        await story.run(nursery)
    assert sorted(story.figures.failures) == ["games: no relay", "nobody came back"]
    assert story.figures.games == {"chess": "lost"}


def test_a_wrong_history_is_a_failure(tmp_path: Path) -> None:
    story = Story(tmp_path, SMALL, 7, lambda text: None)
    story._add(Verdict(3, 3, 6, 1, 0, 0, 2))
    assert story.figures.lost == 1
    assert not story.figures.orders_equal
    assert not story.figures.ok


def test_figures_for_programs() -> None:
    assert Figures(5).as_json()["seed"] == 5
