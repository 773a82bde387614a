"""What every store does with single entries: dedupe, order, age, login, positions, pages."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from protocol.errors import Code, Reason
from protocol.frames import Flag
from protocol.limits import ID_AGE_MS_MAX, ID_AHEAD_MS_MAX
from storage.base import Append, Outcome
from tests.contracts.kit import DAY_MS, Kit, key, refused, stored


async def test_an_entry_is_read_as_it_was_written(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    intent = kit.intent(ann, topic, Flag.URGENT, header=b"head", body=b"body", ttl=5000)
    appended = stored(await kit.store.topics.append(intent))
    assert (appended.generation, appended.offset, appended.ts, appended.duplicate) == (1, 2, kit.clock.now_ms, False)
    (entry,) = appended.entries
    assert (await kit.log(topic))[1] == entry
    assert entry.account == ann.account
    assert entry.device == ann.device
    assert (entry.id, entry.flags, entry.fence, entry.ttl) == (intent.id, Flag.URGENT, 1, 5000)
    assert (entry.header, entry.body) == (b"head", b"body")


async def test_the_same_id_again_is_answered_with_its_first_offset(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    intent = kit.intent(ann, topic)
    first = stored(await kit.store.topics.append(intent))
    await kit.say(bob, topic)
    again = stored(await kit.store.topics.append(replace(intent, after=None)))
    assert again.duplicate
    assert (again.generation, again.offset, again.ts) == (first.generation, first.offset, first.ts)
    assert again.entries == ()
    assert len(await kit.log(topic)) == 3


async def test_a_duplicate_is_answered_whatever_has_changed_since(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.group(ann, {bob: 2})
    intent = kit.intent(bob, topic)
    offset = stored(await kit.store.topics.append(intent)).offset
    stored(await kit.commit(ann, topic, removed=[bob]))
    late = replace(intent, after=kit.id(), expect=1)  # outside the digest
    assert stored(await kit.store.topics.append(late)).offset == offset


async def test_other_content_under_a_stored_id_is_a_conflict(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    intent = kit.intent(ann, topic)
    offset = stored(await kit.store.topics.append(intent)).offset
    other = replace(intent, body=b"other", digest=key("other"))
    refusal = refused(await kit.store.topics.append(other), Code.CONFLICT, Reason.ID_CONFLICT)
    assert (refusal.generation, refusal.offset, refusal.hash) == (1, offset, intent.digest)
    assert refusal.retry_ms is None


async def test_an_id_belongs_to_one_device_in_one_topic(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    one, other = await kit.group(ann, {bob: 2}), await kit.group(ann, {bob: 2})
    id_ = kit.id()
    offsets = [stored(await kit.post(who, where, id=id_)).offset for where in (one, other) for who in (ann, bob)]
    assert offsets == [2, 3, 2, 3]


async def test_a_refused_id_may_carry_other_content(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    stale = kit.intent(ann, topic, epoch=(1, 9))
    refused(await kit.store.topics.append(stale), Code.CONFLICT, Reason.STALE_FENCE)
    assert not stored(await kit.post(ann, topic, id=stale.id, body=b"sealed again")).duplicate


async def test_ids_that_are_too_old_or_far_ahead(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    now_ms = kit.clock.now_ms
    refused(await kit.post(ann, topic, id=kit.id(now_ms - ID_AGE_MS_MAX - 1)), Code.EXPIRED)
    refused(await kit.post(ann, topic, id=kit.id(now_ms + ID_AHEAD_MS_MAX + 1)), Code.FRAME)
    stored(await kit.post(ann, topic, id=kit.id(now_ms - ID_AGE_MS_MAX)))
    stored(await kit.post(ann, topic, id=kit.id(now_ms + ID_AHEAD_MS_MAX)))


async def test_a_device_keeps_its_order(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    first, second = kit.intent(ann, topic, body=b"1"), kit.intent(ann, topic, body=b"2")
    second = replace(second, after=first.id)
    refusal = refused(await kit.store.topics.append(second), Code.CONFLICT, Reason.OUT_OF_ORDER)
    assert (refusal.offset, refusal.group, refusal.fence) == (1, 1, 1)
    stored(await kit.store.topics.append(first))
    stored(await kit.store.topics.append(second))
    assert (await kit.bodies(topic))[1:] == [b"1", b"2"]
    of_another = kit.intent(bob, topic, after=first.id)
    refused(await kit.store.topics.append(of_another), Code.CONFLICT, Reason.OUT_OF_ORDER)


async def test_a_stale_fence_is_told_before_a_missing_predecessor(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    both = kit.intent(ann, topic, epoch=(1, 7), after=kit.id())
    refused(await kit.store.topics.append(both), Code.CONFLICT, Reason.STALE_FENCE)


async def test_compare_and_set_on_the_head(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    refusal = refused(await kit.post(ann, topic, expect=0), Code.CONFLICT, Reason.EXPECT)
    assert refusal.offset == 1
    assert stored(await kit.post(ann, topic, expect=1)).offset == 2


async def test_a_newer_login_supersedes_older_ones(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    first = await kit.login(ann.account, ann.device)
    intent = kit.intent(ann, topic, login=first.number)
    stored(await kit.store.topics.append(intent))
    second = await kit.login(ann.account, ann.device)
    assert second.number > first.number
    refused(await kit.store.topics.append(intent), Code.CONFLICT, Reason.SUPERSEDED)  # even as a duplicate
    refused(await kit.post(ann, topic, login=first.number), Code.CONFLICT, Reason.SUPERSEDED)
    stored(await kit.post(ann, topic, login=second.number))
    stored(await kit.post(bob, topic, login=0))  # of another device


async def test_a_device_must_be_on_the_current_list(kit: Kit) -> None:
    ann, bob = await kit.person("ann", devices=2), await kit.person("bob")
    topic = await kit.pair(ann, bob)
    phone, desk = ann.devices
    stored(await kit.post(ann, topic, device=desk))
    refused(await kit.post(ann, topic, device=key("nobody's")), Code.FORBIDDEN)
    refused(await kit.post(ann, topic, device=bob.device), Code.FORBIDDEN)
    await kit.relist(ann, phone)
    assert "device list" in refused(await kit.post(ann, topic, device=desk), Code.FORBIDDEN).text
    await kit.relist(replace(ann, devices=(phone,), version=2), phone, expires_ms=kit.clock.now_ms + 1)
    kit.clock.pass_ms(1)
    assert "expired" in refused(await kit.post(ann, topic), Code.FORBIDDEN).text


async def test_times_never_go_back(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    started_ms = kit.clock.now_ms
    kit.clock.pass_ms(-DAY_MS // 2)
    assert (await kit.say(ann, topic)).ts == started_ms


async def test_outcomes_come_in_order_and_on_the_trio_thread(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    task, outcomes, all_here = trio.lowlevel.current_task(), list[Outcome](), trio.Event()

    def done(outcome: Outcome) -> None:
        assert trio.lowlevel.current_trio_token() is token
        outcomes.append(outcome)
        if len(outcomes) == len(intents):
            all_here.set()

    token = trio.lowlevel.current_trio_token()
    intents: list[Append] = []
    for n in range(60):
        after = intents[-1].id if n % 3 == 1 else None
        intents.append(kit.intent(ann, topic, epoch=(1, 1 if n % 7 else 5), body=b"%d" % n, after=after))
    for intent in intents:
        kit.store.topics.append_nowait(intent, done)
    assert outcomes == []
    await all_here.wait()
    assert task is trio.lowlevel.current_task()
    offsets = [outcome.offset for outcome in outcomes if not hasattr(outcome, "reason")]
    assert offsets == list(range(2, 2 + len(offsets)))
    said = [intent.body for intent, outcome in zip(intents, outcomes, strict=True) if not hasattr(outcome, "reason")]
    assert (await kit.bodies(topic))[1:] == said
    assert 0 < len(said) < 60


async def test_pages_are_bounded_and_never_empty(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    for n in range(6):
        await kit.say(ann, topic, b"%d" % n * 100)
    read = kit.store.topics.read
    assert [item.offset for item in (await read(topic, 1, 3, 10_000)).items] == [2, 3, 4]  # type: ignore[union-attr]
    assert [item.offset for item in (await read(topic, 1, 50, 250)).items] == [2, 3]  # type: ignore[union-attr]
    assert [item.offset for item in (await read(topic, 1, 50, 1)).items] == [2]  # type: ignore[union-attr]
    page = await read(topic, 7, 50, 10_000)
    assert (page.generation, page.head, page.items) == (1, 7, ())
    with pytest.raises(LookupError):
        await read(key("nowhere"), 0, 1, 1)


async def test_state_is_for_members(kit: Kit) -> None:
    ann, bob, eve = await kit.people("ann", "bob", "eve")
    topic = await kit.pair(ann, bob)
    await kit.say(bob, topic)
    state = await kit.store.topics.state(topic, bob.account)
    assert state is not None
    assert (state.topic, state.head, state.group, state.fence, state.role) == (topic, 2, 1, 1, 4)
    assert state.head_hash == (await kit.log(topic))[-1].hash
    wanted = [topic, key("nowhere"), eve.inbox, ann.inbox]
    assert [s is not None for s in await kit.store.topics.states(wanted, ann.account)] == [True, False, False, True]
    assert await kit.store.topics.states(wanted, key("nobody")) == [None] * 4
    assert await kit.store.topics.members(key("nowhere")) == []
