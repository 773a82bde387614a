"""A node: composition, the tasks that run beside it, and how it drains."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from protocol import frames as F
from relay.broker.memory import Bus
from relay.config import ConfigError
from relay.connection import Connection
from relay.node import COLLECTOR, SWITCH_INTERVAL_S, Node, open_node, prepare_process, settle_process, wall_clock_ms
from relay.testing import TEST_SETTINGS, small
from storage.base import Append, Freed, Outcome, StoreAway
from storage.memory import MemoryStore
from tests.support.lab import FakePeer, settle
from tests.support.people import Person, group, message
from tests.support.waiting import until
from tests.support.wire import open_wire

CLUSTER = bytes(16)


def memory_store() -> MemoryStore:
    """An empty store."""
    return MemoryStore(clock_ms=wall_clock_ms, spacing_ms=0)


async def test_commits_under_way_are_answered_before_the_goodbye() -> None:
    store = memory_store()
    append, held = store.topics.append_nowait, list[Callable[[], None]]()

    def slow(intent: Append, done: Callable[[Outcome], None]) -> None:
        held.append(lambda: append(intent, done))

    async with (
        Bus().open(lambda c, d: None, lambda: None) as broker,
        open_node(small(), store, broker, CLUSTER) as node,
    ):
        await node.listen()
        alice = Person("alice", wall_clock_ms())
        async with open_wire(node.url) as wire, open_wire(node.url) as silent, trio.open_nursery() as nursery:
            await wire.register(alice)
            await silent.receive()
            founding = group(alice)
            await wire.ok(founding, F.PubResult)
            store.topics.append_nowait = slow  # type: ignore[method-assign]
            await wire.send(message(alice, founding.topic, rid=5))
            await until(lambda: bool(held))
            nursery.start_soon(node.drain)
            nursery.start_soon(node.drain)
            assert (await wire.expect(F.Info, lambda info: info.flags == 1)).flags == 1
            await wire.send(message(alice, founding.topic, rid=6))
            refused = await wire.answer(6)
            assert isinstance(refused, F.Err)
            assert refused.code == 503
            assert node.statistics().is_draining
            assert node.statistics().inflight == 1
            held[0]()
            assert isinstance(await wire.answer(5), F.Ok)
            bye, code = await wire.end()
            assert bye is not None
            assert (bye.code, bye.reconnect_ms > 0, code) == (4000, True, 1012)
            assert (await silent.end())[1] == 1012
            await node.drained.wait()
            host, _, port = node.address.partition(":")
            with pytest.raises(OSError, match="connect"):
                await trio.open_tcp_stream(host, int(port))


async def test_draining_ends_in_time_whatever_the_clients_do(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        Bus().open(lambda c, d: None, lambda: None) as broker,
        open_node(small(drain_ms=10_000), memory_store(), broker, CLUSTER) as node,
    ):
        peer = FakePeer(1000)
        Connection(node.relay, None, peer)  # type: ignore[arg-type]  # never leaves by itself
        node.relay.pending.began()  # a commit that never comes
        begin = trio.current_time()
        await node.drain()
        assert 3 <= trio.current_time() - begin <= 10
        assert peer.closed is not None
        assert peer.closed[0] == 1012
        await node.drain()


async def test_silent_sockets_are_found(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        Bus().open(lambda c, d: None, lambda: None) as broker,
        open_node(small(), memory_store(), broker, CLUSTER) as node,
    ):
        peer = FakePeer(1000)
        Connection(node.relay, None, peer)  # type: ignore[arg-type]
        await trio.sleep(13)
        assert peer.closed is not None
        assert peer.closed[0] == 4003


async def test_retention_runs_and_survives(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = memory_store()
    asked: list[int] = []

    async def retain(before_ms: int, now_ms: int) -> Freed:
        asked.append(now_ms - before_ms)
        if len(asked) == 1:
            raise StoreAway("busy")
        return Freed(1, 2, 3, 4)

    monkeypatch.setattr(store.topics, "retain", retain)
    settings = small(retention_ms=1000, retention_every_ms=5000)
    with caplog.at_level(logging.INFO):
        async with Bus().open(lambda c, d: None, lambda: None) as broker, open_node(settings, store, broker, CLUSTER):
            await trio.sleep(11)
    assert asked == [1000] * 3
    texts = [record.getMessage() for record in caplog.records]
    assert sum("retention-skipped" in text for text in texts) == 1
    assert sum("retention entries=1" in text for text in texts) == 2


async def test_insecure_settings_are_said_loudly(caplog: pytest.LogCaptureFixture) -> None:
    settings = replace(TEST_SETTINGS, origins=("*",))
    with caplog.at_level(logging.WARNING):
        async with (
            Bus().open(lambda c, d: None, lambda: None) as broker,
            open_node(settings, memory_store(), broker, CLUSTER) as node,
        ):
            assert len(node.insecure) == 1
            assert node.counters.accepted == 0
    assert any(record.getMessage().startswith("insecure why=") for record in caplog.records)


async def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    settings = small(tls_certificate=str(tmp_path / "absent.pem"), tls_key=str(tmp_path / "absent.key"))
    async with Bus().open(lambda c, d: None, lambda: None) as broker:
        with pytest.RaisesGroup(ConfigError, allow_unwrapped=True, flatten_subgroups=True):
            async with open_node(settings, memory_store(), broker, CLUSTER):
                raise AssertionError("not reached")


async def test_two_nodes_of_one_process_hear_of_each_others_entries() -> None:
    bus = Bus()
    heard: list[bytes] = []
    async with (
        bus.open(lambda c, d: heard.append(c), lambda: None) as other,
        bus.open(lambda c, d: None, lambda: None) as broker,
        open_node(small(), memory_store(), broker, CLUSTER) as node,
    ):
        alice = Person("alice", wall_clock_ms())
        founding = group(alice)
        other.listen_nowait(founding.topic)
        await node.listen()
        async with open_wire(node.url) as wire:
            await wire.register(alice)
            await wire.ok(founding, F.PubResult)
        assert heard == [founding.topic]


def test_the_process_lets_its_threads_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[object] = []
    monkeypatch.setattr("sys.setswitchinterval", said.append)
    monkeypatch.setattr("gc.set_threshold", lambda *numbers: said.append(numbers))
    prepare_process()
    assert said == [SWITCH_INTERVAL_S, COLLECTOR]
    assert SWITCH_INTERVAL_S < 0.005


def test_what_is_there_at_the_start_is_collected_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("gc.collect", lambda: said.append("collect"))
    monkeypatch.setattr("gc.freeze", lambda: said.append("freeze"))
    settle_process()
    assert said == ["collect", "freeze"]


async def test_a_url_says_whether_it_is_secret() -> None:
    async with (
        Bus().open(lambda c, d: None, lambda: None) as broker,
        open_node(small(), memory_store(), broker, CLUSTER) as node,
    ):
        node.address = "h:1"
        assert node.url == "ws://h:1/ws"
        secret: Node = node
        secret.relay.settings = small(tls_certificate="c", tls_key="k")
        assert secret.url == "wss://h:1/ws"
        await settle()
