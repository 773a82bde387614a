"""The ranking worker in this process, on a relay in this process, with people who read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from clients.client import Client
from clients.connection import Refusal
from clients.feed import Entry
from extensions.ranking.events import Signal, from_bytes
from extensions.ranking.shop import Shop
from extensions.ranking.worker import Ranking, make_worker
from tests.support.workers import WAIT_S, Running, Stage, open_stage, until


@dataclass
class Town:
    """A stage with the ranking worker on it."""

    stage: Stage
    running: Running
    ranking: Ranking

    @property
    def shop(self) -> Shop:
        """Of the present process."""
        assert self.ranking.shop is not None
        return self.ranking.shop

    def signals(self) -> list[str]:
        """What the log has of signals, by kind, in order."""
        rows = self.running.vault.query("SELECT event FROM rank_log ORDER BY n")
        return [event.kind for (row,) in rows if isinstance(event := from_bytes(row), Signal)]

    async def reader(self, name: str, *follows: Client) -> Client:
        """Somebody who has opted in."""
        client = (await self.stage.person(name)).client
        for author in follows:
            await client.feed.follow(author.account)
        with trio.fail_after(WAIT_S):
            while True:
                try:
                    await client.feed.rank.opt_in()
                    return client
                except Refusal:
                    await trio.sleep(0.01)  # the worker has not taken its handle yet

    async def knows(self, *entries: Entry) -> None:
        """Wait until the ranker has read entries."""
        await until(lambda: all(entry.key in self.shop.places for entry in entries), "the posts")


async def start(stage: Stage) -> Town:
    """Start the worker."""
    worker = make_worker()
    ranking = worker.take.__self__  # type: ignore[union-attr]
    running = await stage.start(worker)
    await until(lambda: ranking.shop is not None, "the ranker")
    return Town(stage, running, ranking)


@asynccontextmanager
async def open_ranking(home: Path) -> AsyncIterator[Town]:
    """A relay, the worker, and nobody else yet."""
    async with open_stage(home) as stage:
        yield await start(stage)
