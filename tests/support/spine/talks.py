"""Clients in this process against a relay process: what needs a hand on the cable or an eye on the events."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio
import trio.lowlevel

from clients.client import Client, open_client
from clients.events import AnyEvent, Received, Stored
from clients.vault import Secret, Vault
from relay.demo.judge import files_with, memory_holds
from relay.demo.processes import RelayProcess
from tests.support.proof import NotRun, check
from tests.support.proxy import open_cable

WAIT_S = 60


@asynccontextmanager
async def open_relay_process(directory: Path, *options: str) -> AsyncIterator[RelayProcess]:
    """``chappe up`` in a process of its own for as long as the block lasts."""
    relay = RelayProcess(directory / "relay", directory / "relay.log")
    async with trio.open_nursery() as nursery:
        await relay.start(nursery, *options)
        try:
            yield relay
        finally:
            await relay.stop()


@asynccontextmanager
async def open_person(directory: Path, name: str, url: str) -> AsyncIterator[Client]:
    """A client of this process with a vault below ``directory``, registered and with its name as handle."""
    vault = Vault(directory / name / "vault.db", Secret.key_file(directory / name / "vault.key"))
    try:
        async with open_client(url, vault) as client:
            await client.wait_connected()
            if client.engine.shelf.identity.handle is None:
                await client.claim_handle(name)
            yield client
    finally:
        vault.close()


async def wait_for(client: Client, wanted: Callable[[AnyEvent], bool], what: str) -> AnyEvent:
    """The first event (from the beginning) that is wanted. Raises ``Unproved`` after a minute."""
    with trio.move_on_after(WAIT_S):
        async for event in client.events():
            if wanted(event):
                return event
    check(False, f"waited {WAIT_S} s in vain for {what}")
    raise AssertionError


def says(text: str) -> Callable[[AnyEvent], bool]:
    """Whether an event is a message that holds ``text``."""
    return lambda event: isinstance(event, Received) and text.encode() in event.content


async def received(client: Client, topic: bytes) -> list[Received]:
    """Every message that the application was told in a conversation."""
    return [event for event in await client.conversation(topic).history(100_000) if isinstance(event, Received)]


async def lost_ok(seed: int) -> dict[str, Any]:
    """An OK is lost, the epoch changes, the client retries: original offset, delivered once."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with open_relay_process(home) as relay, open_cable(relay.port) as cable:
            through = f"ws://127.0.0.1:{cable.port}/ws"
            async with open_person(home, "bob", relay.url) as bob, open_person(home, "alice", through) as alice:
                talk = await alice.pair(await alice.find("bob"))
                await talk.send("before")
                await wait_for(bob, says("before"), "the first message")
                cable.muted = True
                message_id = await talk.send("its OK is lost")
                first = await wait_for(bob, says("its OK is lost"), "the message whose OK is lost")
                fence = bob.conversation(talk.topic).record.fence
                await bob.conversation(talk.topic).rotate()
                with trio.fail_after(WAIT_S):
                    while bob.conversation(talk.topic).record.fence == fence:
                        await bob.wait_news()
                told = [e for e in await talk.history(1000) if isinstance(e, Stored) and e.id == message_id]
                check(not told, "the OK got through the muted cable")
                cable.muted = False
                cable.cut()
                event = await wait_for(
                    alice, lambda e: isinstance(e, Stored) and e.id == message_id, "the OK of the retry"
                )
                await talk.send("after")
                await wait_for(bob, says("after"), "a message after the retry")
                copies = [e.offset for e in await received(bob, talk.topic) if e.id == message_id]
                assert isinstance(first, Received)
                assert isinstance(event, Stored)
                check(copies == [first.offset], f"told {len(copies)} times, at {copies}")
                check(event.offset == first.offset, f"the retry was told offset {event.offset}, not {first.offset}")
                return {"offset": first.offset, "fence": f"{fence} to {fence + 1}", "told": len(copies)}


async def pipelined(seed: int, count: int = 500, per_s: int = 100) -> dict[str, Any]:
    """Say ``count`` things at once to a relay that takes ``per_s``: many 429s, and everything in order once."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        config = home / "relay.toml"
        config.write_text(f"publishes_per_s = {per_s}\n")
        async with (
            open_relay_process(home, "--config", str(config)) as relay,
            open_person(home, "alice", relay.url) as alice,
            open_person(home, "bob", relay.url) as bob,
        ):
            talk = await alice.pair(await alice.find("bob"))
            ids = [await talk.send(f"number {number}") for number in range(count)]
            await wait_for(bob, says(f"number {count - 1}"), "the last message")
            got = [event.id for event in await received(bob, talk.topic)]
            refused = await _metric(relay, "429")
            check(got == ids, "the messages came in another order, doubled or not at all")
            check(refused > 0, "the relay refused nothing, so this run shows nothing")
            return {"sent": count, "refused with 429": refused, "received in order": len(got)}


async def _metric(relay: RelayProcess, code: str) -> int:
    """How many ERRs of a code the relay counts at its ops port."""
    stream = await trio.open_tcp_stream("127.0.0.1", relay.ops_port)
    async with stream:
        await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        text = b"".join([part async for part in stream]).decode()
    lines = [line for line in text.splitlines() if "err" in line and f'"{code}"' in line and not line.startswith("#")]
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines))


async def ephemerals(seed: int, count: int = 5000) -> dict[str, Any]:
    """``count`` typing notices while a member is away, and the next stored message opens for it."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        config = home / "relay.toml"
        config.write_text("ephemerals_per_s = 100000\n")
        async with (
            open_relay_process(home, "--config", str(config)) as relay,
            open_person(home, "alice", relay.url) as alice,
            open_person(home, "bob", relay.url) as bob,
        ):
            async with open_person(home, "carol", relay.url) as carol:
                members = [await alice.find("bob"), await alice.find("carol")]
                talk = await alice.group(members, "typists")
                await wait_for(carol, lambda event: event.topic == talk.topic, "carol's invitation")
            await wait_for(bob, lambda event: event.topic == talk.topic, "bob's invitation")
            heard = 0
            async with bob.notices() as notices:
                for number in range(count):
                    talk.typing(on=number % 2 == 0)
                    if number % 100 == 99:
                        await trio.lowlevel.checkpoint()
                        with trio.move_on_after(0.5):
                            while True:
                                await notices.receive()
                                heard += 1
                                if heard > number:
                                    break
            await talk.send("and now a stored one")
            async with open_person(home, "carol", relay.url) as carol:
                await wait_for(carol, says("and now a stored one"), "the stored message")
                bad = [
                    e for e in await carol.conversation(talk.topic).history(1000) if type(e).__name__ == "Unreadable"
                ]
                check(not bad, f"{len(bad)} messages could not be read")
            check(heard > 0, "nobody heard a single notice, so this run shows nothing")
            return {"notices": count, "heard by a member who was there": heard, "the next message": "opened"}


async def marker(seed: int) -> dict[str, Any]:
    """A marker inside messages, a handle's owner's contact name and a title: nowhere at the relay."""
    needle = "marker-" + secrets.token_hex(12)
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with (
            open_relay_process(home) as relay,
            open_person(home, "alice", relay.url) as alice,
            open_person(home, "bob", relay.url) as bob,
        ):
            account = await alice.find("bob")
            await alice.add_contact(account, needle)
            talk = await alice.group([account], needle)
            for number in range(50):
                await talk.send(f"{needle} {number}")
            await wait_for(bob, says(f"{needle} 49"), "the last marked message")
            files = files_with(needle.encode(), home / "relay")
            logs = needle.encode() in (home / "relay.log").read_bytes()
            memory = await trio.to_thread.run_sync(memory_holds, needle.encode(), relay.pid)
            vaults = files_with(needle.encode(), home / "alice") + files_with(needle.encode(), home / "bob")
            check(await trio.to_thread.run_sync(memory_holds, b"chappe.v1", relay.pid) is not False, "blind search")
            check(not files, f"the marker stands in {files}")
            check(not logs, "the marker stands in the log")
            check(not vaults, f"the marker stands in the clear in {vaults}")
            if memory is None:
                raise NotRun("the memory of another process may not be looked at here; files and logs are clean")
            check(not memory, "the marker stands in the relay's memory")
            return {"files": "nowhere", "log": "nowhere", "memory": "nowhere", "vaults": "nowhere in the clear"}
