"""Who starts encryption anew after a restoration, when, and with whom."""

from __future__ import annotations

import msgspec
from trio.testing import MockClock

from clients import records as R
from clients.client import Client
from clients.events import Joined, Locked, Restarted
from clients.records import Status
from clients.recovering import difference
from protocol.frames import Flag, Gap, GapReason, Msg, Pub, Role
from tests.support.clients import World, events_of, group_of, open_world, said, say, texts

A, B, C = b"A" * 32, b"B" * 32, b"C" * 32
GENERATION = 5


def test_what_has_to_be_changed_in_the_relays_list() -> None:
    assert difference({A: 4, B: 2}, {A: 4, B: 2}) == ((), ())
    assert difference({A: 4, B: 2}, {A: 4, B: 3, C: 2}) == (((B, 3), (C, 2)), ())
    assert difference({A: 4, B: 2, C: 2}, {A: 4}) == ((), (B, C))


def restore(world: World, topic: bytes, *clients: Client) -> None:
    """The relay has been restored up to its present head, and says so to everybody."""
    log = world.relay.store._model.logs[topic]
    log.facts = msgspec.structs.replace(log.facts, generation=GENERATION, recovering=True)
    for client in clients:
        head = log.facts.head
        record = client.engine.shelf.conversations[topic]
        client.engine.receiver.gap(
            record, Gap(0, GENERATION, head + 1, head, GapReason.RESET, log.facts.head_hash)
        )  # fmt: skip


def resets(world: World, name: str) -> list[Pub]:
    """Resets that the relay has heard from somebody."""
    return [pub for pub in world.heard(name, Pub) if pub.flags & Flag.RESET]


def copies(world: World, name: str, ids: list[bytes]) -> list[Pub]:
    """What the relay has heard of somebody's messages."""
    return [pub for pub in world.heard(name, Pub) if pub.id in ids]


async def test_the_first_admin_resets_and_what_waited_is_said_then(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        ann, ben, cleo = people = await world.people("ann", "ben", "cleo")
        talk = await ann.group([ben.account, cleo.account], "friends")
        await talk.send("before")
        await world.settle()
        restore(world, talk.topic, *people)
        await ben.conversation(talk.topic).send("while it waits")
        await world.settle(30)
        assert len(resets(world, "ann")) == 1
        assert resets(world, "ben") == resets(world, "cleo") == []
        for client in people:
            record = client.engine.shelf.conversations[talk.topic]
            assert (record.status, record.group, record.generation) == (Status.ACTIVE, 2, GENERATION)
            assert not record.recovering
            assert [event.by for event in events_of(client, Restarted)] == [ann.account]
            assert events_of(client, Locked) == []
            assert [text for _, text in said(client, talk.topic)] == ["before", "while it waits"]


async def test_in_a_pair_the_other_does_it_where_the_first_is_away(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        ann, ben = sorted(await world.people("ann", "ben"), key=lambda client: client.account)
        names = {client.account: name for name, client in world.clients.items()}
        first, second = names[ann.account], names[ben.account]
        talk = await ben.pair(ann.account)
        await world.settle()
        await world.crash(first)
        restore(world, talk.topic, ben)
        await world.settle(30)
        assert len(resets(world, second)) == 1
        again = await world.start(first)
        restored = again.engine.shelf.conversations[talk.topic]
        again.engine.receiver.gap(
            restored, Gap(0, GENERATION, restored.cursor + 1, restored.cursor, GapReason.RESET, restored.chain)
        )  # fmt: skip
        await world.settle(60)
        assert resets(world, first) == []
        await again.conversation(talk.topic).send("here I am")
        await world.settle(30)
        assert [text for _, text in said(ben, talk.topic)] == ["here I am"]


async def test_the_second_admin_finds_it_done(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        ann, ben = people = await world.people("ann", "ben")
        talk = await ann.pair(ben.account)
        await world.settle()
        restore(world, talk.topic, *people)
        record = ben.engine.shelf.conversations[talk.topic]
        ben.engine.plan(record, R.Plan(reset=True), quiet=True)  # at the same moment, without anybody in it
        await world.settle(60)
        for client in people:
            assert len(events_of(client, Restarted)) == 1
        here = ann.engine.shelf.conversations[talk.topic]
        assert (here.group, here.recovering) == (2, False)
        assert not [row for client in people for row in client.engine.shelf.outgoing.values() if row.plan]


async def test_members_and_those_outside_have_nothing_to_do(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        ann, ben = await world.people("ann", "ben")
        talk = await ann.group([ben.account], "friends")
        await world.settle()
        ranks = [c.engine.recovering.rank(c.engine.shelf.conversations[talk.topic]) for c in (ann, ben)]
        assert ranks == [0, None]
        record = ben.engine.shelf.conversations[talk.topic]
        record.roster[ben.account] = Role.ADMIN
        assert ben.engine.recovering.rank(record) == 1
        record.status = Status.REMOVED
        assert ben.engine.recovering.rank(record) is None


async def test_who_cannot_be_let_in_now_does_not_hold_up_the_others(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        ann, ben, cleo = people = await world.people("ann", "ben", "cleo")
        talk = await ann.group([ben.account, cleo.account], "friends")
        await world.settle()
        mine = world.relay.store._model.devices[cleo.engine.shelf.device.public]
        mine.packages, mine.last_resort = {}, None
        restore(world, talk.topic, *people)
        await world.settle(30)
        assert talk.in_group() == {ann.account, ben.account}
        assert len(events_of(ben, Joined)) == 2


async def test_a_refusal_is_tried_again_later(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        ann, ben = people = await world.people("ann", "ben")
        talk = await ann.group([ben.account], "friends")
        await world.settle()
        log = world.relay.store._model.logs[talk.topic]
        role = log.members[ann.account]
        log.members[ann.account] = msgspec.structs.replace(role, role=Role.MEMBER)
        restore(world, talk.topic, *people)
        await world.settle(5)
        assert len(resets(world, "ann")) == 1  # refused with 403: the backup does not know that she is an owner
        log.members[ann.account] = role
        await world.settle(60)
        assert not talk.record.recovering
        assert len(resets(world, "ann")) == 2


async def test_a_device_list_that_the_relay_has_lost_is_offered_again(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (ann,) = await world.people("ann")
        store = world.relay.store._model
        before = store.people[ann.account]
        world.skip(days=8)
        world.cut("ann")
        await world.settle(30)
        assert store.people[ann.account].version == 2
        store.people[ann.account] = before
        world.cut("ann")
        await world.settle(30)
        assert store.people[ann.account].version == 2


# -- what waits in the outbox ------------------------------------------------------------------------------------------
async def test_what_was_stored_in_a_history_that_is_lost_goes_again(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        base = talk.record.cursor
        world.relay.tamper = lambda wire, frame: () if wire.owner == "anna" and isinstance(frame, Msg) else (frame,)
        ids = await say(talk, "its echo never comes")
        await world.settle()
        (row,) = anna.engine.shelf.outgoing.values()
        assert row.stored_offset == base + 1
        anna.engine.outbox.restored(talk.topic, base + 1)  # it is in the backup
        assert row.stored_offset == base + 1
        anna.engine.outbox.restored(talk.topic, base)
        await world.settle()
        assert len(copies(world, "anna", ids)) == 2
        assert texts(ben, talk.topic) == ["its echo never comes"]


async def test_a_reset_stands_before_what_waited_also_after_a_crash(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, _), talk = await group_of(world, "anna", "ben")
        world.cut("anna")
        world.reachable = False
        await world.settle()
        await say(talk, "waits")
        talk.record.recovering = True
        anna.engine.plan(talk.record, R.Plan(reset=True), quiet=True)
        await anna.engine.shelf.journal.flushed()
        assert [row.plan is not None for row in anna.engine.outbox.lane(talk.topic).rows] == [True, False]
        await world.crash("anna")
        again = await world.start("anna")
        assert [row.plan is not None for row in again.engine.outbox.lane(talk.topic).rows] == [True, False]
