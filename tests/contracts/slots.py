"""What every store keeps of workers: tokens of slots, inboxes by slot, and what a worker has still to read."""

from __future__ import annotations

from protocol.errors import Code, Reason
from protocol.frames import Flag, Role
from protocol.ids import inbox_topic, slot_inbox, slot_of
from protocol.limits import SLOTS
from storage.leases import Lag, Served
from tests.contracts.kit import Kit, key, refused, stored, welcome


async def test_tokens_only_grow_each_slot_on_its_own(kit: Kit) -> None:
    worker = await kit.person("worker", service=True)
    other = await kit.person("other", service=True)
    assert await kit.store.slots.grant(worker.account, [3, 4]) == {3: 1, 4: 1}
    assert await kit.store.slots.grant(worker.account, [4, 255, 4]) == {4: 2, 255: 1}
    assert await kit.store.slots.grant(other.account, [4]) == {4: 1}
    assert await kit.store.slots.grant(key("nobody"), [4]) == {}
    assert await kit.store.slots.grant(worker.account, []) == {}


async def test_only_the_token_in_force_may_send(kit: Kit) -> None:
    ann = await kit.person("ann")
    worker = await kit.person("worker", service=True)
    topic = await kit.pair(ann, worker)
    slot = slot_of(topic)
    refused(await kit.post(worker, topic, lease=1), Code.CONFLICT, Reason.FENCED)  # nobody holds the slot
    await kit.store.slots.grant(worker.account, [slot])
    first = kit.intent(worker, topic, lease=1)
    assert not stored(await kit.store.topics.append(first)).duplicate
    await kit.store.slots.grant(worker.account, [slot])
    refused(await kit.post(worker, topic, lease=1), Code.CONFLICT, Reason.FENCED)
    refused(await kit.store.topics.append(first), Code.CONFLICT, Reason.FENCED)
    stored(await kit.post(worker, topic, lease=2))
    refused(await kit.post(worker, topic, lease=3), Code.CONFLICT, Reason.FENCED)
    assert stored(await kit.post(ann, topic)).offset == 4


async def test_a_new_holder_says_again_what_the_old_one_said(kit: Kit) -> None:
    ann = await kit.person("ann")
    worker = await kit.person("worker", service=True)
    topic = await kit.pair(ann, worker)
    await kit.store.slots.grant(worker.account, [slot_of(topic)])
    said = kit.intent(worker, topic, lease=1)
    first = stored(await kit.store.topics.append(said))
    await kit.store.slots.grant(worker.account, [slot_of(topic)])
    fields = {name: getattr(said, name) for name in ("id", "digest", "header", "body")}
    again = stored(await kit.post(worker, topic, lease=2, **fields))
    assert again.duplicate
    assert again.offset == first.offset


async def test_processes_share_one_login(kit: Kit) -> None:
    worker = await kit.person("worker", service=True)
    logins = kit.store.accounts
    first = await logins.login(worker.account, worker.device, 5, shared=True)
    second = await logins.login(worker.account, worker.device, 4, shared=True)
    assert first == second
    plain = await kit.login(worker.account, worker.device, 6)
    assert plain.number == 6
    topic = await kit.group(worker, login=6)
    refused(await kit.post(worker, topic, login=5), Code.CONFLICT, Reason.SUPERSEDED)


async def test_a_welcome_goes_to_the_inbox_of_its_topics_slot(kit: Kit) -> None:
    ann = await kit.person("ann")
    bob = await kit.person("bob")
    worker = await kit.person("worker", service=True)
    topic = await kit.group(
        ann, {worker: Role.MEMBER, bob: Role.MEMBER}, welcomes=(welcome(worker, b"for it"), welcome(bob, b"for him"))
    )
    home = slot_inbox(worker.account, slot_of(topic))
    assert slot_of(home) == slot_of(topic)
    assert await kit.bodies(home) == [b"for it"]
    assert (await kit.bodies(bob.inbox))[-1] == b"for him"
    assert len(await kit.bodies(worker.inbox)) == 1  # its device list
    refused(await kit.post(bob, home), Code.FRAME)
    stored(await kit.post(bob, home, Flag.SEALED, None))
    assert await kit.store.topics.state(home, bob.account) is None


async def test_a_worker_has_an_inbox_for_each_slot_once(kit: Kit) -> None:
    worker = await kit.person("worker", service=True)
    inboxes = {slot_inbox(worker.account, slot) for slot in range(SLOTS)} | {inbox_topic(worker.account)}
    assert {topic.topic for topic in await kit.store.slots.served(worker.account, worker.device)} == inboxes
    await kit.relist(worker, worker.device, key("another"))
    assert len(await kit.store.slots.served(worker.account, worker.device)) == SLOTS + 1


async def test_what_a_worker_has_still_to_read(kit: Kit) -> None:
    ann = await kit.person("ann")
    worker = await kit.person("worker", service=True)
    assert await kit.store.slots.lag(worker.account, worker.device) == Lag(1, 1)  # its own device list
    topic = await kit.pair(ann, worker)
    for _ in range(3):
        await kit.say(ann, topic)
    await kit.own(worker)
    assert await kit.store.slots.lag(worker.account, worker.device) == Lag(2, 5)
    kit.store.topics.acknowledge_nowait(topic, worker.device, 3)
    await kit.say(ann, topic)  # the acknowledgement goes with it
    (served,) = [item for item in await kit.store.slots.served(worker.account, worker.device) if item.topic == topic]
    assert served == Served(topic, 1, 5, 3)
    assert await kit.store.slots.lag(worker.account, worker.device) == Lag(2, 3)
    assert await kit.store.slots.lag(ann.account, ann.device) == Lag(2, 6)
    stored(await kit.leave(worker, topic))
    assert topic not in {item.topic for item in await kit.store.slots.served(worker.account, worker.device)}


async def test_a_late_member_begins_where_it_was_let_in(kit: Kit) -> None:
    ann = await kit.person("ann")
    worker = await kit.person("worker", service=True)
    topic = await kit.group(ann)
    await kit.say(ann, topic)
    stored(await kit.commit(ann, topic, added={worker: Role.MEMBER}, read_from=2))
    (served,) = [item for item in await kit.store.slots.served(worker.account, worker.device) if item.topic == topic]
    assert (served.cursor, served.head) == (2, 3)
