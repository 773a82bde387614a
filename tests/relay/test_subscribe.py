"""SUB: where a subscription begins, and that nothing falls between its answer and its first frame."""

from __future__ import annotations

from collections.abc import Callable
from types import NoneType

import pytest
import trio

from protocol import frames as F
from protocol.errors import Code
from protocol.position import chain_start
from relay.subscribe import Start, place
from relay.testing import small
from storage.base import StoreAway, TopicState
from storage.decisions import Restored
from tests.relay import test_slots as slots
from tests.support.lab import FakeClient, Lab, open_lab, settle
from tests.support.logs import state
from tests.support.people import Person, commit, group, message

T = b"T" * 32


@pytest.mark.parametrize(
    ("want", "expected"),
    [
        (F.Subscription(T), Start(10, 2)),
        (F.Subscription(T, last=0), Start(1, 2)),
        (F.Subscription(T, last=4), Start(6, 2)),
        (F.Subscription(T, last=8), Start(4, 2)),  # none from before the account was let in
        (F.Subscription(T, last=50), Start(4, 2)),
        (F.Subscription(T, start=(2, 7)), Start(8, 2)),
        (F.Subscription(T, start=(2, 0)), Start(1, 2)),
        (F.Subscription(T, start=(2, 9)), Start(10, 2)),
        (F.Subscription(T, start=(2, 10)), Code.CONFLICT),
        (F.Subscription(T, start=(1, 7)), Start(1, 2, reset=True)),
        (F.Subscription(T, start=(3, 0)), Start(1, 2, reset=True)),
    ],
)
def test_places(want: F.Subscription, expected: Start | Code) -> None:
    assert place(want, state(9, since=3, generation=2), 9) == expected


BORDERS = (Restored(20, 4, b"4" * 32), Restored(30, 4, b"4" * 32), Restored(40, 7, b"7" * 32))


@pytest.mark.parametrize(
    ("want", "expected"),
    [
        (F.Subscription(T, (40, 8)), Start(9, 40)),
        (F.Subscription(T, (40, 10)), Code.CONFLICT),
        (F.Subscription(T, (30, 6)), Start(7, 30)),
        (F.Subscription(T, (30, 9)), Start(8, 30)),  # 8 and 9 were lost
        (F.Subscription(T, (25, 2)), Start(3, 25)),  # a restoration that was itself lost
        (F.Subscription(T, (1, 4)), Start(5, 1)),
        (F.Subscription(T, (1, 100)), Start(5, 1)),
        (F.Subscription(T, (41, 3)), Start(1, 1, reset=True)),
        (F.Subscription(T), Start(10, 40)),
        (F.Subscription(T, last=0), Start(1, 1)),
        (F.Subscription(T, last=2), Start(8, 30)),
        (F.Subscription(T, last=1), Start(9, 40)),
    ],
)
def test_places_in_a_log_that_was_restored(want: F.Subscription, expected: Start | Code) -> None:
    assert place(want, state(9, generation=40, restores=BORDERS), 9) == expected


async def scene(lab: Lab, *names: str, entries: int = 3) -> tuple[list[Person], list[FakeClient], bytes]:
    """Registered people in a group with some entries."""
    people = [lab.person(name) for name in names]
    clients = [await lab.register(person) for person in people]
    founding = group(*people)
    await clients[0].ok(founding, F.PubResult)
    for number in range(entries - 1):
        await clients[0].ok(message(people[0], founding.topic, b"%d" % number), F.PubResult)
    return people, clients, founding.topic


async def test_ok_then_history_then_live() -> None:
    async with open_lab() as lab:
        _, _, topic = await scene(lab, "alice", "bob")
        bob = await lab.login(lab.person("bob"))
        bob.peer.frames.clear()
        result = await bob.subscribe(topic, start=(1, 1))
        assert (result.generation, result.head, result.group, result.fence, result.code) == (1, 3, 1, 1, 0)
        assert [type(frame).__name__ for frame in bob.peer.frames] == ["Ok", "Msg", "Msg", "Live"]
        assert bob.offsets(result.tid) == [2, 3]


async def test_entries_during_the_read_are_neither_lost_nor_doubled() -> None:
    async with open_lab() as lab:
        (alice, _), _, topic = await scene(lab, "alice", "bob")
        a = await lab.login(alice)
        for last in (None, 0, 2):
            bob = await lab.login(lab.person("bob"))
            bob.send(F.Sub(0, (F.Subscription(topic, last=last),)))
            for _ in range(6):
                a.send(message(alice, topic))
                await trio.lowlevel.checkpoint()
            await settle()
            offsets = [frame.offset for frame in bob.got(F.Msg)]
            assert offsets == list(range(offsets[0], offsets[-1] + 1))


async def test_foreign_and_unknown_topics_look_the_same() -> None:
    async with open_lab() as lab:
        _, _, topic = await scene(lab, "alice", "bob")
        eve = await lab.register(lab.person("eve"))
        foreign, unknown = await eve.subscribe(topic), await eve.subscribe(b"?" * 32)
        assert foreign == unknown == F.SubResult(0, code=Code.NOT_FOUND)
        assert eve.got(F.Msg) == []
        assert lab.relay.hubs.get(b"?" * 32) is None


async def test_subscribing_again_moves_the_position() -> None:
    async with open_lab() as lab:
        _, _, topic = await scene(lab, "alice", "bob")
        bob = await lab.login(lab.person("bob"))
        first = await bob.subscribe(topic)
        again = await bob.subscribe(topic, last=0)
        assert again.tid == first.tid
        assert bob.offsets(first.tid) == [1, 2, 3]
        bob.peer.frames.clear()
        twice = F.Sub(0, (F.Subscription(topic), F.Subscription(topic, last=1)))
        results = await bob.ok(twice, list[F.SubResult])
        assert [result.tid for result in results] == [first.tid] * 2
        assert bob.offsets(first.tid) == [3]
        assert len(bob.got(F.Live)) == 1
        assert lab.relay.hubs.statistics().subscriptions == 1


async def test_a_position_beyond_the_log_is_not_believed() -> None:
    async with open_lab() as lab:
        _, _, topic = await scene(lab, "alice", "bob")
        bob = await lab.login(lab.person("bob"))
        result = await bob.subscribe(topic, start=(1, 99))
        assert (result.tid, result.code, result.head) == (0, Code.CONFLICT, 3)


async def test_another_generation_begins_anew() -> None:
    async with open_lab() as lab:
        _, _, topic = await scene(lab, "alice", "bob")
        bob = await lab.login(lab.person("bob"))
        tid = (await bob.subscribe(topic, start=(7, 2))).tid
        assert bob.got(F.Gap) == [F.Gap(tid, 1, 1, 0, F.GapReason.RESET, chain_start(topic))]
        assert bob.offsets(tid) == [1, 2, 3]


async def test_subscriptions_are_bounded() -> None:
    async with open_lab(small(subscriptions_max=2)) as lab:
        alice = lab.person("alice")
        a = await lab.register(alice)
        topics = []
        for number in range(3):
            founding = group(alice, nonce=bytes([number]) * 16)
            await a.ok(founding, F.PubResult)
            topics.append(founding.topic)
        results = await a.ok(F.Sub(0, tuple(F.Subscription(topic) for topic in topics)), list[F.SubResult])
        assert [result.code for result in results] == [0, 0, Code.TOO_LARGE]
        await a.ok(F.Unsub(0, (results[0].tid, 999)), NoneType)
        assert (await a.subscribe(topics[2])).code == 0
        assert (await a.subscribe(topics[2])).code == 0  # an own one may be moved though all are taken


async def test_unsubscribing_ends_the_frames() -> None:
    async with open_lab() as lab:
        (alice, _), (a, bob), topic = await scene(lab, "alice", "bob")
        tid = (await bob.subscribe(topic)).tid
        await bob.ok(F.Unsub(0, (tid,)), NoneType)
        await a.ok(message(alice, topic), F.PubResult)
        assert bob.got(F.Msg) == []


async def test_the_removed_get_the_removing_commit_and_closed() -> None:
    async with open_lab() as lab:
        (alice, bob, carol), _, topic = await scene(lab, "alice", "bob", "carol")
        a, b, c = await lab.login(alice), await lab.login(bob), await lab.login(carol)
        at_b, at_c = await b.subscribe(topic), await c.subscribe(topic)
        await a.ok(commit(alice, topic, removed=(bob,)), F.PubResult)
        await a.ok(message(alice, topic, fence=2), F.PubResult)
        assert b.offsets(at_b.tid) == [4]
        assert [closed.code for closed in b.got(F.Closed)] == [Code.NOT_FOUND]
        assert c.offsets(at_c.tid) == [4, 5]
        assert (await b.subscribe(topic)).code == Code.NOT_FOUND
        typing = F.Pub(0, topic, bob.id(), flags=F.Flag.EPHEMERAL)
        assert (await b.err(typing)).code == Code.NOT_FOUND
        await a.ok(commit(alice, topic, added=(bob,), fence=2, read_from=5, welcomes=True), F.PubResult)
        again = await b.subscribe(topic, last=0)
        (gap,) = b.got(F.Gap)
        assert (gap.first, gap.last, gap.reason) == (1, 5, F.GapReason.POLICY)
        assert b.offsets(again.tid)[-1:] == [6]


async def test_access_that_changes_during_the_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_lab() as lab:
        (alice, bob), _, topic = await scene(lab, "alice", "bob")
        a, b = await lab.login(alice), await lab.login(bob)
        await a.subscribe(topic)
        read = lab.store.topics.states

        async def slow(topics: list[bytes], account: bytes) -> list[TopicState | None]:
            states = await read(topics, account)
            if account == bob.account:
                monkeypatch.setattr(lab.store.topics, "states", read)
                a.send(commit(alice, topic, removed=(bob,)))
                for _ in range(5):
                    await trio.lowlevel.checkpoint()
            return states

        monkeypatch.setattr(lab.store.topics, "states", slow)
        assert (await b.subscribe(topic)).code == Code.NOT_FOUND
        assert b.got(F.Msg) == []


async def test_access_that_never_stands_still_is_a_temporary_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_lab() as lab:
        (alice, _), _, topic = await scene(lab, "alice", "bob")
        a = await lab.login(alice)
        await a.subscribe(topic)
        hub = lab.relay.hubs.get(topic)
        assert hub is not None
        monkeypatch.setattr(type(hub), "is_stale", lambda self, account, head: True)
        err = await a.err(F.Sub(0, (F.Subscription(topic),)))
        assert (err.code, bool(err.retry_ms)) == (Code.STORE_AWAY, True)


async def test_a_store_that_is_away_is_a_temporary_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_lab() as lab:
        a = await lab.register(lab.person("alice"))

        async def away(topics: list[bytes], account: bytes) -> list[TopicState | None]:
            raise StoreAway("closed")

        monkeypatch.setattr(lab.store.topics, "states", away)
        assert (await a.err(F.Sub(0, (F.Subscription(T),)))).code == Code.STORE_AWAY
        assert lab.relay.hubs.get(T) is None


async def test_a_client_that_vanishes_during_the_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_lab() as lab:
        _, _, topic = await scene(lab, "alice", "bob")
        bob = await lab.login(lab.person("bob"))
        bob.send(F.Sub(1, (F.Subscription(topic),)))
        await trio.lowlevel.checkpoint()
        bob.close()
        await settle()
        assert lab.relay.hubs.statistics().subscriptions == 0


async def test_people_get_no_slots() -> None:
    async with open_lab() as lab:
        a = await lab.register(lab.person("alice"))
        assert (await a.err(F.Sub(0, None, "shared"))).code == Code.FORBIDDEN


async def test_acknowledgements_reach_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_lab() as lab:
        _, _, topic = await scene(lab, "alice", "bob")
        person = lab.person("bob")
        bob = await lab.login(person)
        tid = (await bob.subscribe(topic, last=0)).tid
        noted: list[tuple[bytes, bytes, int]] = []
        monkeypatch.setattr(lab.store.topics, "acknowledge_nowait", lambda *args: noted.append(args))
        for given, offset in ((tid, 2), (tid, 0), (tid, 4), (999, 1)):
            bob.send(F.Ack(given, offset))
        assert noted == [(topic, person.device, 2)]


async def test_a_process_of_a_worker_is_given_topics_and_acknowledges_with_tokens(
    autojump_clock: Callable[[], float],
) -> None:
    async with open_lab() as lab:
        await slots.test_a_topic_begins_with_news_and_goes_on_from_the_cursor(lab)
    async with open_lab() as lab:
        await slots.test_an_acknowledgement_counts_with_the_token_only(lab)


async def test_who_gets_no_slots_and_who_gets_them_back(
    autojump_clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_lab() as lab:
        await slots.test_who_gets_no_slots(lab)
    async with open_lab() as lab:
        await slots.test_idle_topics_make_room(lab, monkeypatch)
    async with open_lab() as lab:
        await slots.test_who_was_put_out_hears_that_and_nothing_else(lab)
