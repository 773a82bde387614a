"""The referee in this process, on a relay in this process, with people who play."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from clients.client import Client, now_ms, open_client
from clients.connection import Refusal
from clients.directory import CannotAdd
from clients.games.records import State
from clients.vault import Secret, Vault
from extensions.games.engines import Engines
from extensions.games.hall import Hall
from extensions.games.pulse import RefereeClock
from extensions.games.worker import NAME, Refereeing, make_worker
from relay.testing import TestRelay
from tests.support.workers import WAIT_S, Running, Stage, open_stage, until


class SlowClock:
    """A referee's clock that a test moves on; it follows real time otherwise."""

    def __init__(self) -> None:
        self.extra_ns = 0

    def monotonic_ns(self) -> int:
        import time

        return time.monotonic_ns() + self.extra_ns

    def skip(self, ms: int) -> None:
        self.extra_ns += ms * 1_000_000


@dataclass
class Club:
    """A stage with the referee on it."""

    stage: Stage
    running: Running
    refereeing: Refereeing
    clock: SlowClock

    @property
    def hall(self) -> Hall:
        """Of the present process."""
        assert self.refereeing.hall is not None
        return self.refereeing.hall

    @property
    def account(self) -> bytes:
        """The referee's."""
        return self.running.process.engine.shelf.account

    def skip(self, ms: int) -> None:
        """Let time pass for the referee."""
        self.clock.skip(ms)
        self.refereeing.wake()

    async def person(self, name: str) -> Client:
        """Somebody who talks with the referee."""
        client = (await self.stage.person(name)).client
        await self.befriend(client)
        return client

    @asynccontextmanager
    async def visitor(self, name: str) -> AsyncIterator[Client]:
        """The same, who goes at the end of the block."""
        home = self.stage.home
        vault = Vault(home / f"{name}.db", Secret.key_file(home / f"{name}.key"))
        try:
            async with open_client(self.stage.relay.url, vault) as client:
                await client.wait_connected()
                await self.befriend(client)
                yield client
        finally:
            vault.close()

    async def befriend(self, client: Client) -> None:
        """Found the conversation with the referee, who may be starting."""
        with trio.fail_after(WAIT_S):
            while True:
                try:
                    await client.pair(await client.find(NAME))
                    return
                except (Refusal, CannotAdd):
                    await trio.sleep(0.01)

    async def meet(self, one: Client, other: Client | bytes) -> None:
        """Found the conversation of two people, of whom the second may only just have arrived."""
        with trio.fail_after(WAIT_S):
            while True:
                try:
                    await one.pair(other if isinstance(other, bytes) else other.account)
                    return
                except (Refusal, CannotAdd):
                    await trio.sleep(0.01)

    async def begin(self, one: Client, other: Client, game: str = "tictactoe", **terms: object) -> bytes:
        """A match of two, the first of whom sits first unless told otherwise."""
        await self.meet(one, other)
        match = await one.games.offer(game, other.account, **{"wish": 1, "timeout_s": WAIT_S, **terms})  # type: ignore[arg-type]
        await until(lambda: match in other.games.book.records, "the invitation")
        await other.games.accept(match)
        for client in (one, other):
            await until(lambda c=client: c.games.record(match).genesis, "the beginning")  # type: ignore[misc]
        return match

    async def play(self, match: bytes, players: tuple[Client, ...], *moves: str) -> None:
        """Moves in turns, each heard by everybody before the next."""
        for action in moves:
            await self.follow(match, players)
            seat = players[0].games.position(match).turn[0]
            mover = next(client for client in players if client.games.record(match).seat == seat)
            assert await mover.games.move(match, action, timeout_s=WAIT_S)
        await self.follow(match, players)

    async def follow(self, match: bytes, players: tuple[Client, ...]) -> None:
        """Wait until everybody has all entries."""

        def even() -> bool:
            table = self.hall.tables[match]
            assert table.log is not None
            return {client.games.record(match).plies for client in players} == {table.log.match.ply}

        await until(even, "everybody to have all entries")

    async def over(self, match: bytes, *players: Client) -> None:
        """Wait until everybody has heard of the end."""
        for client in players:
            await until(lambda c=client: c.games.record(match).state == State.OVER, "the end")  # type: ignore[misc]


async def start_club(stage: Stage, clock: SlowClock | None = None, engines: Engines | None = None) -> Club:
    """Start the worker."""
    clock, engines = clock or SlowClock(), Engines() if engines is None else engines
    worker = make_worker(RefereeClock(now_ms, clock.monotonic_ns), engines)
    refereeing = worker.take.__self__  # type: ignore[union-attr]
    running = await stage.start(worker)
    await until(lambda: refereeing.hall is not None, "the hall")
    return Club(stage, running, refereeing, clock)


@asynccontextmanager
async def open_club(home: Path, relay: TestRelay | None = None) -> AsyncIterator[Club]:
    """A relay, the referee, and nobody else yet."""
    async with open_stage(home, relay) as stage:
        yield await start_club(stage)
