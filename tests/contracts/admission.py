"""What every store keeps of the operator's decisions: invitations, bans, bounds of single accounts."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.errors import Code
from protocol.frames import Flag
from storage.base import Appended, Refused
from storage.decisions import Ban, Invite, Quota
from tests.contracts.kit import DAY_MS, START_MS, YEAR_MS, Kit, key

HASH = key("an invitation")


async def _register(kit: Kit, name: str, invite: bytes) -> Any:
    devices = [key(f"{name}/0")]
    return await kit.store.accounts.publish_list(
        key(name), 1, b"list of " + name.encode(), START_MS + YEAR_MS, devices, False, devices[0], invite
    )


async def test_an_invitation_is_counted_down_by_whom_it_registers(kit: Kit) -> None:
    await kit.store.admission.add_invite(Invite(HASH, 2, START_MS + DAY_MS))
    assert isinstance(await _register(kit, "ann", HASH), Appended)
    assert await kit.store.admission.invites() == [Invite(HASH, 1, START_MS + DAY_MS)]
    again = await _register(kit, "ann", HASH)
    assert isinstance(again, Appended)
    assert again.duplicate
    assert (await kit.store.admission.invites())[0].uses == 1  # a repeated registration uses nothing up
    assert isinstance(await _register(kit, "bob", HASH), Appended)
    assert await kit.store.admission.invites() == []
    refused = await _register(kit, "eve", HASH)
    assert isinstance(refused, Refused)
    assert refused.code is Code.FORBIDDEN
    assert (await kit.store.accounts.get([key("eve")])) == [None]


async def test_an_invitation_ends(kit: Kit) -> None:
    await kit.store.admission.add_invite(Invite(HASH, 2, START_MS + DAY_MS))
    await kit.store.admission.add_invite(Invite(key("another"), 1, START_MS + 2 * DAY_MS))
    kit.clock.pass_ms(DAY_MS)
    assert isinstance(await _register(kit, "ann", HASH), Refused)
    assert isinstance(await _register(kit, "ann", key("never given")), Refused)
    assert [invite.hash for invite in await kit.store.admission.invites()] == [key("another")]


async def test_a_refused_list_uses_no_invitation_up(kit: Kit) -> None:
    ann = await kit.person("ann")
    await kit.store.admission.add_invite(Invite(HASH, 1, START_MS + DAY_MS))
    refused = await kit.store.accounts.publish_list(
        key("eve"), 1, b"list", START_MS + YEAR_MS, [ann.device], False, ann.device, HASH
    )
    assert isinstance(refused, Refused)
    assert (await kit.store.admission.invites())[0].uses == 1


async def test_bans_are_replaced_lifted_and_end(kit: Kit) -> None:
    store = kit.store.admission
    await store.ban(Ban("address", "192.0.2.7", "flood", START_MS, START_MS + DAY_MS))
    await store.ban(Ban("account", key("eve").hex(), "spam", START_MS + 1, 0))
    await store.ban(Ban("account", key("eve").hex(), "spam\r\n\x1b[31m", START_MS + 2, 0))
    assert [(ban.kind, ban.made_ms) for ban in await store.bans()] == [("address", START_MS), ("account", START_MS + 2)]
    kit.clock.pass_ms(DAY_MS)
    (left,) = await store.bans()
    assert left == Ban("account", key("eve").hex(), "spam\r\n\x1b[31m", START_MS + 2, 0)
    await store.ban(Ban("device", key("eve/0").hex(), "", kit.clock.now_ms, 0))
    assert await store.unban("account", key("eve").hex())
    assert not await store.unban("account", key("eve").hex())
    assert [ban.kind for ban in await store.bans()] == ["device"]


async def test_quotas_of_accounts(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    store = kit.store.admission
    assert await store.set_quota(ann.account, "connections", 3)
    assert await store.set_quota(ann.account, "connections", 4)
    assert await store.set_quota(bob.account, "key_packages", 0)
    assert not await store.set_quota(key("nobody"), "connections", 3)
    expected = [Quota(ann.account, "connections", 4), Quota(bob.account, "key_packages", 0)]
    assert await store.quotas() == sorted(expected, key=lambda quota: quota.account)
    assert await store.set_quota(ann.account, "connections", None)
    assert await store.quotas() == [Quota(bob.account, "key_packages", 0)]


@pytest.mark.parametrize("most", [0, 2])
async def test_a_bound_of_key_packages(kit: Kit, most: int) -> None:
    ann = await kit.person("ann")
    packages = [b"%d" % n for n in range(5)]
    assert await kit.store.key_packages.put(ann.account, ann.device, packages, b"last", most) == most


async def test_an_inbox_with_a_bound_of_its_own(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    await kit.store.admission.set_quota(bob.account, "inbox_entries", 3)
    outcomes = [await kit.post(ann, bob.inbox, Flag.SEALED, None) for _ in range(4)]  # the first entry is bob's list
    assert [isinstance(outcome, Appended) for outcome in outcomes] == [True, True, False, False]
    assert outcomes[-1].code is Code.QUOTA
    await kit.store.admission.set_quota(bob.account, "inbox_entries", None)
    assert isinstance(await kit.post(ann, bob.inbox, Flag.SEALED, None), Appended)
