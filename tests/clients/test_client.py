"""The client as an application holds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
import trio

from clients import client as module
from clients.client import Client, open_client
from clients.directory import CannotAdd
from clients.events import AnyEvent, Disconnected, Joined, Received
from clients.records import Status
from clients.vault import Vault, VaultError
from protocol.ids import pair_topic
from tests.support.clients import URL, MemoryVault, agree, clock_ms, entropy_of, group_of, open_world, texts


async def collect(client: Client, count: int, after: int = 0, topic: bytes | None = None) -> list[AnyEvent]:
    """The next events."""
    found: list[AnyEvent] = []
    async for event in client.events(after, topic):
        found.append(event)
        if len(found) == count:
            break
    return found


async def test_people_find_each_other_by_handle(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        alice, bob = await world.people("alice", "bob")
        await bob.claim_handle("bob")
        assert await alice.find("bob") == bob.account
        assert alice.safety_number(bob.account) == bob.safety_number(alice.account)
        contact = await alice.add_contact(bob.account, "bob", verified=True)
        assert contact.verified
        assert world.vaults["alice"].get("contacts", bob.account) is not None
        assert bob.engine.shelf.identity.handle == "bob"


async def test_events_come_in_order_and_from_where_one_was(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        await talk.send("one")
        await talk.send("two")
        await world.settle()
        first = await collect(bob, 3)
        assert isinstance(first[0], Joined)
        assert [event.seq for event in first] == [1, 2, 3]
        assert await collect(bob, 2, after=1) == first[1:]
        assert await collect(bob, 2, after=1, topic=talk.topic) == first[1:]
        heard: list[AnyEvent] = []

        async def wait() -> None:
            heard.extend(await collect(bob, 1, after=bob.engine.shelf.vault.last_seq()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await talk.send("three")
        assert isinstance(heard[0], Received)
        assert alice.statistics().outbox.flying == 0


async def test_a_pair_is_one_conversation_whoever_begins(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        alice, bob = await world.people("alice", "bob")
        mine = await alice.pair(bob.account)
        theirs = await bob.pair(alice.account)
        await mine.send("from alice")
        await theirs.send("from bob")
        await world.settle(30)
        assert mine.topic == theirs.topic == pair_topic(alice.account, bob.account)
        assert agree(mine.topic, alice, bob)
        assert sorted(texts(alice, mine.topic)) == ["from alice", "from bob"]
        assert texts(alice, mine.topic) == texts(bob, mine.topic)
        assert (await alice.pair(bob.account)).topic == mine.topic
        assert set(alice.conversations) == {mine.topic}


async def test_a_group_of_one_and_of_strangers(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        alone = await alice.group([alice.account], "notes")
        await world.settle()
        assert alone.status == Status.ACTIVE
        with pytest.raises(CannotAdd):
            await alice.group([b"n" * 32], "with nobody")


async def test_what_is_unknown_is_a_key_error(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        with pytest.raises(KeyError):
            alice.conversation(b"u" * 32)


async def test_waiting_for_a_connection_and_for_news(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        world.reachable = False
        client = await world.start("alice")
        states = [client.connected]
        assert client.statistics().link is None
        async with client.notices() as notices:
            await world.settle()
            notice = notices.receive_nowait()
        assert isinstance(notice, Disconnected)
        world.reachable = True
        await client.wait_connected()
        assert [*states, client.connected] == [False, True]
        assert client.statistics().link is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.wait_news)
            await trio.testing.wait_all_tasks_blocked()
            world.cut("alice")


async def test_an_application_that_does_not_listen_costs_nothing(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        async with bob.notices():
            for _ in range(module.NOTICES_MAX + 50):
                talk.typing()
            await world.settle(30)
        await talk.send("still there")
        await world.settle()
        assert texts(bob, talk.topic) == ["still there"]
        assert alice.connected


async def test_saying_waits_while_the_outbox_is_full(
    autojump_clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OUTBOX_ROWS_MAX", 3)
    async with open_world() as world:
        (_, bob), talk = await group_of(world, "alice", "bob")
        for number in range(12):
            await talk.send(f"{number}")
        await world.settle()
        assert texts(bob, talk.topic) == [f"{number}" for number in range(12)]


async def test_a_vault_that_cannot_be_written_ends_the_client(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        _, talk = await group_of(world, "alice", "bob")
        world.vaults["alice"].failing = True
        with trio.move_on_after(5):
            await talk.send("lost")
        await world.settle()
        assert isinstance(world.failures["alice"], VaultError)


async def test_an_identity_is_made_once(autojump_clock: Callable[[], float]) -> None:
    async with open_world():
        vault = MemoryVault()
        accounts = []
        for number in range(2):
            entropy = entropy_of(f"x{number}")
            opened = open_client(f"{URL}?x{number}", cast("Vault", vault), clock_ms=clock_ms, entropy=entropy)
            async with opened as client:
                await client.wait_connected()
                accounts.append(client.account)
        assert len(set(accounts)) == 1


async def test_errors_of_the_block_come_out_as_themselves(autojump_clock: Callable[[], float]) -> None:
    async with open_world():
        opened = open_client(f"{URL}?y", cast("Vault", MemoryVault()), clock_ms=clock_ms, entropy=entropy_of("y"))

        async def use() -> None:
            async with opened:
                raise LookupError("of the application")

        with pytest.raises(LookupError, match="of the application"):
            await use()


def test_the_clock_is_unix_time() -> None:
    assert module.now_ms() > 1_700_000_000_000
