"""The relay for tests."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.testing

from relay.broker.memory import Bus
from relay.testing import TEST_SETTINGS, open_relay, small, virtual_clock_ms
from storage.memory import MemoryStore
from tests.support.people import Person
from tests.support.waiting import until
from tests.support.wire import open_wire


async def test_in_memory_with_a_given_store() -> None:
    store = MemoryStore(clock_ms=lambda: 7, spacing_ms=0)
    async with open_relay(store=store, clock_ms=lambda: 7) as relay:
        assert relay.store is store
        assert relay.clock_ms() == 7
        assert relay.url == relay.node.url
        async with open_wire(relay.url) as wire:
            await wire.receive()
            assert relay.node.counters.accepted == 1
        await until(lambda: relay.node.statistics().connections == 0)


async def test_in_a_directory(tmp_path: Path) -> None:
    for registered in (False, True):
        async with open_relay(data=tmp_path) as relay, open_wire(relay.url) as wire:
            alice = Person("alice", relay.clock_ms())
            assert (await wire.login(alice)).registered == registered
            if not registered:
                from protocol import requests as R

                await wire.request("devices.publish", R.PublishList(alice.signed()), int)


async def test_two_on_one_bus() -> None:
    bus = Bus()
    async with open_relay(bus=bus), open_relay(bus=bus) as relay:
        assert not relay.node.relay.broker.is_alone
        relay.node.relay.broker.announce_nowait(b"c", b"x")
    assert bus.nodes == []


async def test_time_is_virtual(autojump_clock: trio.testing.MockClock) -> None:
    clock_ms = virtual_clock_ms()
    begin = clock_ms()
    await trio.sleep(86_400)
    assert clock_ms() - begin == 86_400_000


def test_settings() -> None:
    assert small(port=9).port == 9
    assert TEST_SETTINGS.port == 0
