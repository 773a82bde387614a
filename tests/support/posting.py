"""Two real clients over a real relay in this process, who know each other: for tests that move files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from clients.client import Client, open_client
from clients.conversations import Conversation
from clients.events import Received
from clients.vault import Secret, Vault
from protocol.messages import parse
from protocol.messages.chat import Media
from relay.config import Settings
from relay.testing import TEST_SETTINGS, TestRelay, open_relay

TIMEOUT_S = 20
_LOOK_S = 0.005


@dataclass
class Post:
    """A relay, and ann's and bob's ends of one conversation."""

    relay: TestRelay
    ann: Client
    bob: Client
    talk: Conversation
    folder: Path

    async def arrived(self) -> Media:
        """Wait until bob has a file's message."""
        with trio.fail_after(TIMEOUT_S):
            async for event in self.bob.events():
                if isinstance(event, Received):
                    body = parse(event.content).body
                    if isinstance(body, Media):
                        return body
        raise AssertionError


@asynccontextmanager
async def open_person(url: str, folder: Path, name: str) -> AsyncIterator[Client]:
    """A client over the vault in ``folder / name``."""
    vault = Vault(folder / name / "vault.db", Secret("key", name.encode().ljust(32)))
    try:
        async with open_client(url, vault) as client:
            await client.wait_connected()
            yield client
    finally:
        vault.close()


async def _pair(relay: TestRelay, ann: Client, bob: Client) -> Conversation:
    """The conversation, as soon as bob's key packages are at the relay.

    The store is asked, not the relay: whoever asks that again and again on a slow machine is told to wait (429).
    """
    packages, account = relay.store.key_packages, bob.account
    while not any(claimed.package for claimed in await packages.claim([account], strangers=[account])):  # noqa: ASYNC110 - no bell rings for it
        await trio.sleep(_LOOK_S)
    return await ann.pair(account)


@asynccontextmanager
async def open_post(folder: Path, settings: Settings = TEST_SETTINGS) -> AsyncIterator[Post]:
    """Everything, with the conversation founded and bob in it."""
    async with (
        open_relay(settings, data=folder / "relay") as relay,
        open_person(relay.url, folder, "ann") as ann,
        open_person(relay.url, folder, "bob") as bob,
    ):
        with trio.fail_after(TIMEOUT_S):
            talk = await _pair(relay, ann, bob)
            await talk.send("hello")
            async for event in bob.events():
                if isinstance(event, Received):
                    break
        yield Post(relay, ann, bob, talk, folder)
