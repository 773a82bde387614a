"""Accounts, device lists, logins, handles, key packages: what every store does with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.errors import Code, Reason
from protocol.frames import Flag
from protocol.limits import DEVICES_MAX, ID_AHEAD_MS_MAX, KEY_PACKAGE_LIFE_S, KEY_PACKAGES_MAX
from storage.base import Account, Claimed
from tests.contracts.kit import YEAR_MS, Kit, Person, key, refused, stored


# -- device lists ------------------------------------------------------------------------------------------------------
async def test_version_one_founds_an_account_and_its_inbox(kit: Kit) -> None:
    ann = Person("ann", (key("ann/0"), key("ann/1")))
    appended = stored(await kit.publish(ann))
    (entry,) = appended.entries
    assert (entry.topic, entry.offset, entry.flags, entry.body) == (ann.inbox, 1, Flag.DEVICES, b"list 1 of ann")
    assert (entry.account, entry.device) == (ann.account, ann.device)
    assert await kit.log(ann.inbox) == [entry]
    known = Account(ann.account, 1, b"list 1 of ann", kit.clock.now_ms + YEAR_MS, ann.devices, False, None)
    assert await kit.store.accounts.get([key("nobody"), ann.account]) == [None, known]


async def test_a_list_follows_the_one_before(kit: Kit) -> None:
    ann = await kit.person("ann", devices=2)
    for version in (0, 3, 7):
        refused(await kit.publish(replace(ann, version=version)), Code.CONFLICT, Reason.VERSION)
    after = await kit.relist(ann, ann.devices[1], key("new"))
    (known,) = await kit.store.accounts.get([ann.account])
    assert known is not None
    assert (known.version, known.devices) == (2, after.devices)
    refused(await kit.publish(ann), Code.CONFLICT, Reason.VERSION)
    assert [entry.offset for entry in await kit.log(ann.inbox)] == [1, 2]  # type: ignore[union-attr]


async def test_the_same_list_again_is_a_duplicate(kit: Kit) -> None:
    ann = await kit.person("ann")
    first_ms = kit.clock.now_ms
    kit.clock.pass_ms(5)
    again = stored(await kit.publish(ann))
    assert (again.duplicate, again.offset, again.ts, again.entries) == (True, 1, first_ms, ())
    other = await kit.store.accounts.publish_list(ann.account, 1, b"other", 10**15, ann.devices, False, ann.device)
    refused(other, Code.CONFLICT, Reason.VERSION)


async def test_lists_that_are_refused(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    eve = Person("eve", (key("eve/0"),))
    refused(await kit.publish(eve, expires_ms=kit.clock.now_ms), Code.EXPIRED)
    refused(await kit.publish(replace(eve, devices=(*eve.devices, bob.device))), Code.FORBIDDEN)
    refused(await kit.publish(eve, device=key("unlisted")), Code.FORBIDDEN)
    refused(await kit.publish(replace(eve, devices=eve.devices * 2)), Code.FRAME)
    many = tuple(key(f"eve/{n}") for n in range(DEVICES_MAX + 1))
    refused(await kit.publish(replace(eve, devices=many)), Code.TOO_LARGE)
    assert await kit.store.accounts.get([eve.account]) == [None]
    refused(await kit.publish(replace(ann, version=2), device=bob.device), Code.FORBIDDEN)
    stored(await kit.publish(replace(eve, devices=many[:-1])))


async def test_a_listed_device_may_take_itself_off(kit: Kit) -> None:
    ann = await kit.person("ann", devices=2)
    await kit.relist(ann, ann.devices[1])
    (known,) = await kit.store.accounts.get([ann.account])
    assert known is not None
    assert known.devices == ann.devices[1:]


async def test_a_device_may_come_back_to_its_account(kit: Kit) -> None:
    ann = await kit.person("ann", devices=2)
    desk = ann.devices[1]
    login = await kit.login(ann.account, desk)
    after = await kit.relist(ann, ann.device)
    with pytest.raises(LookupError):
        await kit.login(ann.account, desk)
    await kit.relist(after, ann.device, desk)
    assert (await kit.login(ann.account, desk)).number == login.number + 1


# -- logins and handles ------------------------------------------------------------------------------------------------
async def test_logins_count_up_for_each_device(kit: Kit) -> None:
    ann = await kit.person("ann", devices=2)
    phone, desk = ann.devices
    await kit.store.key_packages.put(ann.account, desk, [b"p1", b"p2"], None)
    login = kit.login
    assert [(await login(ann.account, device)).number for device in (phone, phone, desk)] == [1, 2, 1]
    assert (await login(ann.account, desk)).key_packages == 2
    for account, device in ((key("nobody"), phone), (ann.account, key("nobody/0"))):
        with pytest.raises(LookupError):
            await login(account, device)


async def test_a_handle_has_one_account_and_an_account_one_handle(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    claim, resolve = kit.store.accounts.claim_handle, kit.store.accounts.resolve_handle
    assert await claim(ann.account, "ann") is None
    assert await claim(ann.account, "ann") is None
    assert await resolve("ann") == ann.account
    refused(await claim(bob.account, "ann"), Code.CONFLICT, Reason.TAKEN)
    refused(await claim(key("nobody"), "free"), Code.NOT_FOUND)
    assert await claim(ann.account, "anna") is None
    assert await resolve("ann") is None
    assert await claim(bob.account, "ann") is None
    known = await kit.store.accounts.get([ann.account, bob.account])
    assert [account.handle for account in known if account is not None] == ["anna", "ann"]
    await kit.relist(ann, *ann.devices)
    assert await resolve("anna") == ann.account


# -- key packages ------------------------------------------------------------------------------------------------------
async def test_one_time_packages_are_handed_out_once_then_the_last_resort(kit: Kit) -> None:
    ann = await kit.person("ann", devices=3)
    phone, desk, _ = ann.devices
    put, claim = kit.store.key_packages.put, kit.store.key_packages.claim
    assert await put(ann.account, phone, [b"p1", b"p2"], b"last") == 2
    assert await put(ann.account, desk, [], b"desk's last") == 0
    claims = [await claim([ann.account, key("nobody")]) for _ in range(3)]
    assert [[(c.device, c.package, c.last_resort, c.left) for c in claimed] for claimed in claims] == [
        [(phone, b"p1", False, 1), (desk, b"desk's last", True, 0)],
        [(phone, b"p2", False, 0), (desk, b"desk's last", True, 0)],
        [(phone, b"last", True, 0), (desk, b"desk's last", True, 0)],
    ]


async def test_claims_come_in_the_order_asked(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    for person in (ann, bob):
        await kit.store.key_packages.put(person.account, person.device, [b"of " + person.name.encode()], None)
    claimed = await kit.store.key_packages.claim([bob.account, ann.account, bob.account])
    assert claimed == [
        Claimed(bob.account, bob.device, b"of bob", False, 0),
        Claimed(ann.account, ann.device, b"of ann", False, 0),
    ]


async def test_a_device_keeps_a_bounded_number_of_packages(kit: Kit) -> None:
    ann = await kit.person("ann")
    put = kit.store.key_packages.put
    many = [b"package %d" % n for n in range(KEY_PACKAGES_MAX + 5)]
    assert await put(ann.account, ann.device, many[:3], None) == 3
    assert await put(ann.account, ann.device, many[:3], None) == 3  # the same bytes count once
    assert await put(ann.account, ann.device, many, None) == KEY_PACKAGES_MAX
    assert await put(ann.account, key("not listed"), many, None) == 0
    assert await put(key("nobody"), ann.device, many, b"last") == 0


async def test_packages_go_with_their_device_and_with_time(kit: Kit) -> None:
    ann = await kit.person("ann", devices=2)
    phone, desk = ann.devices
    put, claim = kit.store.key_packages.put, kit.store.key_packages.claim
    await put(ann.account, desk, [b"d1"], b"last")
    after = await kit.relist(ann, phone)
    await kit.relist(after, phone, desk)
    assert await claim([ann.account]) == []
    await put(ann.account, phone, [b"p1"], None)
    kit.clock.pass_ms(KEY_PACKAGE_LIFE_S * 1000)
    await put(ann.account, phone, [b"p2"], None)
    await kit.store.topics.retain(0, kit.clock.now_ms)
    assert (await kit.login(ann.account, phone)).key_packages == 2
    kit.clock.pass_ms(1)
    await kit.store.topics.retain(0, kit.clock.now_ms)
    assert [claimed.package for claimed in await claim([ann.account])] == [b"p2"]


async def test_statistics_count(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    intent = kit.intent(ann, topic)
    for _ in range(2):
        stored(await kit.store.topics.append(intent))
    refused(await kit.post(ann, topic, epoch=(9, 9)), Code.CONFLICT, Reason.STALE_FENCE)
    figures = kit.store.statistics()
    assert (figures.appended, figures.duplicates, figures.refused, figures.queued) == (2, 1, 1, 0)
    assert figures.commits > 0
    assert figures.batch_max >= 1
    assert figures.commit_ms_p99 >= figures.commit_ms_p50 >= 0
    assert figures.bytes > 0


async def test_a_device_numbers_its_logins_and_a_late_one_is_refused(kit: Kit) -> None:
    ann = await kit.person("ann")
    assert (await kit.login(ann.account, ann.device, 1000)).number == 1000
    for late in (999, 1000):
        refused(await kit.store.accounts.login(ann.account, ann.device, late), Code.CONFLICT, Reason.SUPERSEDED)
    assert (await kit.login(ann.account, ann.device)).number == 1001
    assert (await kit.login(ann.account, ann.device, 2000)).number == 2000


async def test_a_login_numbered_from_a_clock_far_ahead_is_refused(kit: Kit) -> None:
    ann = await kit.person("ann")
    far = kit.clock.now_ms + 2 * ID_AHEAD_MS_MAX
    refused(await kit.store.accounts.login(ann.account, ann.device, far), Code.FRAME)
    assert (await kit.login(ann.account, ann.device)).number == 1
