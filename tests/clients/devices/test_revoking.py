"""Revoking by a device that does not hold the root key."""

from __future__ import annotations

import pytest

from clients.devices.lists import CannotSign
from clients.devices.revoking import revoke
from tests.support.clients import group_of, open_world
from tests.support.devices import device_of, leaves, link


async def test_a_linked_device_revokes_the_first_one(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        second = await link(world, alice, "second")
        first = device_of(alice)
        await world.crash("alice")
        with pytest.raises(CannotSign):
            await revoke(second, b"?" * 32)
        assert await revoke(second, first) == 3
        await world.settle(5)
        assert leaves(bob, talk.topic) == {device_of(bob), device_of(second)}
        assert [device.key for device in second.own_devices.devices] == [device_of(second)]
