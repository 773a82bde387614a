"""`chappe bench`: its words, its JSON, its exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest
import trio

from relay.bench import run as run_module
from relay.bench.figures import Figures
from relay.bench.run import Wanted
from relay.bench.wire import BenchFailed
from relay.cli import bench as verb

FIGURES = Figures("stored", "messages stored", 2, 1.0, [1.0, 3.0], "from PUB to OK", 5, 0.95)
Done = Callable[[Figures], None]


def instead(monkeypatch: pytest.MonkeyPatch, *outcomes: BaseException) -> list[tuple[Wanted, str | None]]:
    """Take the place of the measurements: figures, then ``outcomes``."""
    asked: list[tuple[Wanted, str | None]] = []

    async def bench(wanted: Wanted, url: str | None, report: Callable[[str, float], None], done: Done) -> None:
        await trio.lowlevel.checkpoint()
        asked.append((wanted, url))
        report("stored", 0.0)
        done(FIGURES)
        for outcome in outcomes:
            raise BaseExceptionGroup("nursery", [BaseExceptionGroup("nursery", [outcome])])

    monkeypatch.setattr(run_module, "bench", bench)
    return asked


def test_for_people(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = instead(monkeypatch)
    assert verb.bench("stored", seconds=1.0) == 0
    said = capsys.readouterr().out
    assert "stored: 2 messages stored/s (2 in 1.0 s) · 5 put off by the relay" in said
    assert "p50 1.00 ms · p90 3.00 ms" in said
    assert "█" in said
    assert "nearly all the time" in said
    assert asked == [(Wanted(("stored",), seconds=1.0), None)]


def test_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = instead(monkeypatch)
    assert verb.bench(json=True, url="ws://127.0.0.1:1/ws", invite="00ff") == 0
    assert json.loads(capsys.readouterr().out) == FIGURES.as_json()
    (wanted, url) = asked[0]
    assert len(wanted.loads) == 5
    assert wanted.invite == b"\x00\xff"
    assert url == "ws://127.0.0.1:1/ws"


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    instead(monkeypatch)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert verb.bench("stored") == 0
    assert "stored" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"connections": 1}, "--connections"),
        ({"url": "http://relay.example"}, "no address of a relay"),
        ({"invite": "xyz"}, "--invite is the invitation"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, object], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert verb.bench(**options) == 2  # type: ignore[arg-type]
    assert text in capsys.readouterr().err


def test_a_relay_that_refuses(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    instead(monkeypatch, BenchFailed("the relay refused (403): by invitation only"))
    assert verb.bench("stored") == 1
    assert "chappe bench: the relay refused (403)" in capsys.readouterr().err


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    instead(monkeypatch, KeyboardInterrupt())
    assert verb.bench("stored") == 130
