"""Lockers of the store: one parcel of a kind an account, found by whoever knows the slot. Both backends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.kit import BACKENDS, Clock, Kit, key, opened


@pytest.fixture(params=BACKENDS)
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kit]:
    clock = Clock()
    async with opened(request.param, tmp_path, clock) as store:
        yield Kit(store, clock)


async def test_a_parcel_waits_until_its_time_is_over(both: Kit) -> None:
    ann, clock = await both.person("ann"), both.clock
    lockers = both.store.lockers
    assert await lockers.put(ann.account, 2, key("slot"), b"sealed", 1000)
    assert await lockers.get(2, key("slot"), clock.now_ms) == b"sealed"
    assert await lockers.get(1, key("slot"), clock.now_ms) is None
    assert await lockers.get(2, key("other"), clock.now_ms) is None
    assert await lockers.get(2, key("slot"), clock.now_ms + 1000) is None


async def test_a_newer_parcel_replaces_the_one_before(both: Kit) -> None:
    ann, lockers = await both.person("ann"), both.store.lockers
    assert await lockers.put(ann.account, 1, key("slot"), b"old", 0)
    assert await lockers.put(ann.account, 1, key("slot"), b"new", 0)
    assert await lockers.put(ann.account, 2, key("slot"), b"of another kind", 0)
    assert await lockers.get(1, key("slot"), 10**15) == b"new"
    assert await lockers.put(ann.account, 1, key("moved"), b"newest", 0)
    assert await lockers.get(1, key("slot"), 0) is None


async def test_nobody_writes_into_somebody_elses_slot(both: Kit) -> None:
    ann, bob = await both.people("ann", "bob")
    lockers = both.store.lockers
    assert await lockers.put(ann.account, 2, key("slot"), b"ann's", 0)
    assert not await lockers.put(bob.account, 2, key("slot"), b"bob's", 0)
    assert not await lockers.put(key("nobody"), 2, key("free"), b"x", 0)
    assert await lockers.get(2, key("slot"), 0) == b"ann's"


async def test_a_list_without_devices_empties_everything(both: Kit) -> None:
    ann, store = await both.person("ann"), both.store
    await store.lockers.put(ann.account, 1, ann.account, b"seeds", 0)
    assert await store.accounts.claim_handle(ann.account, "ann") is None
    await both.relist(ann)
    assert await store.lockers.get(1, ann.account, 0) is None
    assert await store.accounts.resolve_handle("ann") is None
    (known,) = await store.accounts.get([ann.account])
    assert known is not None
    assert (known.devices, known.handle) == ((), None)
