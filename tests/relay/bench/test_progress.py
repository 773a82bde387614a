"""Bars that disappear."""

from __future__ import annotations

import io

from rich.console import Console

from relay.bench.progress import bars


def test_bars_follow_the_shares() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True)
    with bars(("fan-out", "stored"), console) as report:
        report("fan-out", 0.0)
        report("fan-out", 0.5)
        report("fan-out", 1.0)
        report("stored", 0.0)
    assert "fan-out" in out.getvalue()
