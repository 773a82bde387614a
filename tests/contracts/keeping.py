"""Inboxes, erasure, blobs and retention: what every store keeps, and for how long."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from protocol.errors import Code, Reason
from protocol.frames import Create, Flag, GapReason, Role
from protocol.ids import TopicKind, feed_topic
from protocol.limits import BLOB_BYTES_MAX, BLOB_UNLINKED_MS, DEVICE_UNSEEN_MS_MAX, ID_AGE_MS_MAX, ID_AHEAD_MS_MAX
from storage import batch, memory_model
from storage.base import Entry, Freed, Hole
from tests.contracts.kit import DAY_MS, Kit, Person, key, refused, stored, welcome

NOTHING = Freed(0, 0, 0, 0)


# -- inboxes -----------------------------------------------------------------------------------------------------------
async def test_any_registered_account_posts_sealed_entries_to_an_inbox(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    entry = stored(await kit.post(ann, bob.inbox, Flag.SEALED, None, body=b"box")).entries[0]
    assert (entry.offset, entry.fence) == (2, 0)  # the first is bob's device list
    stored(await kit.post(ann, bob.inbox, Flag.SEALED | Flag.URGENT, None))
    assert len(await kit.log(bob.inbox)) == 3
    assert await kit.store.topics.state(bob.inbox, ann.account) is None
    state = await kit.store.topics.state(bob.inbox, bob.account)
    assert state is not None
    assert (state.kind, state.head, state.role) == (TopicKind.INBOX, 3, Role.OWNER)


async def test_an_inbox_takes_nothing_else(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    nobody = Person("nobody", (key("nobody/0"),))
    for flags in (0, Flag.COMMIT, Flag.SEALED | Flag.COMMIT, Flag.PUBLIC, Flag.WELCOME, Flag.SEALED | Flag.PUBLIC):
        refused(await kit.post(ann, bob.inbox, flags, None), Code.FRAME)
        refused(await kit.post(bob, bob.inbox, flags, None), Code.FRAME)
    refused(await kit.post(ann, bob.inbox, Flag.SEALED, (1, 1)), Code.FRAME)
    refused(await kit.post(ann, nobody.inbox, Flag.SEALED, None), Code.NOT_FOUND)
    refused(await kit.post(nobody, bob.inbox, Flag.SEALED, None), Code.FORBIDDEN)
    refused(await kit.post(ann, bob.inbox, Flag.SEALED, None, create=Create(TopicKind.INBOX)), Code.NOT_FOUND)
    assert len(await kit.log(bob.inbox)) == 1


async def test_a_full_inbox_takes_more_when_its_owner_has_read(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "INBOX_ENTRIES_MAX", 4)
    monkeypatch.setattr(memory_model, "INBOX_ENTRIES_MAX", 4)
    ann, bob = await kit.person("ann"), await kit.person("bob", devices=2)
    for _ in range(3):
        stored(await kit.post(ann, bob.inbox, Flag.SEALED, None))
    assert refused(await kit.post(ann, bob.inbox, Flag.SEALED, None), Code.QUOTA).retry_ms is None
    topic = await kit.group(ann)
    add: dict[str, Any] = {"added": {bob: Role.MEMBER}, "welcomes": (welcome(bob),)}
    refused(await kit.commit(ann, topic, **add), Code.QUOTA)
    kit.store.topics.acknowledge_nowait(bob.inbox, bob.devices[0], 4)
    refused(await kit.post(ann, bob.inbox, Flag.SEALED, None), Code.QUOTA)  # the other device has not read
    kit.store.topics.acknowledge_nowait(bob.inbox, bob.devices[1], 2)
    stored(await kit.post(ann, bob.inbox, Flag.SEALED, None))
    stored(await kit.commit(ann, topic, **add))
    refused(await kit.post(ann, bob.inbox, Flag.SEALED, None), Code.QUOTA)
    kit.clock.pass_ms(DEVICE_UNSEEN_MS_MAX)
    await kit.login(bob.account, bob.devices[0])
    kit.clock.pass_ms(1)  # now the second device is unseen for so long that it no longer counts
    stored(await kit.post(ann, bob.inbox, Flag.SEALED, None))


async def test_a_device_list_reaches_a_full_inbox(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "INBOX_ENTRIES_MAX", 1)
    monkeypatch.setattr(memory_model, "INBOX_ENTRIES_MAX", 1)
    bob = await kit.person("bob")
    await kit.relist(bob, *bob.devices, key("new"))
    assert len(await kit.log(bob.inbox)) == 2


# -- erasure -----------------------------------------------------------------------------------------------------------
async def erase(kit: Kit, by: Person, topic: bytes, offset: int, flags: int = 0) -> object:
    state = await kit.store.topics.state(topic, by.account)
    epoch = (state.group, state.fence) if state is not None and state.group else None
    header = offset.to_bytes(8, "big")
    return await kit.post(by, topic, Flag.ERASE | flags, epoch, header=header, body=b"", erases=offset)


async def test_an_author_or_an_admin_erases(kit: Kit) -> None:
    ann, bob, cem = await kit.people("ann", "bob", "cem")
    topic = await kit.group(ann, {bob: Role.MEMBER, cem: Role.MEMBER})
    for body in (b"one", b"two", b"three"):
        await kit.say(bob, topic, body)
    refused(await erase(kit, cem, topic, 2), Code.FORBIDDEN)
    entry = stored(await erase(kit, bob, topic, 2)).entries[0]
    assert (entry.flags, entry.offset) == (Flag.ERASE, 5)
    stored(await erase(kit, ann, topic, 3))
    assert (await kit.bodies(topic))[1:] == [(2, 3), b"three", b"", b""]
    hole = (await kit.log(topic))[1]
    assert isinstance(hole, Hole)
    assert hole.reason == GapReason.RETENTION


async def test_what_cannot_be_erased(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    await kit.say(ann, topic)
    refused(await erase(kit, ann, topic, 9), Code.NOT_FOUND)
    refused(await erase(kit, ann, topic, 1), Code.FRAME)
    stored(await erase(kit, ann, topic, 2))
    refused(await erase(kit, ann, topic, 2), Code.NOT_FOUND)


async def test_an_owner_erases_in_the_own_feed(kit: Kit) -> None:
    ann = await kit.person("ann")
    feed = feed_topic(ann.account)
    stored(await kit.post(ann, feed, Flag.PUBLIC, None, create=Create(TopicKind.FEED), body=b"oops"))
    stored(await erase(kit, ann, feed, 1, Flag.PUBLIC))
    assert await kit.bodies(feed) == [(1, 1), b""]


async def test_a_duplicate_of_an_erased_entry_is_still_one(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    intent = kit.intent(ann, topic)
    stored(await kit.store.topics.append(intent))
    stored(await erase(kit, ann, topic, 2))
    assert stored(await kit.store.topics.append(intent)).duplicate
    follows = kit.intent(ann, topic, after=intent.id)
    stored(await kit.store.topics.append(follows))


# -- blobs -------------------------------------------------------------------------------------------------------------
async def test_a_blob_is_stored_under_its_hash(kit: Kit) -> None:
    digest = await kit.blob(b"sealed file")
    assert await kit.store.blobs.get(digest) == b"sealed file"
    assert await kit.store.blobs.get(key("none")) is None
    with pytest.raises(ValueError, match="hash"):
        await kit.store.blobs.put(digest, b"other bytes")
    large = bytes(BLOB_BYTES_MAX + 1)
    with pytest.raises(ValueError, match="at most"):
        await kit.store.blobs.put(hashlib.sha256(large).digest(), large)


async def test_blobs_that_an_entry_names_must_be_there(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    there = await kit.blob(b"there")
    refusal = refused(await kit.post(ann, topic, blobs=(there, key("none"))), Code.NOT_FOUND)
    assert refusal.text.startswith("1 of the named blobs")
    stored(await kit.post(ann, topic, blobs=(there, there)))
    refused(await kit.post(ann, bob.inbox, Flag.SEALED, None, blobs=(key("none"),)), Code.NOT_FOUND)


async def test_an_upload_that_nothing_names_lives_an_hour(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    named, again, lost = [await kit.blob(data) for data in (b"named", b"again", b"lost!")]
    await kit.say(ann, topic, blobs=(named,))
    kit.clock.pass_ms(BLOB_UNLINKED_MS)
    await kit.blob(b"again")
    assert await kit.store.topics.retain(0, kit.clock.now_ms) == NOTHING
    kit.clock.pass_ms(1)
    assert await kit.store.topics.retain(0, kit.clock.now_ms) == Freed(0, 0, 1, 5)
    assert [await kit.store.blobs.get(digest) for digest in (named, again, lost)] == [b"named", b"again", None]


async def test_a_blob_goes_with_the_last_entry_that_names_it(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    one, other = await kit.pair(ann, bob), await kit.own(ann)
    digest = await kit.blob(b"shared")
    await kit.say(ann, one, blobs=(digest,))
    await kit.say(ann, other, blobs=(digest,))
    stored(await erase(kit, ann, one, 2))
    assert await kit.store.blobs.get(digest) == b"shared"
    stored(await erase(kit, ann, other, 2))
    assert await kit.store.blobs.get(digest) is None


# -- retention ---------------------------------------------------------------------------------------------------------
async def test_old_bodies_go_and_leave_holes_with_the_chains_hash(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    for n in range(3):
        await kit.say(ann, topic, b"old %d" % n, header=b"h")
    kit.clock.pass_ms(DAY_MS)
    await kit.say(bob, topic, b"young")
    before = await kit.log(topic)
    freed = await kit.store.topics.retain(kit.clock.now_ms, kit.clock.now_ms)
    assert freed == Freed(3, 3 * 6, 0, 0)
    after = await kit.log(topic)
    assert after[0] == before[0]  # the founding commit stays
    assert isinstance(before[3], Entry)
    assert after[1] == Hole(2, 4, GapReason.RETENTION, before[3].hash)
    assert after[2:] == before[4:]
    assert await kit.store.topics.retain(kit.clock.now_ms, kit.clock.now_ms) == NOTHING
    page = await kit.store.topics.read(topic, 2, 1, 1)  # from inside the hole
    assert page.items == (Hole(3, 4, GapReason.RETENTION, before[3].hash),)


async def test_entries_past_their_ttl_go(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    await kit.say(ann, topic, b"short", ttl=1000)
    await kit.say(ann, topic, b"long!", ttl=5000)
    kit.clock.pass_ms(1000)
    assert await kit.store.topics.retain(0, kit.clock.now_ms - 1) == NOTHING
    assert await kit.store.topics.retain(0, kit.clock.now_ms) == Freed(1, 5, 0, 0)
    assert (await kit.bodies(topic))[1:] == [(2, 2), b"long!"]


async def test_commits_stay_until_every_device_has_passed_them(kit: Kit) -> None:
    ann, bob = await kit.person("ann", devices=2), await kit.person("bob")
    topic = await kit.pair(ann, bob)
    stored(await kit.commit(ann, topic, body=b"commit"))
    await kit.say(ann, topic, b"old")
    kit.clock.pass_ms(DAY_MS)
    acknowledge, retain = kit.store.topics.acknowledge_nowait, kit.store.topics.retain
    for device in (*ann.devices, bob.device):
        acknowledge(topic, device, 1)
    founding = (await kit.log(topic))[0]
    assert isinstance(founding, Entry)
    size = len(founding.header) + len(founding.body) + len(b"old")
    assert await retain(kit.clock.now_ms, kit.clock.now_ms) == Freed(2, size, 0, 0)
    assert await kit.bodies(topic) == [(1, 1), b"commit", (3, 3)]
    acknowledge(topic, ann.device, 3)
    acknowledge(topic, bob.device, 3)
    assert await retain(kit.clock.now_ms, kit.clock.now_ms) == NOTHING
    acknowledge(topic, ann.devices[1], 2)
    acknowledge(topic, ann.devices[1], 1)  # never goes back
    assert await retain(kit.clock.now_ms, kit.clock.now_ms) == Freed(1, 6, 0, 0)
    assert await kit.bodies(topic) == [(1, 3)]
    state = await kit.store.topics.state(topic, ann.account)
    assert state is not None
    assert (state.floor, state.head) == (3, 3)


async def test_a_device_unseen_for_long_holds_nothing_up(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.group(ann, {bob: Role.MEMBER})
    kit.clock.pass_ms(DEVICE_UNSEEN_MS_MAX)
    kit.store.topics.acknowledge_nowait(topic, ann.device, 1)
    assert (await kit.store.topics.retain(kit.clock.now_ms, kit.clock.now_ms)).entries == 0
    kit.clock.pass_ms(1)
    await kit.login(ann.account, ann.device)
    await kit.store.topics.retain(kit.clock.now_ms, kit.clock.now_ms)
    assert await kit.bodies(topic) == [(1, 1)]


async def test_what_was_before_a_member_came_is_not_kept_for_it(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.group(ann)
    stored(await kit.commit(ann, topic, added={bob: Role.MEMBER}, read_from=2))
    kit.clock.pass_ms(DAY_MS)
    kit.store.topics.acknowledge_nowait(topic, ann.device, 2)
    assert (await kit.store.topics.retain(kit.clock.now_ms, kit.clock.now_ms)).entries == 2


async def test_welcomes_and_device_lists_wait_for_their_readers(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    await kit.pair(ann, bob, welcomes=(welcome(bob),))
    stored(await kit.post(ann, bob.inbox, Flag.SEALED, None))
    kit.clock.pass_ms(DAY_MS)
    await kit.store.topics.retain(kit.clock.now_ms, kit.clock.now_ms)
    assert await kit.bodies(bob.inbox) == [b"list 1 of bob", b"welcome", (3, 3)]
    kit.store.topics.acknowledge_nowait(bob.inbox, bob.device, 2)
    await kit.store.topics.retain(kit.clock.now_ms, kit.clock.now_ms)
    assert await kit.bodies(bob.inbox) == [(1, 3)]


async def test_ids_are_forgotten_when_ids_of_their_age_are_refused(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    first, last = kit.intent(ann, topic), kit.intent(ann, topic, id=kit.id(kit.clock.now_ms + ID_AHEAD_MS_MAX))
    for intent in (first, last):
        stored(await kit.store.topics.append(intent))
    kit.clock.pass_ms(ID_AGE_MS_MAX + ID_AHEAD_MS_MAX)
    ann = await kit.relist(ann, *ann.devices)
    before = (await kit.log(topic))[2]
    await kit.store.topics.retain(kit.clock.now_ms, kit.clock.now_ms)
    assert stored(await kit.store.topics.append(first)).duplicate
    kit.clock.pass_ms(1)
    await kit.store.topics.retain(kit.clock.now_ms, kit.clock.now_ms)
    refused(await kit.store.topics.append(first), Code.EXPIRED)
    refused(await kit.store.topics.append(replace(last, id=kit.id(0))), Code.EXPIRED)
    assert isinstance(before, Entry)
    assert (await kit.log(topic))[-1] == Hole(1, 3, GapReason.RETENTION, before.hash)
    assert stored(await kit.store.topics.append(last)).duplicate  # the end of a run stays
    await kit.say(ann, topic, b"young")
    kit.clock.pass_ms(1)
    await kit.store.topics.retain(kit.clock.now_ms, kit.clock.now_ms)
    assert await kit.bodies(topic) == [(1, 4)]


async def test_a_conflict_is_told_for_entries_whose_body_is_gone(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    intent = kit.intent(ann, topic)
    stored(await kit.store.topics.append(intent))
    kit.clock.pass_ms(1)
    await kit.store.topics.retain(kit.clock.now_ms, kit.clock.now_ms)
    other = replace(intent, digest=key("other"))
    assert refused(await kit.store.topics.append(other), Code.CONFLICT, Reason.ID_CONFLICT).offset == 2
