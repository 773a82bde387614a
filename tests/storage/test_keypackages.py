"""Key packages in SQLite: oldest first, each once."""

from __future__ import annotations

import trio

from protocol.limits import KEY_PACKAGES_MAX
from storage.base import Claimed
from tests.contracts.kit import Kit, key


async def test_packages_are_handed_out_oldest_first(kit: Kit) -> None:
    ann = await kit.person("ann", devices=2)
    packages = kit.store.key_packages
    many = [b"%03d" % n for n in range(KEY_PACKAGES_MAX + 2)]
    assert await packages.put(ann.account, ann.device, many[:2], None) == 2
    assert await packages.put(ann.account, ann.device, many, b"last") == KEY_PACKAGES_MAX
    assert await packages.put(ann.account, key("unlisted"), many, None) == 0
    for n in range(3):
        claimed = await packages.claim([ann.account])
        assert claimed == [Claimed(ann.account, ann.device, many[n], False, KEY_PACKAGES_MAX - 1 - n)]


async def test_one_package_is_never_handed_out_twice(kit: Kit) -> None:
    ann = await kit.person("ann")
    await kit.store.key_packages.put(ann.account, ann.device, [b"%d" % n for n in range(20)], b"last")
    got: list[Claimed] = []

    async def claim() -> None:
        got.extend(await kit.store.key_packages.claim([ann.account]))

    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(claim)
    once = [claimed.package for claimed in got if not claimed.last_resort]
    assert len(once) == len(set(once)) == 20
    assert [claimed.package for claimed in got if claimed.last_resort] == [b"last"] * 10
    assert await kit.store.key_packages.claim([key("nobody")]) == []
