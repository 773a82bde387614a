"""What leaves a client leaves in order, and with the same bytes while its fate is unknown."""

from __future__ import annotations

from trio.testing import MockClock, wait_all_tasks_blocked

from clients.events import Failed, Received, Stored
from protocol.errors import Code, Reason
from protocol.frames import AnyFrame, Err, Msg, Ok
from tests.clients.test_outbox import AWAY, FORBIDDEN, conflict
from tests.support.clients import (
    SPOKEN,
    events_of,
    group_of,
    honest,
    open_world,
    pubs,
    refuse,
    say,
    talk_of,
    texts,
)  # fmt: skip
from tests.support.relay_model import Wire

LATER = Err(0, Code.RATE, "slow down", 200)


async def test_after_names_the_nearest_earlier_row_without_an_answer(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        ids = await say(talk, *SPOKEN)
        await world.settle()
        ids += await say(talk, "later")
        await world.settle()
        sent = pubs(world, "anna", ids)
        assert [pub.id for pub in sent] == ids
        for before, pub in zip([None, *ids], sent, strict=False):
            assert pub.after in (None, before)
        assert sent[-1].after is None
        assert texts(ben, talk.topic) == [*SPOKEN, "later"]
        assert [event.id for event in events_of(anna, Stored)][-6:] == ids


async def test_one_refusal_sends_the_whole_window_again(autojump_clock: MockClock) -> None:
    async with open_world(auto=False) as world:
        world.relay.run_freely()
        (_, ben), talk = await group_of(world, "anna", "ben")
        world.relay.auto = False
        ids = await say(talk, *SPOKEN)
        await wait_all_tasks_blocked()
        world.relay.judge = refuse("anna", LATER)
        world.relay.run_freely()
        await world.settle()
        sent = pubs(world, "anna", ids)
        assert [pub.id for pub in sent] == [*ids, *ids]
        assert [pub.after for pub in sent[:5]] == [None, *ids[:4]]
        assert [pub.body for pub in sent[:5]] == [pub.body for pub in sent[5:]]
        assert texts(ben, talk.topic) == SPOKEN


async def test_after_passes_over_what_was_given_up(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        world.relay.judge = refuse("anna", FORBIDDEN)
        ids = await say(talk, *SPOKEN)
        await world.settle()
        (failed,) = events_of(anna, Failed)
        assert (failed.id, failed.code, failed.text) == (ids[0], Code.FORBIDDEN, "no")
        assert texts(ben, talk.topic) == SPOKEN[1:]
        assert all(pub.after != ids[0] for pub in pubs(world, "anna", ids)[-4:])
        assert not anna.engine.shelf.outgoing


async def test_a_lost_ok_is_answered_to_the_same_bytes(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")

        def lose(wire: Wire, frame: AnyFrame) -> tuple[AnyFrame, ...]:
            if wire.owner == "anna" and isinstance(frame, (Ok, Msg)):
                world.cut("anna")
                world.relay.tamper = honest
                return ()
            return (frame,)

        world.relay.tamper = lose
        ids = await say(talk, "hello")
        await world.settle(5)
        first, *others = pubs(world, "anna", ids)
        assert all(pub.body == first.body for pub in others)
        assert texts(ben, talk.topic) == texts(anna, talk.topic) == ["hello"]
        assert len(events_of(anna, Stored)) == 1


async def test_a_store_that_is_away_is_asked_until_it_answers(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        errors = [AWAY] * 5 + [Err(0, Code.DRAINING, "", 100), Err(0, Code.INTERNAL, "", 0)]
        errors += [conflict(Reason.SUPERSEDED), conflict(Reason.RECOVERING)]
        world.relay.judge = refuse("anna", *errors)
        ids = await say(talk, "hello")
        await world.settle(60)
        sent = pubs(world, "anna", ids)
        assert len({pub.body for pub in sent}) == 1
        assert len(sent) == len(errors) + 1
        anna.engine.outbox.restored(talk.topic, 0)  # what came back through the log is done
        assert anna.engine.outbox.statistics().flying == 0
        assert texts(ben, talk.topic) == ["hello"]
        assert events_of(anna, Failed) == []


# -- the fence ---------------------------------------------------------------------------------------------------------
async def test_a_stale_fence_is_sealed_again_under_the_same_id(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, cleo), talk = await group_of(world, "anna", "ben", "cleo")
        world.relay.auto = False
        ids = await say(talk_of(ben, talk), *SPOKEN)
        await talk.remove([cleo.account])  # strict: nothing of the past epoch is admitted after it
        await wait_all_tasks_blocked()
        for wire in sorted(world.relay.wires, key=lambda wire: wire.owner):  # Anna's removal comes first
            while wire.up:
                await world.relay.take(wire)
        world.relay.run_freely()
        await world.settle(10)
        sent = pubs(world, "ben", ids)
        assert [pub.id for pub in sent] == [*ids, *ids]
        assert [pub.epoch for pub in sent] == [(1, 1)] * 5 + [(1, 2)] * 5
        assert len({pub.body for pub in sent}) == 10
        assert texts(anna, talk.topic) == texts(ben, talk.topic) == SPOKEN
        assert [event.id for event in events_of(ben, Received) if event.mine] == ids


async def test_sealing_again_waits_until_the_log_was_read(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        here = talk_of(ben, talk)
        world.relay.judge = refuse("ben", conflict(Reason.STALE_FENCE, fence=2))
        ids = await say(here, "hello")
        await world.settle(5)
        assert len(pubs(world, "ben", ids)) == 1  # the relay speaks of a commit that has not come yet
        await talk.rotate()
        await world.settle()
        assert [pub.epoch for pub in pubs(world, "ben", ids)] == [(1, 1), (1, 2)]
        assert texts(ben, talk.topic) == ["hello"]
