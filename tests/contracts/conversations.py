"""Founding, fence, commits: what every store does with the group behind a conversation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protocol.codec import decode_struct
from protocol.errors import Code, Reason
from protocol.frames import AccessChange, Create, Flag, Role, WelcomeHeader
from protocol.ids import TopicKind, feed_topic, group_topic, inbox_topic, pair_topic, self_topic
from protocol.limits import COMMIT_SPACING_MS, GRACE_MS, RESERVE_EVERY_MS, RESERVE_MS
from storage.base import Entry
from tests.contracts.kit import FOUND, Kit, Person, key, refused, stored, welcome


# -- founding ----------------------------------------------------------------------------------------------------------
async def test_a_pair_is_founded_by_either_with_both_as_owners(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(bob, ann, welcomes=(welcome(ann),))
    assert await kit.roles(topic) == {ann.account: Role.OWNER, bob.account: Role.OWNER}
    state = await kit.store.topics.state(topic, ann.account)
    assert state is not None
    assert (state.kind, state.generation, state.head, state.group, state.fence) == (TopicKind.PAIR, 1, 1, 1, 1)


async def test_two_who_start_at_once_meet_in_one_conversation(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    late = await kit.post(bob, topic, FOUND, (1, 0), **kit.founding_pair(ann))
    refusal = refused(late, Code.CONFLICT, Reason.EXISTS)
    assert (refusal.generation, refusal.offset, refusal.group, refusal.fence) == (1, 1, 1, 1)


async def test_that_a_topic_exists_is_for_its_members_to_know(kit: Kit) -> None:
    ann, bob, eve = await kit.people("ann", "bob", "eve")
    topic = await kit.pair(ann, bob)
    refused(await kit.post(eve, topic, FOUND, (1, 0), **kit.founding_pair(bob)), Code.NOT_FOUND)
    refused(await kit.post(eve, topic), Code.NOT_FOUND)
    refused(await kit.post(eve, key("nowhere")), Code.NOT_FOUND)


async def test_a_group_has_its_founder_as_owner(kit: Kit) -> None:
    ann, bob, cem = await kit.people("ann", "bob", "cem")
    topic = await kit.group(ann, {bob: Role.MEMBER, cem: Role.READER})
    assert await kit.roles(topic) == {ann.account: 4, bob.account: 2, cem.account: 1}


async def test_a_self_topic_and_a_feed(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    own = await kit.own(ann)
    assert await kit.roles(own) == {ann.account: Role.OWNER}
    await kit.say(ann, own)
    refused(await kit.post(bob, own), Code.NOT_FOUND)
    refused(await kit.commit(ann, own, added={bob: Role.MEMBER}), Code.FORBIDDEN)
    refused(await kit.leave(ann, own), Code.FORBIDDEN)
    feed = feed_topic(ann.account)
    stored(await kit.post(ann, feed, Flag.PUBLIC, None, create=Create(TopicKind.FEED)))
    stored(await kit.post(ann, feed, Flag.PUBLIC, None))
    state = await kit.store.topics.state(feed, bob.account)  # public: everybody reads
    assert state is not None
    assert (state.head, state.role) == (2, Role.READER)
    refused(await kit.post(bob, feed, Flag.PUBLIC, None), Code.NOT_FOUND)
    refused(await kit.post(ann, feed, 0, None), Code.FRAME)
    refused(await kit.post(ann, feed, Flag.PUBLIC, (1, 1)), Code.FRAME)


FOUNDING: dict[str, dict[str, Any]] = {
    "an id that does not follow": {"topic": key("else")},
    "without the flag commit": {"flags": Flag.ACCESS},
    "another epoch": {"epoch": (1, 1)},
    "no epoch": {"epoch": None},
    "a peer who is oneself": {"create": Create(TopicKind.PAIR, peer=key("ann"))},
    "a peer that is no account": {"create": Create(TopicKind.PAIR, peer=b"short")},
    "a peer with another role": {"access": AccessChange(((key("bob"), Role.ADMIN),))},
    "somebody else as well": {"access": AccessChange(((key("bob"), 4), (key("cem"), 4)))},
    "a founder who is no owner": {"access": AccessChange(((key("bob"), 4), (key("ann"), 2)))},
    "somebody removed": {"access": AccessChange(((key("bob"), 4),), (key("cem"),))},
    "an account twice": {"access": AccessChange(((key("bob"), 4), (key("bob"), 4)))},
    "a role that is none": {"access": AccessChange(((key("bob"), 9),))},
    "a reset": {"flags": FOUND | Flag.RESET, "expect": 0},
    "a kind that cannot be founded": {"create": Create(TopicKind.INBOX)},
    "a kind that is none": {"create": Create(77)},
    "an access change without its flag": {"flags": Flag.COMMIT},
}


@pytest.mark.parametrize("change", FOUNDING.values(), ids=FOUNDING.keys())
async def test_a_founding_that_is_malformed(kit: Kit, change: dict[str, Any]) -> None:
    ann, bob, _ = await kit.people("ann", "bob", "cem")
    topic = pair_topic(ann.account, bob.account)
    values = {"topic": topic, "flags": FOUND, "epoch": (1, 0), **kit.founding_pair(bob), **change}
    refused(await kit.post(ann, **values), Code.FRAME)
    assert await kit.store.topics.state(topic, ann.account) is None
    stored(await kit.post(ann, topic, FOUND, (1, 0), **kit.founding_pair(bob)))


async def test_founding_with_accounts_that_are_not_there(kit: Kit) -> None:
    ann = await kit.person("ann")
    topic = pair_topic(ann.account, key("bob"))
    access, create = AccessChange(((key("bob"), Role.OWNER),)), Create(TopicKind.PAIR, peer=key("bob"))
    refusal = refused(await kit.post(ann, topic, FOUND, (1, 0), access=access, create=create), Code.NOT_FOUND)
    assert refusal.text.startswith("1 of the 1 accounts")
    with_nonce = Create(TopicKind.GROUP, b"short")
    refused(await kit.post(ann, topic, Flag.COMMIT, (1, 0), create=with_nonce), Code.FRAME)
    of_another = group_topic(key("bob"), bytes(16))
    refused(await kit.post(ann, of_another, Flag.COMMIT, (1, 0), create=Create(TopicKind.GROUP, bytes(16))), Code.FRAME)
    refused(await kit.post(ann, self_topic(key("bob")), Flag.COMMIT, (1, 0), create=Create(TopicKind.SELF)), Code.FRAME)


# -- fence -------------------------------------------------------------------------------------------------------------
async def test_an_application_entry_needs_the_current_fence(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    stored(await kit.commit(ann, topic))
    stored(await kit.commit(bob, topic))
    for stale in ((1, 1), (1, 4), (2, 3), (0, 3)):
        refusal = refused(await kit.post(ann, topic, epoch=stale), Code.CONFLICT, Reason.STALE_FENCE)
        assert (refusal.group, refusal.fence, refusal.offset) == (1, 3, 3)
        assert refusal.retry_ms is None
    stored(await kit.post(ann, topic, epoch=(1, 3)))
    refused(await kit.post(ann, topic, epoch=None), Code.FRAME)


async def test_the_previous_fence_has_its_grace(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    stored(await kit.commit(ann, topic))
    kit.clock.pass_ms(GRACE_MS)
    graced = stored(await kit.post(bob, topic, epoch=(1, 1)))
    assert graced.entries[0].fence == 1
    kit.clock.pass_ms(1)
    refused(await kit.post(bob, topic, epoch=(1, 1)), Code.CONFLICT, Reason.STALE_FENCE)


async def test_one_commit_wins_each_fence_and_has_no_grace(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    stored(await kit.commit(ann, topic))
    lost = await kit.post(bob, topic, Flag.COMMIT, (1, 1))
    assert refused(lost, Code.CONFLICT, Reason.STALE_FENCE).fence == 2
    kit.clock.pass_ms(COMMIT_SPACING_MS)
    assert stored(await kit.post(bob, topic, Flag.COMMIT, (1, 2))).entries[0].fence == 2


async def test_no_grace_after_a_removal_a_founding_or_a_reset(kit: Kit) -> None:
    ann, bob, cem = await kit.people("ann", "bob", "cem")
    topic = await kit.group(ann, {bob: Role.MEMBER, cem: Role.MEMBER})
    refused(await kit.post(ann, topic, epoch=(1, 0)), Code.CONFLICT, Reason.STALE_FENCE)
    stored(await kit.commit(ann, topic, removed=[cem]))
    refused(await kit.post(bob, topic, epoch=(1, 1)), Code.CONFLICT, Reason.STALE_FENCE)
    stored(await kit.commit(ann, topic, flags=Flag.RESET, epoch=(2, 0), expect=2))
    for stale in ((1, 2), (2, 0), (1, 1)):
        refused(await kit.post(bob, topic, epoch=stale), Code.CONFLICT, Reason.STALE_FENCE)
    stored(await kit.post(bob, topic, epoch=(2, 1)))


async def test_who_is_acquainted_with_whom(kit: Kit) -> None:
    ann, bob, carl, dan = await kit.people("ann", "bob", "carl", "dan")
    await kit.pair(ann, bob)
    group = await kit.group(ann, {carl: Role.MEMBER, dan: Role.READER})
    others = [person.account for person in (bob, carl, dan)] + [key("nobody")]

    async def known(by: Person, members_max: int) -> set[bytes]:
        return await kit.store.topics.acquainted(by.account, others, members_max)

    assert await known(ann, 3) == set(others[:3])
    assert await known(ann, 2) == {bob.account}
    assert await known(bob, 100) == {bob.account}
    stored(await kit.leave(carl, group))
    assert await known(dan, 2) == {dan.account}
    assert await known(carl, 100) == set()
    assert await known(ann, 2) == {bob.account, dan.account}


async def test_a_reset_is_for_admins_who_have_seen_the_head(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.group(ann, {bob: Role.MEMBER})
    reset = Flag.COMMIT | Flag.RESET
    refused(await kit.post(bob, topic, reset, (2, 0), expect=1), Code.FORBIDDEN)
    refused(await kit.post(ann, topic, reset, (2, 0)), Code.FRAME)
    refused(await kit.post(ann, topic, Flag.RESET, (2, 0), expect=1), Code.FRAME)
    refused(await kit.post(ann, topic, reset, (1, 1), expect=1), Code.CONFLICT, Reason.STALE_FENCE)
    refused(await kit.post(ann, topic, reset, (2, 0), expect=0), Code.CONFLICT, Reason.EXPECT)
    entry = stored(await kit.post(ann, topic, reset, (2, 0), expect=1)).entries[0]
    assert entry.fence == 0
    state = await kit.store.topics.state(topic, bob.account)
    assert state is not None
    assert (state.generation, state.group, state.fence) == (1, 2, 1)
    refused(await kit.post(ann, topic, reset, (2, 0), expect=2), Code.CONFLICT, Reason.STALE_FENCE)


# -- spacing and reservations ------------------------------------------------------------------------------------------
async def test_commits_that_remove_nobody_are_spaced(kit: Kit) -> None:
    ann, bob, cem = await kit.people("ann", "bob", "cem")
    topic = await kit.group(ann, {bob: Role.MEMBER, cem: Role.MEMBER})
    kit.clock.pass_ms(COMMIT_SPACING_MS - 1)
    refusal = refused(await kit.post(bob, topic, Flag.COMMIT, (1, 1)), Code.CONFLICT, Reason.SPACING)
    assert (refusal.retry_ms, refusal.fence) == (1, 1)
    kit.clock.pass_ms(1)
    stored(await kit.post(bob, topic, Flag.COMMIT, (1, 1)))
    removal = AccessChange(removed=(cem.account,))
    stored(await kit.post(ann, topic, FOUND, (1, 2), access=removal))
    of_a_device = AccessChange(devices_removed=((bob.account, bob.device),))
    stored(await kit.post(ann, topic, FOUND, (1, 3), access=of_a_device))
    refused(await kit.post(ann, topic, Flag.COMMIT, (1, 4)), Code.CONFLICT, Reason.SPACING)


async def test_a_device_may_reserve_the_next_commit(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    kit.clock.pass_ms(COMMIT_SPACING_MS)
    reserve = kit.store.topics.reserve
    until_ms = await reserve(topic, ann.account, ann.device)
    assert until_ms == kit.clock.now_ms + RESERVE_MS
    kit.clock.pass_ms(RESERVE_MS - 10)
    assert await reserve(topic, ann.account, ann.device) == until_ms
    assert refused(await reserve(topic, bob.account, bob.device), Code.CONFLICT, Reason.SPACING).retry_ms == 10
    refusal = refused(await kit.post(bob, topic, Flag.COMMIT, (1, 1)), Code.CONFLICT, Reason.SPACING)
    assert refusal.retry_ms == 10
    stored(await kit.post(ann, topic, Flag.COMMIT, (1, 1)))
    refusal = refused(await reserve(topic, ann.account, ann.device), Code.RATE)
    assert refusal.retry_ms == RESERVE_EVERY_MS - RESERVE_MS + 10
    assert await reserve(topic, bob.account, bob.device) == kit.clock.now_ms + RESERVE_MS
    kit.clock.pass_ms(RESERVE_MS)
    stored(await kit.post(ann, topic, Flag.COMMIT, (1, 2)))
    kit.clock.pass_ms(RESERVE_EVERY_MS)
    assert isinstance(await reserve(topic, ann.account, ann.device), int)


async def test_a_removal_breaks_a_reservation(kit: Kit) -> None:
    ann, bob, cem = await kit.people("ann", "bob", "cem")
    topic = await kit.group(ann, {bob: Role.MEMBER, cem: Role.MEMBER})
    assert isinstance(await kit.store.topics.reserve(topic, bob.account, bob.device), int)
    removal = AccessChange(removed=(cem.account,))
    stored(await kit.post(ann, topic, FOUND, (1, 1), access=removal))
    kit.clock.pass_ms(COMMIT_SPACING_MS)
    stored(await kit.post(ann, topic, Flag.COMMIT, (1, 2)))


async def test_reservations_are_for_members_of_conversations(kit: Kit) -> None:
    ann, bob, eve = await kit.people("ann", "bob", "eve")
    topic = await kit.pair(ann, bob)
    reserve = kit.store.topics.reserve
    refused(await reserve(topic, eve.account, eve.device), Code.NOT_FOUND)
    refused(await reserve(key("nowhere"), ann.account, ann.device), Code.NOT_FOUND)
    refused(await reserve(ann.inbox, ann.account, ann.device), Code.FRAME)
    refused(await reserve(topic, ann.account, bob.device), Code.NOT_FOUND)
    await kit.relist(ann, key("new"))
    refused(await reserve(topic, ann.account, ann.device), Code.FORBIDDEN)


# -- shape -------------------------------------------------------------------------------------------------------------
SHAPES: dict[str, dict[str, Any]] = {
    "ephemeral": {"flags": Flag.EPHEMERAL},
    "no echo": {"flags": Flag.NO_ECHO},
    "as if from the relay: devices": {"flags": Flag.DEVICES},
    "as if from the relay: welcome": {"flags": Flag.WELCOME},
    "public": {"flags": Flag.PUBLIC},
    "sealed": {"flags": Flag.SEALED},
    "an access change without commit": {"flags": Flag.ACCESS, "access": AccessChange(((key("bob"), 2),))},
    "an access change without its flag": {"flags": Flag.COMMIT, "access": AccessChange()},
    "the flag without an access change": {"flags": FOUND},
    "an erasure of nothing": {"flags": Flag.ERASE},
    "an erasure without its flag": {"erases": 1},
    "an erasure with a commit": {"flags": Flag.ERASE | Flag.COMMIT, "erases": 1},
}


@pytest.mark.parametrize("change", SHAPES.values(), ids=SHAPES.keys())
async def test_flags_that_do_not_fit(kit: Kit, change: dict[str, Any]) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    kit.clock.pass_ms(COMMIT_SPACING_MS)
    refused(await kit.post(ann, topic, **change), Code.FRAME)
    assert len(await kit.log(topic)) == 1


# -- Welcomes ----------------------------------------------------------------------------------------------------------
async def test_a_welcome_goes_to_the_inbox_in_the_commits_transaction(kit: Kit) -> None:
    ann, bob, cem = await kit.people("ann", "bob", "cem")
    topic = await kit.group(ann)
    await kit.say(ann, topic)
    added = {bob: Role.MEMBER, cem: Role.ADMIN}
    posts = (welcome(bob, b"for bob"), welcome(cem, b"for cem"))
    appended = stored(await kit.commit(ann, topic, added=added, welcomes=posts, read_from=2))
    assert [entry.topic for entry in appended.entries] == [topic, bob.inbox, cem.inbox]
    assert appended.change == AccessChange(((bob.account, 2), (cem.account, 3)))
    for person, body in ((bob, b"for bob"), (cem, b"for cem")):
        entry = (await kit.log(person.inbox))[-1]
        assert isinstance(entry, Entry)
        assert entry in appended.entries
        assert (entry.flags, entry.body, entry.fence) == (Flag.WELCOME | Flag.STRANGER, body, 0)
        assert (entry.id, entry.account, entry.device) == (appended.entries[0].id, ann.account, ann.device)
        header = decode_struct(entry.header, WelcomeHeader)
        assert header == WelcomeHeader(topic, 1, 2, 1, 2)
    assert (await kit.store.topics.members(topic))[0][2] in (0, 2)
    state = await kit.store.topics.state(topic, bob.account)
    assert state is not None
    assert (state.since, state.role) == (2, Role.MEMBER)


async def test_what_the_added_may_read_is_within_the_log(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.group(ann)
    entry = stored(await kit.commit(ann, topic, added={bob: 2}, welcomes=(welcome(bob),), read_from=99)).entries[1]
    assert decode_struct(entry.header, WelcomeHeader).read_from == 2
    state = await kit.store.topics.state(topic, bob.account)
    assert state is not None
    assert state.since == 2


async def test_welcomes_that_cannot_be_posted_refuse_the_commit(kit: Kit) -> None:
    ann, bob, eve = await kit.people("ann", "bob", "eve")
    topic = await kit.group(ann)
    add = {bob: Role.MEMBER}
    refused(await kit.commit(ann, topic, added=add, welcomes=(welcome(eve),)), Code.NOT_FOUND)
    refused(await kit.commit(ann, topic, added=add, welcomes=(welcome(bob), welcome(bob))), Code.FRAME)
    refused(await kit.post(ann, topic, welcomes=(welcome(bob),)), Code.FRAME)
    sealed = kit.intent(ann, inbox_topic(bob.account), Flag.SEALED, None)
    stored(await kit.store.topics.append(sealed))
    used = await kit.commit(ann, topic, added=add, welcomes=(welcome(bob),), id=sealed.id)
    refused(used, Code.CONFLICT, Reason.ID_CONFLICT)
    assert await kit.roles(topic) == {ann.account: Role.OWNER}
    assert len(await kit.log(bob.inbox)) == 2


async def test_a_commit_is_idempotent_with_all_it_brings(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.group(ann)
    kit.clock.pass_ms(COMMIT_SPACING_MS)
    access = AccessChange(((bob.account, 2),))
    intent = kit.intent(ann, topic, FOUND, access=access, welcomes=(welcome(bob),))
    stored(await kit.store.topics.append(intent))
    again = stored(await kit.store.topics.append(replace(intent)))
    assert again.duplicate
    assert again.entries == ()
    assert again.change is None
    assert len(await kit.log(bob.inbox)) == 2


async def test_a_member_may_readmit_a_member(kit: Kit) -> None:
    ann, bob, cem = await kit.people("ann", "bob", "cem")
    topic = await kit.group(ann, {bob: Role.MEMBER, cem: Role.MEMBER})
    devices = ((cem.account, cem.device),)
    change = AccessChange(devices_added=devices, devices_removed=devices)
    appended = stored(await kit.commit(bob, topic, access=change, welcomes=(welcome(cem),), read_from=1))
    assert appended.entries[1].topic == cem.inbox
    assert (await kit.roles(topic))[cem.account] == Role.MEMBER
