"""The run: bounds, a private relay, a given one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from relay import testing
from relay.bench.figures import Figures
from relay.bench.run import Wanted, bench, first, private_relay
from relay.bench.wire import BenchFailed
from tests.relay.bench.test_loads import BUSY

SHORT = Wanted(("one-to-one",), connections=2, seconds=0.1)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"loads": ("fan-in",)}, "no measurement 'fan-in'; there are fan-out"),
        ({"connections": 1}, "--connections is between 2 and 900"),
        ({"seconds": 301.0}, "--seconds"),
        ({"window": 0}, "--window"),
        ({"body_bytes": 8}, "--bytes is between 16"),
        ({"stored": 20_001}, "--stored"),
    ],
)
def test_bounds(changes: dict[str, object], text: str) -> None:
    with pytest.raises(BenchFailed, match=text):
        dataclasses.replace(SHORT, **changes).check()  # type: ignore[arg-type]
    SHORT.check()


def test_a_certificate_may_be_left_unchecked() -> None:
    assert SHORT.options("wss://relay.example/ws").context is None
    context = dataclasses.replace(SHORT, insecure=True).options("wss://relay.example/ws").context
    assert context is not None
    assert not context.check_hostname


async def test_a_private_relay_that_ends_with_the_run() -> None:
    done: list[Figures] = []
    reports: list[tuple[str, float]] = []
    await bench(SHORT, None, lambda name, share: reports.append((name, share)), done.append)
    assert [figures.name for figures in done] == ["one-to-one"]
    assert done[0].count
    assert reports[0] == ("one-to-one", 0.0)
    assert reports[-1] == ("one-to-one", 1.0)
    assert json.dumps(done[0].as_json())


async def test_a_given_relay() -> None:
    done: list[Figures] = []
    async with testing.open_relay(BUSY) as relay:
        await bench(SHORT, relay.url, lambda name, share: None, done.append)
    assert done[0].count


async def test_a_private_relay_that_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(BaseExceptionGroup) as group:
        async with private_relay(tmp_path):
            pass
    assert "did not start" in str(first(group.value))
