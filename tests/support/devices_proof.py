"""Several devices and recovery, with a real relay process and real clients: what the proof runs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from clients.client import Client, now_ms, open_client
from clients.conversations import KeysChanged
from clients.devices.linking import NewDevice, approve
from clients.devices.recovery import make_code, recover
from clients.devices.revoking import revoke
from clients.events import Event, KeyChanged, Missing, Received
from clients.records import Status
from clients.vault import Secret, Vault
from protocol.ids import self_topic
from protocol.messages import parse
from protocol.messages.chat import Text
from tests.support.proof import check
from tests.support.spine.talks import open_person, open_relay_process, says, wait_for

WAIT_S = 60


async def told(client: Client, topic: bytes) -> list[str]:
    """Texts of a conversation, in the order in which they were told."""
    events = [e for e in await client.conversation(topic).history(100_000) if isinstance(e, Received)]
    bodies = [parse(event.content).body for event in events]
    return [body.text for body in bodies if isinstance(body, Text)]


async def until(client: Client, condition: Any, what: str) -> None:
    """Wait until something holds at a client."""
    with trio.move_on_after(WAIT_S):
        while not condition():
            with trio.move_on_after(0.2):
                await client.wait_news()
    check(condition(), f"waited {WAIT_S} s in vain for {what}")


@asynccontextmanager
async def open_linked(home: Path, name: str, url: str, approver: Client) -> AsyncIterator[tuple[Client, float, bool]]:
    """A second device, linked by the code that it shows: (client, seconds that linking took, whether history came)."""
    vault = Vault(home / name / "vault.db", Secret.key_file(home / name / "vault.key"))
    try:
        began = trio.current_time()
        new = NewDevice(url, vault, now_ms, os.urandom)
        past = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(approve, approver, new.code.text())
            past = await new.link()
        seconds = trio.current_time() - began
        async with open_client(url, vault) as client:
            await client.wait_connected()
            yield client, seconds, past
    finally:
        vault.close()


def _active(client: Client, topics: list[bytes]) -> bool:
    talks = client.engine.shelf.conversations
    return all(topic in talks and talks[topic].status == Status.ACTIVE for topic in topics)


async def c5_second_device(seed: int, messages: int = 40) -> dict[str, Any]:
    """A second device is linked and gets history; removed, it gets nothing sealed after its removal."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with (
            open_relay_process(home) as relay,
            open_person(home, "alice", relay.url) as alice,
            open_person(home, "bob", relay.url) as bob,
            open_person(home, "carol", relay.url) as carol,
        ):
            pair = (await alice.pair(await alice.find("bob"))).topic
            group = (await alice.group([bob.account, carol.account], "friends")).topic
            for number in range(messages):
                await alice.conversation(pair if number % 2 else group).send(f"before {number}")
            await wait_for(bob, says(f"before {messages - 1}"), "the last message")
            await until(bob, lambda: _active(bob, [pair, group]), "bob's conversations")
            await bob.conversation(group).send("bob before")
            await wait_for(alice, says("bob before"), "bob's message")
            async with open_linked(home, "alice-2", relay.url, alice) as (second, seconds, past):
                check(past, "the history did not come")
                await until(second, lambda: _active(second, [pair, group]), "the conversations of the new device")
                for topic in (pair, group):
                    mine, other = await told(second, topic), await told(alice, topic)
                    check(mine == other, f"the new device has {len(mine)} messages of {len(other)}")
                gaps = [e async for e in _events(second) if isinstance(e, Missing)]
                check(not gaps, f"the new device was told of {len(gaps)} gaps")
                figures = await _live(alice, bob, second, pair, group)
                figures |= await _shared(alice, second, carol.account, pair)
                ids = [event.content for event in await _received(second, pair)]
                await revoke(alice, second.engine.shelf.device.public)
                removed = await _removed(alice, bob, carol, second, pair, group)
                late = [e for e in await _received(second, pair) if e.content not in ids]
                check(not late, f"{len(late)} messages reached the device after its removal")
            return {"linked in s": round(seconds, 1), "history": messages + 1, **figures, **removed}


async def _events(client: Client) -> AsyncIterator[Event]:
    last = client.engine.shelf.vault.last_seq()
    if last:
        async for event in client.events():
            yield event
            if event.seq >= last:
                return


async def _received(client: Client, topic: bytes) -> list[Received]:
    return [e for e in await client.conversation(topic).history(100_000) if isinstance(e, Received)]


async def _live(alice: Client, bob: Client, second: Client, pair: bytes, group: bytes) -> dict[str, Any]:
    """Both devices hear and speak."""
    await bob.conversation(pair).send("to both devices")
    await wait_for(second, says("to both devices"), "a live message on the new device")
    await wait_for(alice, says("to both devices"), "the same on the old one")
    await second.conversation(group).send("from the second device")
    await wait_for(alice, says("from the second device"), "a message of the new device on the old one")
    await wait_for(bob, says("from the second device"), "a message of the new device")
    return {"devices in the pair": bob.conversation(pair).device_count()}


async def _shared(alice: Client, second: Client, carol: bytes, pair: bytes) -> dict[str, Any]:
    """What one device notes is noted on the other: a name, a check, a mute, what was read; and none of it is a chat."""
    await until(second, lambda: second.engine.own.is_shared, "the self topic on the new device")
    began = trio.current_time()
    await alice.add_contact(carol, "Carola")
    await until(second, lambda: carol in second.engine.shelf.contacts, "a contact named on the other device")
    named_s = trio.current_time() - began
    check(second.engine.shelf.contacts[carol].name == "Carola", "the contact has another name")
    await second.add_contact(carol, "Carola", verified=True)
    await until(alice, lambda: alice.engine.shelf.contacts[carol].verified, "a check made on the other device")
    began = trio.current_time()
    check(await second.conversation(pair).unread() > 0, "nothing is unread before anything was read")
    await alice.conversation(pair).mark_read()
    await until(second, lambda: second.conversation(pair).read_to > 0, "a read mark of the other device")
    read_s = trio.current_time() - began
    check(await second.conversation(pair).unread() == 0, "what was read on one device is unread on the other")
    await second.conversation(pair).mute()
    await until(alice, lambda: alice.conversation(pair).muted_until_ms > 0, "a mute of the other device")
    check(set(alice.conversations) == set(second.conversations) == {pair, *alice.conversations}, "chats differ")
    check(alice.engine.own.topic not in alice.conversations, "the self topic is shown as a chat")
    return {"contact on the other device in s": round(named_s, 2), "read mark in s": round(read_s, 2)}


async def _removed(
    alice: Client, bob: Client, carol: Client, second: Client, pair: bytes, group: bytes
) -> dict[str, Any]:
    """The revoked device is out of every group, and what is said from then on cannot be opened with its keys."""
    device = second.engine.shelf.device.public
    everyone = ((alice, pair), (bob, pair), (alice, group), (bob, group), (carol, group))
    await until(
        bob,
        lambda: all(device not in {m.signature_key for m in _members(c, t)} for c, t in everyone),
        "the removal of its leaves",
    )
    fence = bob.conversation(pair).record.fence
    await bob.conversation(pair).send("after the removal")
    await bob.conversation(group).send("after the removal, in the group")
    await wait_for(alice, says("after the removal, in the group"), "a message after the removal")
    await until(second, lambda: not second.connected, "the end of the revoked device's connection")
    check(second.conversation(pair).record.fence < fence, "the revoked device followed into the next epoch")
    return {"leaves removed": "in every conversation", "after the removal": "nothing reached it"}


def _members(client: Client, topic: bytes) -> tuple[Any, ...]:
    group = client.engine.shelf.groups.get(topic)
    return () if group is None else group.members


# -- recovery ----------------------------------------------------------------------------------------------------------
async def sole_device_lost(seed: int) -> dict[str, Any]:
    """The only device is gone; the code brings the account back, its contacts see it, and who verified must look."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with (
            open_relay_process(home) as relay,
            open_person(home, "bob", relay.url) as bob,
            open_person(home, "carol", relay.url) as carol,
        ):
            async with open_person(home, "alice", relay.url) as alice:
                account, lost = alice.account, alice.engine.shelf.device.public
                await alice.add_contact(bob.account, "bob")
                pair = (await alice.pair(bob.account)).topic
                group = (await alice.group([bob.account, carol.account], "friends")).topic
                async with open_linked(home, "alice-2", relay.url, alice) as (second, _, _):  # lost as well
                    await until(second, lambda: _active(second, [self_topic(account)]), "the topic of own devices")
                await alice.conversation(pair).send("before the loss")
                await wait_for(bob, says("before the loss"), "a message before the loss")
                await until(carol, lambda: _active(carol, [group]), "carol's invitation")
                code = await make_code(alice)
            await bob.add_contact(account, "alice", verified=True)
            (home / "alice" / "vault.db").unlink()
            began = trio.current_time()
            vault = Vault(home / "alice-again" / "vault.db", Secret.key_file(home / "alice-again" / "vault.key"))
            try:
                await recover(relay.url, vault, code, "alice", clock_ms=now_ms, entropy=os.urandom)
                async with open_client(relay.url, vault) as again:
                    await until(again, lambda: _active(again, [pair, group]), "the way back into the conversations")
                    seconds = trio.current_time() - began
                    check(again.account == account, "another account came back")
                    check(bob.account in again.engine.shelf.contacts, "the contacts did not come back")
                    await again.conversation(group).send("I am back")
                    await wait_for(carol, says("I am back"), "a message of the recovered account")
                    await wait_for(bob, lambda event: isinstance(event, KeyChanged), "the news of the recovery")
                    await _looked_at(bob, again, pair)
                    await until(bob, lambda: lost not in {m.signature_key for m in _members(bob, pair)}, "the old leaf")
                    await _agreeing(home, relay.url, again, carol.account)
            finally:
                vault.close()
        return {"back in s": round(seconds, 1), "conversations": 2, "verified contact": "blocked until verified again",
                "next device": "knows what the recovered one notes"}  # fmt: skip


async def _agreeing(home: Path, url: str, again: Client, carol: bytes) -> None:
    """What one device of a recovered account notes, the next one knows."""
    async with open_linked(home, "alice-3", url, again) as (third, _, _):
        await again.add_contact(carol, "carol")
        await until(third, lambda: carol in third.engine.shelf.contacts, "the contact on the next device")


async def _looked_at(bob: Client, again: Client, pair: bytes) -> None:
    refused = False
    try:
        await bob.conversation(pair).send("is it you?")
    except KeysChanged:
        refused = True
    check(refused, "a message went to a verified contact whose keys had changed")
    await bob.add_contact(again.account, "alice", verified=True)
    await bob.conversation(pair).send("it is you")
    await wait_for(again, says("it is you"), "a message after verifying again")
