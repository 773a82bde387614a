"""Driving ``chappe up`` and ``chappe chat --json`` as processes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from relay.demo import processes
from relay.demo.processes import Bell, DemoFailed, Line, Person, RelayProcess


def person_of(tmp_path: Path) -> Person:
    """Somebody whose process is not started."""
    return Person("ann", tmp_path / "ann", tmp_path / "ann.log", Bell())


def feed(person: Person, **record: object) -> None:
    """A line of output."""
    person._line(json.loads(json.dumps(record)), 1.5)


async def test_a_person_at_a_relay_from_start_to_kill(tmp_path: Path) -> None:
    relay, ann = RelayProcess(tmp_path / "relay", tmp_path / "relay.log"), person_of(tmp_path)
    async with trio.open_nursery() as nursery:
        await relay.start(nursery)
        try:
            await ann.start(nursery, relay.url)
            assert (await ann.do("handle", name="ann"))["handle"] == "ann"
            assert ann.connected
            assert "no contact" in (await ann.ask("pair", name="bob"))["error"]
            with pytest.raises(DemoFailed, match="no contact"):
                await ann.do("pair", name="bob")
            assert await ann.kill() == -9
            assert await ann.ask("list") == {"error": "the client process is gone"}
            await ann.stop()  # nothing to end any more
            port = relay.port
            assert await relay.kill() == -9
            assert await relay.stop() is None
            await relay.start(nursery)
            assert relay.port == port
        finally:
            assert await relay.stop() == 0


async def test_a_relay_that_does_not_start_is_said(tmp_path: Path) -> None:
    (tmp_path / "relay").write_text("a file where the directory should be")
    relay = RelayProcess(tmp_path / "relay", tmp_path / "relay.log")
    async with trio.open_nursery() as nursery:
        with pytest.raises(DemoFailed, match="did not start"):
            await relay.start(nursery)
    await relay.stop()


def test_the_installed_command_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert processes.chappe("up")[1:] == ["up"]
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert processes.chappe("up") == ["chappe", "up"]


def test_settings_of_the_caller_do_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAPPE_RELAY_PORT", "1")
    assert "CHAPPE_RELAY_PORT" not in processes.clean_environment()


def test_events_become_a_history(tmp_path: Path) -> None:
    ann = person_of(tmp_path)
    feed(ann, event="received", seq=1, topic="t", offset=4, id="i", account="a", text=None)
    feed(ann, event="stored", seq=2, topic="t", id="i", offset=4)
    feed(ann, event="delivered", seq=3, topic="t", account="b", offset=4)
    feed(ann, event="joined", seq=4, topic="t")
    assert ann.lines("t") == [Line(1, 4, "i", "a", "")]
    assert ann.stored == {"i": 4}
    assert ann.delivered == {"t": {"b": 4}}
    assert ann.heard_at == {"i": 1.5}
    assert ann.faults == []


def test_a_hole_in_the_events_and_a_failed_message_are_faults(tmp_path: Path) -> None:
    ann = person_of(tmp_path)
    feed(ann, event="joined", seq=2, topic="t")
    feed(ann, event="failed", seq=3, topic="t", text="refused")
    feed(ann, event="unreadable", seq=4, topic="t", reason="damaged")
    assert ann.faults == ["event 2 came after event 0", "failed: refused", "unreadable: damaged"]


def test_notices(tmp_path: Path) -> None:
    ann = person_of(tmp_path)
    feed(ann, notice="connected", url="u")
    feed(ann, notice="caughtup", topic="t", offset=9)
    feed(ann, notice="ephemeral", topic="t")
    assert ann.caught_up == {"t": 9}
    seen = [ann.connected]
    feed(ann, notice="disconnected", reason="gone")
    feed(ann, error="a command is a JSON object")
    assert [*seen, ann.connected] == [True, False]


async def test_waiting_in_vain_is_said(tmp_path: Path, autojump_clock: Callable[[], float]) -> None:
    with pytest.raises(DemoFailed, match="ann waited 5 s in vain for rain"):
        await person_of(tmp_path).until(lambda: False, "rain", 5)
