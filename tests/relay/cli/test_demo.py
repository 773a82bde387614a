"""``chappe demo``: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from relay.cli import demo
from relay.demo.story import Story


@pytest.fixture(autouse=True)
def stories(monkeypatch: pytest.MonkeyPatch) -> list[Story]:
    """Stories that consist of their figures: the acts themselves are tested with ``Story``."""
    made: list[Story] = []

    async def run(self: Story, nursery: trio.Nursery) -> None:
        made.append(self)
        self.figures.sent = self.figures.stored = 12
        self.figures.failures = list(failures)
        self.figures.marker_in_memory = False
        self.figures.promises = {"money": {"refund": True, "sums": False}}

    async def conclude(self: Story) -> None:
        self.figures.delivered = 24

    failures: list[str] = []
    monkeypatch.setattr(Story, "run", run)
    monkeypatch.setattr(Story, "conclude", conclude)
    monkeypatch.setattr(demo, "_failures", failures, raising=False)
    return made


def call(*arguments: str) -> int:
    """The exit code."""
    code: Any = demo.command(list(arguments), result_action="return_value")
    return int(code)


def test_the_summary_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--seed", "5") == 0
    out = capsys.readouterr().out
    wanted = ("messages said", "12", "lost", "seed", "5", "nowhere", "everything that is promised happened")
    for part in (*wanted, "PASS  money: refund", "FAIL  money: sums"):
        assert part in out


def test_the_summary_for_programs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call("--json", "--directory", str(tmp_path / "here")) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["ok"] is True
    assert record["delivered"] == 24
    assert (tmp_path / "here").is_dir()


def test_a_broken_promise_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    demo._failures.append("two messages were lost")  # type: ignore[attr-defined]
    assert call() == 1
    assert "two messages were lost" in capsys.readouterr().out


def test_keep_stays_until_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trio, "sleep_forever", interrupted)
    assert call("--keep") == 130
    captured = capsys.readouterr()
    assert "chappe chat" in captured.out
    assert "ended" in captured.err
