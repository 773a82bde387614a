"""Access changes: who may let in, put out, leave; what every store makes of it."""

from __future__ import annotations

from protocol.errors import Code
from protocol.frames import AccessChange, Create, Role
from protocol.ids import TopicKind, group_topic
from protocol.limits import GROUP_DEVICES_MAX
from tests.contracts.kit import FOUND, Kit, Person, refused, stored

READER, MEMBER, ADMIN, OWNER = Role.READER, Role.MEMBER, Role.ADMIN, Role.OWNER


async def test_readers_do_not_publish_but_may_commit_and_leave(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.group(ann, {bob: READER})
    refused(await kit.post(bob, topic), Code.FORBIDDEN)
    stored(await kit.commit(bob, topic))
    stored(await kit.leave(bob, topic))


async def test_letting_in_and_changing_roles_is_for_admins_up_to_their_own(kit: Kit) -> None:
    ann, bob, cem, dan, eve = await kit.people("ann", "bob", "cem", "dan", "eve")
    topic = await kit.group(ann, {bob: ADMIN, cem: MEMBER})
    refused(await kit.commit(cem, topic, added={dan: MEMBER}), Code.FORBIDDEN)
    refused(await kit.commit(cem, topic, added={cem: ADMIN}), Code.FORBIDDEN)
    refused(await kit.commit(bob, topic, added={dan: OWNER}), Code.FORBIDDEN)
    refused(await kit.commit(bob, topic, added={ann: MEMBER}), Code.FORBIDDEN)
    stored(await kit.commit(bob, topic, added={dan: ADMIN, cem: ADMIN}))
    stored(await kit.commit(cem, topic, added={eve: MEMBER}))
    stored(await kit.commit(cem, topic, added={dan: MEMBER}))
    roles = {ann: OWNER, bob: ADMIN, cem: ADMIN, dan: MEMBER, eve: MEMBER}
    assert await kit.roles(topic) == {person.account: role for person, role in roles.items()}


async def test_putting_out_is_for_admins_up_to_their_own(kit: Kit) -> None:
    ann, bob, cem, dan = await kit.people("ann", "bob", "cem", "dan")
    topic = await kit.group(ann, {bob: ADMIN, cem: MEMBER, dan: OWNER})
    refused(await kit.commit(cem, topic, removed=[bob]), Code.FORBIDDEN)
    refused(await kit.commit(bob, topic, removed=[ann]), Code.FORBIDDEN)
    refused(await kit.commit(bob, topic, removed=[bob]), Code.FRAME)
    stored(await kit.commit(bob, topic, removed=[cem]))
    stored(await kit.commit(ann, topic, removed=[dan]))
    assert await kit.roles(topic) == {ann.account: OWNER, bob.account: ADMIN}


async def test_nothing_of_the_removed_lands_after_their_removal(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.group(ann, {bob: MEMBER})
    appended = stored(await kit.commit(ann, topic, removed=[bob]))
    assert appended.change == AccessChange(removed=(bob.account,))
    refused(await kit.post(bob, topic, epoch=(1, 2)), Code.NOT_FOUND)
    assert await kit.store.topics.state(topic, bob.account) is None


async def test_who_leaves_is_out_at_once_and_anybody_may_clean_up(kit: Kit) -> None:
    ann, bob, cem = await kit.people("ann", "bob", "cem")
    topic = await kit.group(ann, {bob: MEMBER, cem: MEMBER})
    left = stored(await kit.leave(bob, topic))
    assert left.change == AccessChange(removed=(bob.account,))
    assert left.entries[0].fence == 0
    refused(await kit.post(bob, topic), Code.NOT_FOUND)
    refused(await kit.leave(bob, topic), Code.NOT_FOUND)
    assert await kit.store.topics.state(topic, bob.account) is None
    assert await kit.roles(topic) == {ann.account: OWNER, cem.account: MEMBER}
    stored(await kit.commit(cem, topic, removed=[bob]))
    refused(await kit.commit(cem, topic, removed=[bob]), Code.NOT_FOUND)  # now it is nobody here


async def test_who_has_left_may_be_let_in_again(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.group(ann, {bob: ADMIN})
    stored(await kit.leave(bob, topic))
    stored(await kit.commit(ann, topic, added={bob: MEMBER}, read_from=2))
    assert (await kit.roles(topic))[bob.account] == MEMBER
    state = await kit.store.topics.state(topic, bob.account)
    assert state is not None
    assert state.since == 2


async def test_when_the_last_owner_leaves_the_longest_standing_admin_follows(kit: Kit) -> None:
    ann, bob, cem, dan = await kit.people("ann", "bob", "cem", "dan")
    topic = await kit.group(ann, {dan: MEMBER})
    stored(await kit.commit(ann, topic, added={cem: ADMIN}))
    stored(await kit.commit(ann, topic, added={bob: ADMIN}))
    left = stored(await kit.leave(ann, topic))
    assert left.change == AccessChange(((cem.account, OWNER),), (ann.account,))
    assert await kit.roles(topic) == {cem.account: OWNER, bob.account: ADMIN, dan.account: MEMBER}
    stored(await kit.leave(cem, topic))
    assert (await kit.roles(topic))[bob.account] == OWNER
    stored(await kit.leave(bob, topic))
    assert await kit.roles(topic) == {dan.account: OWNER}
    assert stored(await kit.leave(dan, topic)).change == AccessChange(removed=(dan.account,))
    assert await kit.roles(topic) == {}


async def test_the_last_owner_cannot_step_down(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.group(ann, {bob: ADMIN})
    refused(await kit.commit(ann, topic, added={ann: MEMBER}), Code.FORBIDDEN)
    stored(await kit.commit(ann, topic, added={ann: MEMBER, bob: OWNER}))
    assert await kit.roles(topic) == {ann.account: MEMBER, bob.account: OWNER}


async def test_anybody_may_remove_accounts_that_are_gone(kit: Kit) -> None:
    ann, bob, cem = await kit.people("ann", "bob", "cem")
    topic = await kit.group(ann, {bob: MEMBER, cem: READER})
    await kit.relist(ann, *ann.devices, expires_ms=kit.clock.now_ms + 100_000)
    refused(await kit.commit(cem, topic, removed=[ann]), Code.FORBIDDEN)
    kit.clock.pass_ms(100_000)
    appended = stored(await kit.commit(cem, topic, removed=[ann]))
    assert appended.change == AccessChange(((bob.account, OWNER),), (ann.account,))
    await kit.relist(bob)  # no device is left
    stored(await kit.commit(cem, topic, removed=[bob]))
    assert await kit.roles(topic) == {cem.account: OWNER}


async def test_a_pair_keeps_its_two(kit: Kit) -> None:
    ann, bob, cem = await kit.people("ann", "bob", "cem")
    topic = await kit.pair(ann, bob)
    refused(await kit.commit(ann, topic, added={cem: OWNER}), Code.FORBIDDEN)
    refused(await kit.commit(ann, topic, added={bob: MEMBER}), Code.FORBIDDEN)
    refused(await kit.commit(ann, topic, removed=[bob]), Code.FORBIDDEN)
    stored(await kit.leave(bob, topic))
    stored(await kit.commit(ann, topic, removed=[bob]))
    stored(await kit.commit(ann, topic, added={bob: OWNER}))
    assert await kit.roles(topic) == {ann.account: OWNER, bob.account: OWNER}


async def test_changes_that_name_what_is_not_there(kit: Kit) -> None:
    ann, bob, cem = await kit.people("ann", "bob", "cem")
    topic = await kit.group(ann, {bob: MEMBER})
    nobody = Person("nobody", ())
    refusal = refused(await kit.commit(ann, topic, added={nobody: MEMBER, cem: MEMBER}), Code.NOT_FOUND)
    assert refusal.text.startswith("1 of the 2 accounts")
    refused(await kit.commit(ann, topic, removed=[cem]), Code.NOT_FOUND)
    strange = AccessChange(devices_added=((cem.account, cem.device),))
    refused(await kit.commit(ann, topic, access=strange), Code.NOT_FOUND)
    await kit.relist(cem, *cem.devices, expires_ms=kit.clock.now_ms + 1)
    refused(await kit.commit(ann, topic, added={cem: MEMBER}), Code.EXPIRED)
    for twice in (
        AccessChange(((cem.account, 2), (cem.account, 3))),
        AccessChange(((bob.account, 2),), (bob.account,)),
        AccessChange(((bob.account, 0),)),
        AccessChange(((bob.account, 5),)),
    ):
        refused(await kit.commit(ann, topic, access=twice), Code.FRAME)


async def test_a_conversation_has_a_cap_of_devices(kit: Kit) -> None:
    ann = await kit.person("ann", devices=8)
    crowd = [await kit.person(f"person {n}", devices=32) for n in range(GROUP_DEVICES_MAX // 32)]
    one = await kit.person("one")
    refused(await found(kit, ann, [*crowd, one]), Code.TOO_LARGE)
    topic = await kit.group(ann, dict.fromkeys(crowd, MEMBER))
    refused(await kit.commit(ann, topic, added={one: MEMBER}), Code.TOO_LARGE)
    stored(await kit.commit(ann, topic, added={one: MEMBER}, removed=[crowd[0]]))


async def found(kit: Kit, founder: Person, others: list[Person]) -> object:
    """Try to found a group."""
    nonce = kit.id()
    access = AccessChange(tuple((person.account, MEMBER) for person in others))
    create = Create(TopicKind.GROUP, nonce)
    return await kit.post(founder, group_topic(founder.account, nonce), FOUND, (1, 0), access=access, create=create)
