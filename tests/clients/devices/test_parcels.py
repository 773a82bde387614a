"""Parcels between two devices: found when they are there, and only if they are from whoever read the code."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio
from nacl import bindings as sodium

from clients.devices import parcels
from clients.devices.code import LinkCode
from clients.devices.parcels import ADMISSION, ARCHIVE, Admission, ArchiveKey, LinkFailed
from clients.records import InboxCursor
from protocol.errors import Code
from protocol.identity import SigningKey
from protocol.requests import GetLists
from storage.base import Refused
from tests.support.clients import URL, clock_ms, entropy_of, open_world

INBOX = b"i" * 32
CODE = LinkCode(SigningKey(b"d" * 32).public, sodium.crypto_scalarmult_base(INBOX), b"s" * 16)


async def test_a_parcel_is_waited_for(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        link, shelf = await alice.wait_connected(), alice.engine.shelf
        assert await parcels.find(link, CODE, ARCHIVE, INBOX, ArchiveKey) is None

        async def later() -> None:
            await trio.sleep(3)
            parcel = ArchiveKey(CODE.secret, b"k" * 32, (b"h" * 32,))
            await parcels.leave(
                link, CODE, ARCHIVE, parcel, account=alice.account, sender=shelf.device, entropy=shelf.entropy
            )

        async with trio.open_nursery() as nursery:
            nursery.start_soon(later)
            opened, found = await parcels.wait_for(link, CODE, ARCHIVE, INBOX, ArchiveKey)
        assert (opened.account, opened.device) == (alice.account, shelf.device.public)
        assert found.key == b"k" * 32
        with pytest.raises(LinkFailed, match="cannot be opened"):
            await parcels.find(link, CODE, ARCHIVE, b"x" * 32, ArchiveKey)
        with pytest.raises(LinkFailed, match="cannot be opened"):
            await parcels.find(link, CODE, ARCHIVE, INBOX, Admission)


async def test_a_relay_that_does_not_help(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        link = await alice.wait_connected()
        world.relay.answer["link.get"] = lambda wire, params: Refused(Code.RATE, "wait", retry_ms=5)
        assert await parcels.find(link, CODE, ADMISSION, INBOX, Admission) is None
        world.relay.answer["link.get"] = lambda wire, params: Refused(Code.UNKNOWN_METHOD, "what?")
        with pytest.raises(LinkFailed, match="what"):
            await parcels.find(link, CODE, ADMISSION, INBOX, Admission)


async def test_a_bare_connection_and_what_lies_in_a_vault(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        key = SigningKey(b"n" * 32)
        async with parcels.open_bare(f"{URL}?new", key, key.public, 1, entropy_of("new")) as link:
            assert not link.login.registered
            assert await link.ask("devices.get", GetLists((key.public,)), list[bytes | None]) == [None]
        await world.crash("alice")
        vault = world.vaults["alice"]
        async with parcels.open_shelf(cast("Any", vault), clock_ms, entropy_of("shelf")) as shelf:
            shelf.identity.handle = "changed"
            shelf.save_identity()
        again = await world.start("alice")
        assert again.engine.shelf.identity.handle == "changed"
        assert again.account == alice.account


def test_a_place_in_the_inbox() -> None:
    assert InboxCursor(*parcels.inbox_place(InboxCursor(2, 5, b"c"))) == InboxCursor(2, 5, b"c")
