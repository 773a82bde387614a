"""Device lists and key packages: the relay hands them out, and is not believed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from nacl import bindings as sodium
from trio.testing import MockClock

from clients.client import Client
from clients.commits import identity_of
from clients.connection import Link
from clients.directory import CannotAdd
from clients.events import KeyChanged, Received
from protocol import limits as L
from protocol.identity import Device, DeviceList, SigningKey, open_signed, sign_list
from protocol.mls import generate_key_package
from protocol.requests import ClaimedPackage
from tests.support.clients import World, entropy_of, events_of, group_of, open_world, texts

STRANGER = SigningKey(bytes([77]) * 32)


def link_of(client: Client) -> Link:
    link = client.engine.link
    assert link is not None
    return link


def list_of(client: Client) -> DeviceList:
    return open_signed(client.engine.shelf.identity.signed_list)


def signed(client: Client, **changes: Any) -> bytes:
    """Somebody's list with changes, signed by their root key."""
    root = client.engine.shelf.identity.root_seed
    assert root is not None
    return sign_list(msgspec.structs.replace(list_of(client), **changes), SigningKey(root))


def other_device(client: Client) -> Device:
    key, inbox = SigningKey(bytes([5]) * 32), sodium.crypto_scalarmult_base(bytes([6]) * 32)
    return Device(key.public, inbox, list_of(client).created_ms, False)


def warnings(client: Client) -> list[str]:
    return [event.text for event in events_of(client, KeyChanged)]


async def journal_of(client: Client) -> None:
    await client.engine.shelf.journal.flushed()


# -- lists -------------------------------------------------------------------------------------------------------------
async def test_a_list_of_another_account_is_refused(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben, cleo = await world.people("anna", "ben", "cleo")
        assert anna.engine.directory.learn(ben.account, cleo.engine.shelf.identity.signed_list) is None
        await journal_of(anna)
        assert "belongs to another account" in warnings(anna)[0]
        assert anna.engine.directory.known(ben.account) is None


async def test_an_older_list_is_refused(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        learn = anna.engine.directory.learn
        newer = learn(ben.account, signed(ben, version=3))
        assert newer is not None
        assert learn(ben.account, signed(ben, version=2)) is None
        assert learn(ben.account, b"no list at all") is None
        assert anna.engine.directory.known(ben.account) == newer
        await journal_of(anna)
        assert "version 2 is older than version 3" in warnings(anna)[0]
        await world.crash("anna")
        anna = await world.start("anna")
        assert anna.engine.directory.known(ben.account) == newer
        assert anna.engine.directory.learn(ben.account, signed(ben, version=2)) is None


async def test_changed_devices_are_told_and_renewals_are_not(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        learn = anna.engine.directory.learn
        learn(ben.account, signed(ben))
        learn(ben.account, signed(ben))
        learn(ben.account, signed(ben, version=2, created_ms=list_of(ben).created_ms + 1))
        await journal_of(anna)
        assert warnings(anna) == []
        learn(ben.account, signed(ben, version=3, devices=(*list_of(ben).devices, other_device(ben))))
        await journal_of(anna)
        assert warnings(anna) == ["devices changed (version 3)"]


async def test_a_recovered_account_is_not_verified_any_more(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        await anna.add_contact(ben.account, "ben", verified=True)
        learn, recovery = anna.engine.directory.learn, ben.engine.shelf.identity.recovery_seed
        assert recovery is not None
        learn(ben.account, signed(ben))
        recovered = msgspec.structs.replace(list_of(ben), version=2, recovered=True)
        assert learn(ben.account, sign_list(recovered, SigningKey(recovery))) is not None
        await journal_of(anna)
        assert "recovered" in warnings(anna)[0]
        assert not anna.engine.shelf.contacts[ben.account].verified
        assert learn(ben.account, signed(ben, version=3)) is None  # the old root counts no more


async def test_lists_are_fetched_in_parts(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        strangers = [n.to_bytes(32, "big") for n in range(L.CLAIM_ACCOUNTS_MAX + 20)]
        await anna.engine.directory.fetch(link_of(anna), [*strangers, ben.account, ben.account])
        asked = [frame for frame in world.heard("anna", object) if getattr(frame, "method", "") == "devices.get"]
        assert len(asked) == 2
        assert anna.engine.directory.known(ben.account) == list_of(ben)


# -- doubts ------------------------------------------------------------------------------------------------------------
async def test_nobody_is_doubted_without_reason(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        await ben.conversation(talk.topic).send("hello")
        await world.settle()
        assert events_of(anna, Received)[-1].doubt == ""
        assert anna.engine.directory.doubt(ben.account, ben.engine.shelf.device.public) == ""


async def test_a_device_that_is_not_listed_is_doubted(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        empty = signed(ben, version=2, devices=(other_device(ben),))
        world.relay.answer["devices.get"] = lambda wire, params: [
            empty if account == ben.account else None for account in params.accounts
        ]
        assert anna.engine.directory.learn(ben.account, empty) is not None
        await anna.engine.directory.judge(link_of(anna), talk.topic)
        await ben.conversation(talk.topic).send("hello")
        await cleo.conversation(talk.topic).send("hi")
        await world.settle()
        doubts = {event.account: event.doubt for event in events_of(anna, Received)}
        assert doubts == {ben.account: "this device is not on its account's list", cleo.account: ""}
        told = [text for text in warnings(anna) if "not on its account's list" in text]
        await anna.engine.directory.judge(link_of(anna), talk.topic)
        await journal_of(anna)
        assert len([text for text in warnings(anna) if "not on its account's list" in text]) == len(told) == 1


async def test_a_list_that_runs_out_marks_messages(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        lists = anna.engine.shelf.lists
        lists[ben.account] = msgspec.structs.replace(lists[ben.account], expires_ms=world.clock_ms() + 5000)
        await ben.conversation(talk.topic).send("in time")
        await world.settle(10)
        await ben.conversation(talk.topic).send("late")
        await world.settle()
        assert texts(anna, talk.topic) == ["in time", "late"]
        assert [bool(event.doubt) for event in events_of(anna, Received)] == [False, True]


async def test_an_account_without_a_list_is_doubted(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        del anna.engine.shelf.lists[ben.account]
        world.relay.answer["devices.get"] = lambda wire, params: [None for _ in params.accounts]
        await anna.engine.directory.judge(link_of(anna), talk.topic)
        await journal_of(anna)
        assert warnings(anna) == ["no device list of this account is known"]
        del world.relay.answer["devices.get"]
        await anna.engine.directory.judge(link_of(anna), talk.topic)
        assert anna.engine.shelf.doubts == {}


# -- key packages ------------------------------------------------------------------------------------------------------
async def claim(client: Client, *accounts: bytes) -> tuple[Any, ...]:
    return await client.engine.directory.claim(link_of(client), accounts)


async def test_one_package_for_each_device(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben, cleo = await world.people("anna", "ben", "cleo")
        additions = await claim(anna, ben.account, cleo.account, ben.account)
        assert {(a.account, a.device) for a in additions} == {
            (client.account, client.engine.shelf.device.public) for client in (ben, cleo)
        }


async def test_who_cannot_be_added(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        with pytest.raises(CannotAdd, match="nobody with account"):
            await claim(anna, bytes(32))
        world.relay.answer["keypackages.claim"] = lambda wire, params: []
        with pytest.raises(CannotAdd, match="no key package"):
            await claim(anna, ben.account)
        world.skip(days=31)
        with pytest.raises(CannotAdd, match="has run out"):
            await claim(anna, ben.account)


def package(world: World, identity: bytes, key: SigningKey) -> bytes:
    now_s = world.clock_ms() // 1000
    return generate_key_package(
        identity=identity, signature_private=key.seed, not_before_s=now_s - 60, not_after_s=now_s + 3600,
        entropy=entropy_of("package"),
    ).key_package  # fmt: skip


@pytest.mark.parametrize("what", ["other account", "other identity", "other key", "unlisted device", "no package"])
async def test_a_package_with_a_wrong_credential_is_not_used(what: str, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben, cleo = await world.people("anna", "ben", "cleo")
        device = ben.engine.shelf.device
        good = identity_of(ben.account, device.public)
        claimed = {
            "other account": ClaimedPackage(cleo.account, device.public, package(world, good, device), False),
            "other identity": ClaimedPackage(
                ben.account, device.public, package(world, identity_of(cleo.account, device.public), device), False
            ),
            "other key": ClaimedPackage(ben.account, device.public, package(world, good, STRANGER), False),
            "unlisted device": ClaimedPackage(
                ben.account, STRANGER.public, package(world, identity_of(ben.account, STRANGER.public), STRANGER), False
            ),
            "no package": ClaimedPackage(ben.account, device.public, b"nothing of the kind", False),
        }[what]
        world.relay.answer["keypackages.claim"] = lambda wire, params: [claimed]
        with pytest.raises(CannotAdd, match="no key package"):
            await claim(anna, ben.account)
        right = ClaimedPackage(ben.account, device.public, package(world, good, device), False)
        world.relay.answer["keypackages.claim"] = lambda wire, params: [claimed, right]
        (addition,) = await claim(anna, ben.account)
        assert addition.package == right.package


async def test_a_list_that_is_known_is_not_checked_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        directory = anna.engine.directory
        known = directory.learn(ben.account, ben.engine.shelf.identity.signed_list)
        assert known is not None
        monkeypatch.setattr("clients.directory.verify_list", lambda *_, **__: 1 / 0)
        assert directory.learn(ben.account, ben.engine.shelf.identity.signed_list) is known
        with pytest.raises(ZeroDivisionError):
            directory.learn(ben.account, signed(ben, version=list_of(ben).version + 1))
