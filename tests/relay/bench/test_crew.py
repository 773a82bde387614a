"""Accounts, connections and conversations of a run."""

from __future__ import annotations

import pytest
import trio

from relay import testing
from relay.bench.crew import Options, open_crew
from relay.bench.wire import Where
from relay.config import Settings

ROOMY = Settings(
    port=0, ops_port=0, connects_per_s=100_000, requests_per_s=100_000, address_share=1000, topics_per_day=10_000
)


@pytest.mark.parametrize(("count", "devices"), [(5, 1), (130, 2)])
async def test_everybody_in_one_conversation(count: int, devices: int) -> None:
    async with (
        testing.open_relay(ROOMY) as relay,
        open_crew(Options(Where.of(relay.url), count, 1.0, 1, 100, 1)) as crew,
    ):
        people = await crew.people(count)
        assert len(people.wires) == len(people.places) == count
        assert len(set(people.places)) == count
        assert max(device for _, device in people.places) == devices - 1
        for wire in people.wires:
            await wire.follow(people.topic)
        assert len(relay.node.relay.registry) == count
        await crew.aclose()
        with trio.fail_after(10):
            await relay.node.relay.registry.empty()
