"""Who makes the load: new accounts, their connections, and the conversations that they share."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import trio

from protocol import frames as F
from protocol import ids
from protocol.codec import encode_struct
from relay.bench.wire import Account, Where, Wire, connect, unix_ms
from relay.bounds import BENCH_ACCOUNTS_MAX

_AT_ONCE: Final = 8  # connections that are made at the same time: a relay has other guests
_NONCE_BYTES: Final = 16

#: Told how much of a measurement is done, 0 to 1.
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What every measurement may use of a relay. ``window``: messages under way of each publisher."""

    where: Where
    connections: int
    seconds: float
    window: int
    body_bytes: int
    stored: int
    invite: bytes | None = None
    context: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class People:
    """A conversation, the connections of its devices, and which device each is."""

    topic: bytes
    wires: list[Wire]
    places: list[tuple[Account, int]]


class Crew:
    """Makes connections of accounts that exist for this run only; ``nursery`` reads them."""

    def __init__(self, nursery: trio.Nursery, options: Options) -> None:
        self._nursery = nursery
        self.options = options
        self._open: list[Wire] = []

    async def wire(self) -> Wire:
        """A connection that has not logged in."""
        wire = await connect(self._nursery, self.options.where, self.options.context)
        self._open.append(wire)
        return wire

    async def newcomer(self, devices: int = 1) -> tuple[Account, Wire]:
        """A new account, and the connection of its first device."""
        account, wire = Account(devices), await self.wire()
        await wire.register(account, self.options.invite)
        return account, wire

    async def newcomers(self, count: int, devices: int = 1) -> list[tuple[Account, Wire]]:
        """Some of them, a few at a time."""
        made: list[tuple[Account, Wire]] = []
        await self._in_turn(count, lambda number: self._add(made, devices))
        return made

    async def _add(self, made: list[tuple[Account, Wire]], devices: int) -> None:
        made.append(await self.newcomer(devices))

    async def people(self, count: int) -> People:
        """``count`` logged-in connections, each of a device of its own, in one conversation that they may follow."""
        devices = -(-count // BENCH_ACCOUNTS_MAX)
        first = await self.newcomers(-(-count // devices), devices)
        topic = await found(first[0][1], first[0][0], [account for account, _ in first[1:]])
        places = [(account, 0) for account, _ in first]
        wires = [wire for _, wire in first]
        others = [(account, device) for device in range(1, devices) for account, _ in first][: count - len(first)]

        async def join(number: int) -> None:
            wire = await self.wire()
            await wire.login(*others[number])
            places.append(others[number])
            wires.append(wire)

        await self._in_turn(len(others), join)
        return People(topic, wires, places)

    async def _in_turn(self, count: int, do: Callable[[int], Awaitable[None]]) -> None:
        limiter = trio.CapacityLimiter(_AT_ONCE)

        async def one(number: int) -> None:
            async with limiter:
                await do(number)

        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(one, number)

    async def aclose(self) -> None:
        """Drop every connection."""
        for wire in self._open:
            await wire.aclose()
        self._open.clear()


@asynccontextmanager
async def open_crew(options: Options) -> AsyncIterator[Crew]:
    """A crew whose connections all end with the block."""
    async with trio.open_nursery() as nursery:
        crew = Crew(nursery, options)
        try:
            yield crew
        finally:
            with trio.CancelScope(shield=True):
                await crew.aclose()
        nursery.cancel_scope.cancel()


def new_id() -> bytes:
    """A message id."""
    return ids.new_id(unix_ms(), os.urandom)


async def found(wire: Wire, founder: Account, others: list[Account]) -> bytes:
    """A conversation of ``founder`` and others. Raises ``BenchFailed``."""
    nonce = os.urandom(_NONCE_BYTES)
    topic = ids.group_topic(founder.id, nonce)
    change = F.AccessChange(added=tuple((other.id, F.Role.MEMBER) for other in others))
    bundle = F.Bundle(F.Create(ids.TopicKind.GROUP, nonce))
    id_ = new_id()
    await wire.ok(
        lambda rid: F.Pub(
            rid, topic, id_, flags=F.Flag.COMMIT | F.Flag.ACCESS, epoch=(1, 0), header=encode_struct(change),
            body=b"bench", bundle=bundle,
        ),
        F.PubResult,
    )  # fmt: skip
    return topic
