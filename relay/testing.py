"""A relay inside a test: in this process, on a loopback port of its own, over memory or a directory.

::

    async with open_relay() as relay:
        relay.url            # ws://127.0.0.1:54321/ws
        relay.node.counters  # what has happened

Wall-clock time follows trio's clock, so a test with a virtual clock moves the whole relay.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from protocol.ids import Entropy
from relay.broker.memory import Bus
from relay.config import Settings
from relay.node import Node, open_node, trio_tick_ms, wall_clock_ms
from storage.base import Store
from storage.memory import MemoryStore

TEST_SETTINGS = Settings(port=0, ops_port=0)


@dataclass(frozen=True, slots=True)
class TestRelay:
    """A running relay. ``url``: where clients connect; ``clock_ms``: the relay's wall clock."""

    __test__ = False  # not a test, whatever its name says to pytest

    url: str
    node: Node
    store: Store
    clock_ms: Callable[[], int]


def virtual_clock_ms() -> Callable[[], int]:
    """A wall clock that starts now and goes on with trio's clock, even where that one jumps."""
    begin = wall_clock_ms() - trio_tick_ms()
    return lambda: begin + trio_tick_ms()


@asynccontextmanager
async def open_relay(
    settings: Settings = TEST_SETTINGS, *, store: Store | None = None, data: Path | None = None,
    clock_ms: Callable[[], int] | None = None, spacing_ms: int = 0, bus: Bus | None = None,
    entropy: Entropy = os.urandom, cluster: bytes = bytes(range(16)), plane: str | None = None,
) -> AsyncIterator[TestRelay]:  # fmt: skip
    """Run a relay. Without ``store``: on SQLite in ``data`` if given, else in memory.

    ``spacing_ms``: least time between commits that remove nobody (0, so that tests need not wait). ``bus``: several
    nodes of one test share it. ``plane``: what moves bytes, in place of the setting; a network in memory needs "trio".
    """
    settings = settings if plane is None else replace(settings, plane=plane)
    clock = clock_ms or virtual_clock_ms()
    async with (
        _open_store(store, data, clock, spacing_ms) as opened,
        (bus or Bus()).open(_hear, _missed) as broker,
        open_node(settings, opened, broker, cluster, clock_ms=clock, entropy=entropy) as node,
    ):
        await node.listen()
        yield TestRelay(node.url, node, opened, clock)


@asynccontextmanager
async def _open_store(
    store: Store | None, data: Path | None, clock_ms: Callable[[], int], spacing_ms: int
) -> AsyncIterator[Store]:
    if store is not None:
        yield store
    elif data is None:
        yield MemoryStore(clock_ms=clock_ms, spacing_ms=spacing_ms)
    else:
        from storage.sqlite import open_store  # tests in memory need no SQL

        begin = clock_ms() - wall_clock_ms()  # the writer's thread cannot read trio's clock
        async with open_store(data, clock_ms=lambda: wall_clock_ms() + begin, spacing_ms=spacing_ms) as opened:
            yield opened


def _hear(channel: bytes, data: bytes) -> None:
    """Nodes announce; hearing each other comes with clustering."""


def _missed() -> None:
    """See ``_hear``."""


def small(**changes: object) -> Settings:
    """Settings of a test with some of them changed."""
    return replace(TEST_SETTINGS, **changes)  # type: ignore[arg-type]
