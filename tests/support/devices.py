"""Second devices in a world without sockets: linked by code, as people do it."""

from __future__ import annotations

from typing import cast

import trio

from clients.client import Client
from clients.devices.linking import NewDevice, approve
from clients.vault import Vault
from tests.support.clients import URL, MemoryVault, World, clock_ms, entropy_of


def new_device(world: World, name: str) -> NewDevice:
    """Somebody's second device, with a fresh vault."""
    vault = world.vaults.setdefault(name, MemoryVault())
    return NewDevice(f"{URL}?{name}", cast("Vault", vault), clock_ms, entropy_of(f"{name} linking"))


async def link(world: World, approver: Client, name: str) -> Client:
    """Link a second device and start it; its history must have come."""
    new = new_device(world, name)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(approve, approver, new.code.text())
        assert await new.link()
    client = await world.start(name)
    await world.settle(5)
    return client


def leaves(client: Client, topic: bytes) -> set[bytes]:
    """The devices in a group, as somebody sees it."""
    group = client.engine.shelf.groups.get(topic)
    return set() if group is None else {member.signature_key for member in group.members}


def device_of(client: Client) -> bytes:
    """The key of a client's device."""
    return client.engine.shelf.device.public
