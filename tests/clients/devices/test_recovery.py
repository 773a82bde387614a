"""Recovery: a code brings the account back; whoever verified it is asked; nothing else opens what lies at the relay."""

from __future__ import annotations

from typing import Any, cast

import pytest

from clients.client import Client
from clients.conversations import KeysChanged
from clients.devices import recovery
from clients.devices.code import BadCode, recovery_text
from clients.devices.lists import CannotSign
from clients.devices.parcels import LinkFailed
from clients.devices.recovery import Kept, key_of, make_code, recover, seal, unseal
from clients.events import KeyChanged
from clients.records import Status
from protocol.identity import SigningKey
from protocol.ids import self_topic
from tests.support.clients import URL, MemoryVault, World, clock_ms, entropy_of, events_of, group_of, open_world, texts
from tests.support.devices import device_of, leaves, link


async def bring_back(world: World, code: str, name: str = "again", handle: str = "alice") -> Client:
    vault = world.vaults.setdefault(name, MemoryVault())
    await recover(
        f"{URL}?{name}", cast("Any", vault), code, handle, clock_ms=clock_ms, entropy=entropy_of(f"{name} recovery")
    )
    return await world.start(name)


async def test_the_only_device_is_lost(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        pair = await alice.pair(bob.account)
        await alice.claim_handle("alice")
        await alice.add_contact(bob.account, "bobby")
        await bob.add_contact(alice.account, "alice", verified=True)
        code, lost = await make_code(alice), device_of(alice)
        await world.settle()
        await world.crash("alice")
        again = await bring_back(world, code)
        await world.settle(10)
        assert again.account == alice.account
        assert again.engine.shelf.contacts[bob.account].name == "bobby"
        for topic in (talk.topic, pair.topic):
            assert again.conversation(topic).status == Status.ACTIVE
            assert leaves(bob, topic) == {device_of(bob), device_of(again)}
        assert any("recovered" in event.text for event in events_of(bob, KeyChanged))
        with pytest.raises(KeysChanged, match="alice"):
            await bob.conversation(pair.topic).send("is it you?")
        await bob.accept_keys(alice.account)
        await bob.conversation(pair.topic).send("whoever you are")
        await world.settle()
        assert texts(again, pair.topic) == ["whoever you are"]
        assert lost not in {device.key for device in again.own_devices.devices}
        assert again.own_devices.recovered
        second = await link(world, again, "second")  # its list is signed by the recovery key now
        assert second.conversation(talk.topic).status == Status.ACTIVE


async def test_the_devices_of_a_recovered_account_agree_again(autojump_clock: object) -> None:
    async with open_world() as world:
        alice, bob = await world.people("alice", "bob")
        await alice.claim_handle("alice")
        second = await link(world, alice, "second")
        await alice.add_contact(bob.account, "bobby")
        await world.settle(10)
        assert second.engine.shelf.contacts[bob.account].name == "bobby"
        code = await make_code(alice)
        await world.crash("alice")
        await world.crash("second")
        again = await bring_back(world, code)
        await world.settle(40)
        third = await link(world, again, "third")
        await again.add_contact(bob.account, "robert")
        await world.settle(40)
        assert third.engine.shelf.contacts[bob.account].name == "robert"
        assert leaves(again, self_topic(again.account)) == {device_of(again), device_of(third)}
        await third.add_contact(bob.account, "rob")
        await world.settle(40)
        assert again.engine.shelf.contacts[bob.account].name == "rob"


async def test_who_may_make_a_code(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        second = await link(world, alice, "second")
        with pytest.raises(CannotSign):
            await make_code(second)


async def test_what_does_not_bring_an_account_back(autojump_clock: object, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world() as world:
        alice, _ = await world.people("alice", "bob")
        await alice.claim_handle("alice")
        with pytest.raises(LinkFailed, match="404"):
            await bring_back(world, recovery_text(b"s" * 16), "none was made")
        code = await make_code(alice)
        with pytest.raises(LinkFailed, match="newest"):
            await bring_back(world, recovery_text(b"s" * 16), "another code")
        with pytest.raises(LinkFailed, match="404"):
            await bring_back(world, code, "another handle", "nobody")
        with pytest.raises(BadCode):
            await bring_back(world, "chappe-recovery:AAAA", "no code")
        with pytest.raises(LinkFailed, match="already"):
            await bring_back(world, code, "alice")
        with monkeypatch.context() as patch:
            kept = Kept(b"other seed of 32 bytes in length"[:32], None, None, ())
            patch.setattr(recovery, "unseal", lambda *args: kept)
            with pytest.raises(LinkFailed, match="another recovery key"):
                await bring_back(world, code, "another key")
        world.relay.answer["devices.get"] = lambda wire, params: [None]
        with pytest.raises(LinkFailed, match="no device list"):
            await bring_back(world, code, "no list")


async def test_as_many_contacts_as_fit(autojump_clock: object, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        await alice.claim_handle("alice")
        for number in range(5):
            await alice.add_contact(SigningKey(bytes([number]) * 32).public, f"contact {number}")
        monkeypatch.setattr(recovery, "_CONTACTS_BYTES", 200)
        code = await make_code(alice)
        await world.crash("alice")
        again = await bring_back(world, code)
        assert 0 < len(again.engine.shelf.contacts) < 5


def test_sealed_under_the_code_and_the_account() -> None:
    kept = Kept(b"r" * 32, b"o" * 32, "alice", ())
    key = key_of(b"s" * 16, b"a" * 32)
    sealed = seal(kept, key, b"a" * 32, entropy_of("sealing"))
    assert unseal(sealed, key, b"a" * 32) == kept
    for wrong in ((key_of(b"t" * 16, b"a" * 32), b"a" * 32), (key, b"b" * 32)):
        with pytest.raises(LinkFailed):
            unseal(sealed, *wrong)
    with pytest.raises(LinkFailed):
        unseal(b"", key, b"a" * 32)
