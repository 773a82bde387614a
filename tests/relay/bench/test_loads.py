"""Every measurement against a real relay, for a moment; and against one that puts much off."""

from __future__ import annotations

import dataclasses

import pytest
import trio

from protocol import frames as F
from relay import testing
from relay.bench import loads
from relay.bench.crew import Options, open_crew
from relay.bench.loads import LOADS, Ephemerals, Run
from relay.bench.wire import BenchFailed, Where, Wire
from relay.config import Settings
from tests.relay.bench.test_crew import ROOMY

BUSY = dataclasses.replace(ROOMY, publishes_per_s=10_000, ephemerals_per_s=100_000, account_share=1000)


def options(url: str, **changes: object) -> Options:
    values = Options(Where.of(url), 4, 0.2, 8, 64, 50)
    return dataclasses.replace(values, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", LOADS)
async def test_a_measurement(name: str) -> None:
    shares: list[float] = []
    async with testing.open_relay(BUSY) as relay, open_crew(options(relay.url)) as crew:
        figures = await LOADS[name](crew, shares.append)
    assert figures.name == name
    assert figures.count >= 1
    assert 0 < figures.at(0.5) <= figures.at(1.0)
    assert figures.seconds >= 0.2
    assert not figures.refused
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


async def test_a_catch_up_reads_everything_every_time() -> None:
    async with testing.open_relay(BUSY) as relay, open_crew(options(relay.url)) as crew:
        figures = await loads.catch_up(crew, lambda share: None)
    entries, rest = divmod(figures.count, len(figures.latencies_ms))
    assert rest == 0
    assert entries >= 51  # what was asked for, and the commit that founded the conversation


@pytest.mark.parametrize("name", ["stored", "fan-out"])
async def test_what_is_put_off_is_counted_and_sent_again(name: str) -> None:
    slow = Settings(
        port=0, ops_port=0, requests_per_s=10_000, publishes_per_s=20, ephemerals_per_s=20, topics_per_day=1000
    )
    async with (
        testing.open_relay(slow) as relay,
        open_crew(options(relay.url, connections=2, seconds=0.3, window=64)) as crew,
    ):
        figures = await LOADS[name](crew, lambda share: None)
    assert figures.refused
    assert figures.count


async def test_a_storm_that_nobody_comes_back_from(monkeypatch: pytest.MonkeyPatch) -> None:
    async with testing.open_relay(ROOMY) as relay, open_crew(options(relay.url)) as crew:
        people = await crew.people(2)

        async def full() -> Wire:
            raise BenchFailed("full")

        async def there(count: int) -> object:
            return people

        monkeypatch.setattr(crew, "wire", full)
        monkeypatch.setattr(crew, "people", there)
        with pytest.raises(BenchFailed, match="nobody came back"):
            await loads.connect_storm(crew, lambda share: None)


async def test_what_does_not_arrive_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loads, "BENCH_WAIT_S", 0.1)
    async with testing.open_relay(BUSY) as relay, open_crew(options(relay.url)) as crew:
        people = await crew.people(2)
        await people.wires[0].follow(people.topic)  # and the other does not
        run = Run(0.1, lambda share: None)
        load = Ephemerals(run, people.wires[0], people.wires[1:], people.topic, 2, 64)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stir, load)
            with pytest.raises(BenchFailed, match="2 ephemeral messages did not arrive"):
                await load.load()
            nursery.cancel_scope.cancel()


async def _stir(load: Ephemerals) -> None:
    """Answers of no PUB: the publisher looks up again."""
    while True:
        load._answered(F.Ok(0))
        load._moved.set()
        await trio.sleep(0.01)
