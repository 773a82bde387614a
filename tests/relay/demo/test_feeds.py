"""The demo's acts about feeds, whole: real processes, a real ranker."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.lowlevel

from relay.demo import feeds as module
from relay.demo.feeds import Feeds
from relay.demo.processes import Bell, DemoFailed, Person, RelayProcess


async def test_a_small_town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AUTHORS", 2)
    relay, bell = RelayProcess(tmp_path / "relay", tmp_path / "relay.log"), Bell()
    people = {name: Person(name, tmp_path / name, tmp_path / f"{name}.log", bell) for name in ("alice", "bob")}
    told: list[str] = []
    feeds = Feeds(tmp_path, people, told.append, lambda: relay.url)
    async with trio.open_nursery() as nursery:
        try:
            await relay.start(nursery)
            for person in people.values():
                await person.start(nursery, relay.url)
                await person.do("handle", name=person.name)
            await feeds.start()
            await feeds.run(nursery)
        finally:
            with trio.CancelScope(shield=True):
                await feeds.stop()
                for person in people.values():
                    await person.stop()
                await relay.stop()
    assert feeds.promises() == dict.fromkeys(feeds.promises(), True)
    assert feeds.figures.as_json()["followed"] == 2
    assert any("briefing" in line for line in told)


async def test_a_ranker_that_never_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.01)
    feeds = Feeds(tmp_path, {}, lambda text: None, str)
    feeds._posts = ["abcdef"]

    async def lines(*words: object) -> list[str]:
        await trio.lowlevel.checkpoint()
        return ["this post is not known here"]

    monkeypatch.setattr(feeds, "_lines", lines)
    with pytest.raises(DemoFailed, match="never read post abcdef"):
        await feeds._known(Person("alice", tmp_path, tmp_path / "log", Bell()))
    await feeds.stop()
    assert not all(feeds.promises().values())
