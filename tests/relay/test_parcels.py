"""Parcels: how often an address may look, and what it is told."""

from __future__ import annotations

import pytest

from protocol.errors import Code
from protocol.limits import KNOCKS_BURST, LINK_MS
from relay import parcels as module
from relay.parcels import Parcels
from storage.base import Refused
from storage.memory import MemoryStore
from tests.contracts.kit import Clock, Kit


@pytest.fixture
async def kit() -> Kit:
    clock = Clock()
    return Kit(MemoryStore(clock_ms=clock), clock)


def _opened(kit: Kit) -> Parcels:
    return Parcels(kit.store.lockers, kit.clock, kit.clock)


async def test_a_parcel_for_a_new_device_waits_ten_minutes(kit: Kit) -> None:
    ann, parcels, slot = await kit.person("ann"), _opened(kit), bytes(32)
    assert await parcels.put_link(ann.account, slot, b"sealed") is None
    assert await parcels.get_link("here", slot) == b"sealed"
    assert isinstance(await parcels.put_link((await kit.person("bob")).account, slot, b"x"), Refused)
    kit.clock.pass_ms(LINK_MS)
    assert getattr(await parcels.get_link("here", slot), "code", 0) == Code.NOT_FOUND


async def test_recovery_is_found_by_account(kit: Kit) -> None:
    ann, parcels = await kit.person("ann"), _opened(kit)
    assert await parcels.put_recovery(ann.account, b"seeds") is None
    assert isinstance(await parcels.put_recovery(bytes(32), b"seeds"), Refused)
    kit.clock.pass_ms(10**10)
    assert await parcels.get_recovery("here", ann.account) == b"seeds"


async def test_looks_are_counted_by_address(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KNOCKERS_MAX", 2)
    parcels = _opened(kit)
    for _ in range(KNOCKS_BURST):
        await parcels.get_link("one", bytes(32))
    refusal = await parcels.get_link("one", bytes(32))
    assert isinstance(refusal, Refused)
    assert refusal.code == Code.RATE
    assert refusal.retry_ms
    assert getattr(await parcels.get_link("two", bytes(32)), "code", 0) == Code.NOT_FOUND
    kit.clock.pass_ms(refusal.retry_ms)
    assert getattr(await parcels.get_link("one", bytes(32)), "code", 0) == Code.NOT_FOUND
    await parcels.get_link("three", bytes(32))  # "two" is forgotten: it has not been seen for longest
    assert set(parcels._knocks) == {"one", "three"}
