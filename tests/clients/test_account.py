"""A new account, its device list over the weeks, and its key packages at the relay."""

from __future__ import annotations

from typing import cast

import msgspec
from trio.testing import MockClock

from clients import records as R
from clients.account import create_identity, has_identity
from clients.client import Client
from clients.events import Disconnected
from clients.vault import Vault
from protocol import limits as L
from protocol.errors import Code
from protocol.identity import is_expired, open_signed, verify_list
from protocol.mls import parse_key_package
from storage.base import Refused
from tests.support.clients import START_MS, MemoryVault, World, entropy_of, open_world, texts


def test_a_new_account_is_durable_and_complete() -> None:
    vault = MemoryVault()
    assert not has_identity(cast("Vault", vault))
    identity = create_identity(cast("Vault", vault), START_MS, entropy_of("anna"))
    assert has_identity(cast("Vault", vault))
    kept = vault.get(R.META, b"identity")
    assert kept is not None
    assert msgspec.msgpack.decode(kept, type=R.Identity) == identity
    devices = verify_list(identity.signed_list, account=identity.account)
    assert devices.version == 1
    assert devices.recovery
    assert not is_expired(devices, START_MS)
    assert len({identity.root_seed, identity.device_seed, identity.recovery_seed, identity.inbox_private}) == 4
    (device,) = devices.devices
    assert device.primary
    assert device.inbox_key == identity.inbox_public


async def test_registered_once(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        world.cut("anna")
        await world.settle()
        assert anna.connected
        (known,) = await world.relay.store.accounts.get([anna.account])
        assert known is not None
        assert known.version == 1
        assert anna.engine.directory.known(anna.account) == open_signed(known.signed)


def version_of(client: Client) -> int:
    return open_signed(client.engine.shelf.identity.signed_list).version


async def test_a_list_is_signed_anew_each_week(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        world.skip(days=6)
        world.cut("anna")
        await world.settle()
        assert version_of(anna) == 1
        world.skip(days=1)
        world.cut("anna")
        await world.settle()
        renewed = open_signed(anna.engine.shelf.identity.signed_list)
        assert renewed.version == 2
        assert renewed.expires_ms == renewed.created_ms + L.DEVICE_LIST_LIFE_MS
        (known,) = await world.relay.store.accounts.get([anna.account])
        assert known is not None
        assert known.version == 2


async def test_who_was_away_for_longer_than_a_list_lives_comes_back(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        talk = await anna.pair(ben.account)
        await world.settle()
        world.reachable = False
        world.cut("anna")
        await talk.send("said while away")
        world.skip(days=40)
        world.reachable = True
        world.cut("ben")
        await world.settle(60)
        assert anna.connected
        assert not is_expired(open_signed(anna.engine.shelf.identity.signed_list), world.clock_ms())
        assert not anna.engine.shelf.outgoing
        assert texts(ben, talk.topic) == ["said while away"]


async def test_an_account_that_was_never_registered_in_time(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.reachable = False
        anna = await world.start("anna")
        world.skip(days=31)
        world.reachable = True
        await world.settle(60)
        assert anna.connected
        assert version_of(anna) == 1


async def test_a_device_without_the_root_cannot_renew(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        anna.engine.shelf.identity.root_seed = None
        world.skip(days=8)
        world.cut("anna")
        await world.settle()
        assert version_of(anna) == 1
        world.skip(days=30)
        world.cut("anna")
        await world.settle(60)
        assert not anna.connected
        last = world.notices["anna"][-1]
        assert isinstance(last, Disconnected)
        assert last.retry_ms is None
        assert "expired" in last.reason


async def test_a_refused_renewal_does_not_keep_packages_away(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        world.relay.answer["devices.publish"] = lambda wire, params: Refused(Code.CONFLICT, "not the next version")
        await world.relay.store.key_packages.claim([anna.account])
        for _ in range(6):
            await world.relay.store.key_packages.claim([anna.account])
        world.skip(days=8)
        world.cut("anna")
        await world.settle()
        assert version_of(anna) == 1
        (device,) = world.relay.store.accounts._store.devices.values()
        assert len(device.packages) >= L.KEY_PACKAGES_TARGET // 2


# -- key packages ------------------------------------------------------------------------------------------------------
def packages_at(world: World, client: Client) -> list[bytes]:
    return list(world.relay.store.accounts._store.devices[client.engine.shelf.device.public].packages)


async def test_packages_are_durable_before_they_are_offered(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        offered = packages_at(world, anna)
        assert len(offered) == L.KEY_PACKAGES_TARGET
        kept = [msgspec.msgpack.decode(value, type=R.Package) for value in world.vaults["anna"].scan(R.PACKAGES)]
        assert set(offered) <= {package.public for package in kept}
        assert sum(package.last_resort for package in kept) == 1
        for public in offered:
            info = parse_key_package(public, world.clock_ms() // 1000)
            assert info.signature_key == anna.engine.shelf.device.public


async def test_nothing_is_offered_while_the_disk_stalls(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna = await world.start("anna")
        world.vaults["anna"].hold()
        await world.settle()
        assert anna.connected
        assert packages_at(world, anna) == []
        world.vaults["anna"].release()
        await world.settle()
        assert len(packages_at(world, anna)) == L.KEY_PACKAGES_TARGET


async def test_packages_are_refilled_when_few_are_left(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        before = packages_at(world, anna)
        world.cut("anna")
        await world.settle()
        assert packages_at(world, anna) == before
        for _ in range(6):
            await world.relay.store.key_packages.claim([anna.account])
        world.cut("anna")
        await world.settle()
        assert len(packages_at(world, anna)) == L.KEY_PACKAGES_TARGET


async def test_old_private_halves_go(autojump_clock: MockClock) -> None:
    """A day after their packages run out; the last resort is replaced at half its life."""
    async with open_world() as world:
        (anna,) = await world.people("anna")
        first = set(anna.engine.shelf.packages)
        resort = {ref for ref, package in anna.engine.shelf.packages.items() if package.last_resort}
        world.skip(days=31)
        world.cut("anna")
        await world.settle(60)
        assert not resort & set(anna.engine.shelf.packages)
        assert first - resort <= set(anna.engine.shelf.packages)
        world.skip(days=31)
        world.cut("anna")
        await world.settle(60)
        assert not first & set(anna.engine.shelf.packages)
