"""A client that is not connected to anything, over a real vault: what most parts of the bot SDK need to be tested."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio

from clients import account as accounts
from clients import records as R
from clients.bot.incoming import Incoming
from clients.bot.memory import BotMemory
from clients.client import Client
from clients.conversations import Conversation
from clients.events import AnyEvent, Received
from clients.records import Contact, Status
from clients.tasks import open_tasks
from clients.vault import Secret, Vault
from protocol.content import Content, encode_content
from protocol.frames import Role
from protocol.ids import TopicKind
from protocol.messages import Body, compose, parse
from protocol.messages.chat import Text

NOW_MS = 1_800_000_000_000
TOPIC = b"t" * 32
OTHER_TOPIC = b"u" * 32
ALICE = b"a" * 32
ME = b"m" * 32
_ids = itertools.count(1)


def clock_ms() -> int:
    """A wall clock that goes with trio's."""
    return NOW_MS + int(trio.current_time() * 1000)


@asynccontextmanager
async def open_alone(folder: Path) -> AsyncIterator[tuple[Client, BotMemory]]:
    """A client that writes its vault and never connects, in two groups with alice; and a bot's memory over it."""
    vault = Vault(folder / "vault.db", Secret.key_file(folder / "vault.key"))
    try:
        accounts_known = accounts.has_identity(vault)
        if not accounts_known:
            accounts.create_identity(vault, NOW_MS, lambda size: bytes(range(size)))
        client = Client("ws://127.0.0.1:1/ws", vault, clock_ms, lambda size: next(_ids).to_bytes(size, "big"))
        shelf = client.engine.shelf
        for topic in (TOPIC, OTHER_TOPIC):
            roster: dict[bytes, int] = {client.account: Role.MEMBER, ALICE: Role.ADMIN}
            shelf.save(R.Conversation(topic, TopicKind.GROUP, Status.ACTIVE, title="room", roster=roster))
        memory = BotMemory(vault, shelf.journal)
        async with open_tasks() as nursery:
            nursery.start_soon(shelf.journal.run)
            try:
                yield client, memory
            finally:
                nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await shelf.journal.commit()
    finally:
        vault.close()


def received(text: str | Body, *, topic: bytes = TOPIC, account: bytes = ALICE, mine: bool = False) -> Received:
    """A message as the SDK tells it."""
    number = next(_ids)
    body = Text(text=text) if isinstance(text, str) else text
    return Received(
        topic=topic, offset=number, id=number.to_bytes(16, "big"), account=account, device=account, ts=NOW_MS,
        content=compose(body), mine=mine,
    )  # fmt: skip


def unknown(type_name: str, version: int = 1, fallback: str | None = None) -> Received:
    """A message of a type that is not known here."""
    content = encode_content(Content(t=type_name, v=version, b=msgspec.Raw(b"\x80"), fb=fallback))
    return msgspec.structs.replace(received("x"), content=content)


def tell(client: Client, *events: AnyEvent) -> None:
    """Let events happen."""
    for event in events:
        client.engine.shelf.journal.tell(event)


def incoming(
    client: Client, text: str | Body | Received, *, state: str | None = None, contact: Contact | None = None
) -> Incoming:  # fmt: skip
    """A message as filters see it."""
    event = text if isinstance(text, Received) else received(text)
    talk = Conversation(client, event.topic)
    return Incoming(event, parse(event.content), talk, client.account, contact, state)


def said(client: Client) -> list[str]:
    """Texts that wait in the outbox, in order."""
    bodies = [parse(row.content).body for row in client.engine.shelf.outgoing.values()]
    return [body.text if isinstance(body, Text) else type(body).__name__ for body in bodies]
