"""A client is a party."""

from __future__ import annotations

from clients.devices.party import Party
from tests.support.clients import open_world


async def test_a_client_is_a_party(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        party: Party = alice
        assert party.engine.link is await party.wait_connected()
