"""People with feeds on a relay in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import trio

from clients.client import Client
from clients.connection import Refusal
from clients.directory import CannotAdd
from clients.feed import Entry, Gap, Item
from tests.support.workers import WAIT_S, Stage, open_stage

T = TypeVar("T")


@asynccontextmanager
async def open_town(home: Path) -> AsyncIterator[Stage]:
    """A relay, and nobody there yet."""
    async with open_stage(home) as stage:
        yield stage


async def people(stage: Stage, *names: str) -> list[Client]:
    """Somebody for each name."""
    return [(await stage.person(name)).client for name in names]


async def said(client: Client, text: str, *tags: str) -> Entry:
    """Post something; the entry once it is stored."""
    return await client.feed.stored(await client.feed.post(text, tags=tags))


def texts(page: Sequence[Item | Gap]) -> list[str]:
    """What a page says; gaps as how much is missing."""
    return [item.text if isinstance(item, Item) else f"gap {item.first}-{item.last}" for item in page]


async def patiently(doing: Callable[[], Awaitable[T]]) -> T:
    """Do what fails as long as somebody who has just come cannot be found or added."""
    with trio.fail_after(WAIT_S):
        while True:
            try:
                return await doing()
            except (CannotAdd, Refusal):
                await trio.sleep(0.01)
