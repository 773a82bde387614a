"""Taking a device off the account: the list first, so that the relay drops it at once, then every conversation."""

from __future__ import annotations

from clients.devices import lists
from clients.devices.party import Party


async def revoke(client: Party, device: bytes) -> int:
    """Take a device off our list; the list's new version.

    Its leaves are taken out of all conversations as soon as this returns (``care``), by us or by whoever is online.
    Any listed device may do it. Raises ``CannotSign``, ``Refusal``, ``LinkDown``.
    """
    shelf = client.engine.shelf
    signed = lists.without_device(shelf.identity, device, shelf.device, shelf.clock_ms())
    devices = await lists.publish(shelf, await client.wait_connected(), signed)
    client.engine.care.hurry(device)
    await shelf.journal.flushed()
    return devices.version
