"""A verified contact's keys are replaced, over a real relay: shown, and nothing is sent until a person says so."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from clients.cli.personal import Personal
from clients.cli.room import OtherAccount, Room
from clients.client import Client, now_ms, open_client
from clients.conversations import Conversation, KeysChanged
from clients.devices.recovery import make_code, recover
from clients.events import KeyChanged, Received
from clients.records import Status
from clients.vault import Secret, Vault
from protocol.messages import parse
from protocol.messages.chat import Text
from protocol.requests import ClaimHandle
from relay.testing import TestRelay, open_relay

WAIT_S = 20


@asynccontextmanager
async def open_person(relay: TestRelay, home: Path, handle: str | None = None) -> AsyncIterator[Client]:
    vault = Vault(home / "vault.db", Secret.key_file(home / "vault.key"))
    try:
        async with open_client(relay.url, vault) as client:
            await client.wait_connected()
            if handle is not None:
                await client.claim_handle(handle)
            yield client
    finally:
        vault.close()


async def until(client: Client, condition: Callable[[], object]) -> None:
    with trio.fail_after(WAIT_S):
        while not condition():
            with trio.move_on_after(0.1):
                await client.wait_news()


async def let_in(client: Client, topic: bytes) -> None:
    """Wait until a recovered account is in a conversation again: what is said before is not for its new device."""
    await until(client, lambda: client.conversation(topic).status == Status.ACTIVE)


async def hear(client: Client, topic: bytes, text: str) -> None:
    """Wait until somebody was told a text."""
    with trio.fail_after(WAIT_S):
        async for event in client.events(0, topic):
            if isinstance(event, Received):
                body = parse(event.content).body
                if isinstance(body, Text) and body.text == text:
                    return


async def told_of_keys(client: Client, account: bytes) -> str:
    """What was shown about somebody's keys."""
    with trio.fail_after(WAIT_S):
        async for event in client.events(0, account):
            if isinstance(event, KeyChanged) and "recovered" in event.text:
                return event.text
    raise AssertionError


async def sends_nothing(talk: Conversation, room: Room) -> None:
    """Neither words nor files leave; the text says whose keys and what to do."""
    waiting = dict(room.client.engine.shelf.outgoing)
    with pytest.raises(KeysChanged, match="bob, whom you had verified, have changed; compare safety numbers"):
        await talk.send("is it you?")
    with pytest.raises(KeysChanged):
        await talk.send_file(Path(__file__))
    assert room.client.engine.shelf.outgoing == waiting


async def lose_and_recover(relay: TestRelay, home: Path, code: str) -> Path:
    """Bob's device is gone; the code brings the account back on another one."""
    vault = Vault(home / "vault.db", Secret.key_file(home / "vault.key"))
    try:
        await recover(relay.url, vault, code, "bob", clock_ms=now_ms, entropy=os.urandom)
    finally:
        vault.close()
    return home


async def test_a_verified_contact_is_recovered_and_once_more(tmp_path: Path) -> None:
    async with open_relay() as relay, open_person(relay, tmp_path / "alice") as alice:
        room = Room(alice)
        async with open_person(relay, tmp_path / "bob", "bob") as bob:
            account, _ = await room.add("bob")
            await room.verify("bob")
            talk = await alice.pair(account)
            await talk.send("hello")
            await hear(bob, talk.topic, "hello")
            code = await make_code(bob)
        again = await lose_and_recover(relay, tmp_path / "bob again", code)
        async with open_person(relay, again) as bob:
            assert bob.account == account
            assert "compare safety numbers" in await told_of_keys(alice, account)
            await until(alice, lambda: alice.engine.shelf.contacts[account].changed)
            await sends_nothing(talk, room)
            assert await Personal(room, lambda text: None).verbs["trust"](["bob"]) == [
                "you go on with bob, not verified"
            ]
            await let_in(bob, talk.topic)
            await talk.send("whoever you are")
            await hear(bob, talk.topic, "whoever you are")
            await room.verify("bob")
            code = await make_code(bob)
        third = await lose_and_recover(relay, tmp_path / "bob once more", code)
        async with open_person(relay, third) as bob:
            await until(alice, lambda: alice.engine.shelf.contacts[account].changed)
            await sends_nothing(talk, room)
            await room.verify("bob")
            await let_in(bob, talk.topic)
            await talk.send("it is you")
            await hear(bob, talk.topic, "it is you")


async def test_a_handle_that_leads_to_another_account(tmp_path: Path) -> None:
    """Another root under the same name is another account: no word to the old one reaches it, and it is no contact."""
    async with open_relay() as relay, open_person(relay, tmp_path / "alice") as alice:
        room = Room(alice)
        async with open_person(relay, tmp_path / "bob", "bob") as bob:
            account, _ = await room.add("bob")
            await room.verify("bob")
            link = await bob.wait_connected()
            await link.ask("handles.claim", ClaimHandle("bobby"), type(None))
        async with open_person(relay, tmp_path / "mallory") as mallory:
            await mallory.claim_handle("bob")
            with pytest.raises(OtherAccount, match="another account now than the one that you verified"):
                await room.add("bob")
            assert set(alice.engine.shelf.contacts) == {account}
            assert alice.engine.shelf.contacts[account].verified
