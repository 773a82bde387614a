"""Accounts in SQLite: lists that follow each other, devices that belong to one account, handles."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from protocol.errors import Code, Reason
from storage.base import Login
from tests.contracts.kit import Kit, Person, key, refused, stored


async def test_an_account_from_its_first_list_to_its_third(kit: Kit) -> None:
    ann = await kit.person("ann", devices=2)
    accounts = kit.store.accounts
    assert stored(await kit.publish(ann)).duplicate
    refused(await kit.publish(replace(ann, version=3)), Code.CONFLICT, Reason.VERSION)
    second = await kit.relist(ann, ann.device)
    third = await kit.relist(second, key("new"), ann.device)
    known = (await accounts.get([key("nobody"), ann.account]))[1]
    assert known is not None
    assert (known.version, known.devices, known.service) == (3, third.devices, False)
    assert await kit.bodies(ann.inbox) == [b"list 1 of ann", b"list 2 of ann", b"list 3 of ann"]
    assert await accounts.login(ann.account, ann.device) == Login(1, 0)
    with pytest.raises(LookupError):
        await accounts.login(ann.account, ann.devices[1])


async def test_of_two_lists_of_one_version_one_wins(kit: Kit) -> None:
    ann = await kit.person("ann")
    outcomes: list[object] = []

    async def publish(device: bytes) -> None:
        signed = b"for " + device
        devices = (ann.device, device)
        outcomes.append(
            await kit.store.accounts.publish_list(ann.account, 2, signed, 10**15, devices, True, ann.device)
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish, key("one"))
        nursery.start_soon(publish, key("other"))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Appended", "Refused"]
    (known,) = await kit.store.accounts.get([ann.account])
    assert known is not None
    assert known.service


async def test_a_device_belongs_to_the_first_account_that_listed_it(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    refused(await kit.publish(Person("eve", (ann.device,))), Code.FORBIDDEN)
    await kit.relist(ann, key("new"))
    refused(await kit.publish(Person("eve", (ann.device,))), Code.FORBIDDEN)  # nor later
    refused(await kit.publish(replace(bob, version=2), device=ann.device), Code.FORBIDDEN)


async def test_handles(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    accounts = kit.store.accounts
    assert await accounts.claim_handle(ann.account, "ann") is None
    refused(await accounts.claim_handle(bob.account, "ann"), Code.CONFLICT, Reason.TAKEN)
    refused(await accounts.claim_handle(key("nobody"), "x"), Code.NOT_FOUND)
    assert await accounts.claim_handle(ann.account, "anna") is None
    assert [await accounts.resolve_handle(name) for name in ("ann", "anna")] == [None, ann.account]
