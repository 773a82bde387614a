"""Slots of workers: who holds which, how they move, and what a process gets of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import frames as F
from protocol import requests as R
from protocol.codec import decode_struct
from protocol.errors import Code, Reason
from protocol.ids import slot_inbox, slot_of
from protocol.limits import SLOTS, WORKER_PROCESSES_MAX
from relay.slots import assign
from tests.support.lab import FakeClient, Lab, open_lab, req, settle
from tests.support.people import Person, commit, group, message
from tests.support.waiting import until


@pytest.fixture
async def lab(autojump_clock: trio.abc.Clock) -> AsyncIterator[Lab]:
    async with open_lab() as opened:
        yield opened


class Process:
    """One process of a worker, as its frames tell it."""

    def __init__(self, client: FakeClient) -> None:
        self.client = client

    @property
    def tokens(self) -> dict[int, int]:
        held: dict[int, int] = {}
        for event in self._events("slots", R.SlotsChanged):
            held.update(dict(event.granted))
            for slot in event.revoked:
                held.pop(slot, None)
        return held

    @property
    def revoked(self) -> list[int]:
        return [slot for event in self._events("slots", R.SlotsChanged) for slot in event.revoked]

    def _events(self, name: str, type_: type) -> list:  # type: ignore[type-arg]
        return [decode_struct(e.payload, type_) for e in self.client.got(F.Evt) if e.name == name]

    def news(self, topic: bytes) -> list[R.TopicNews]:
        return [news for news in self._events("topic", R.TopicNews) if news.topic == topic]

    def tid(self, topic: bytes) -> int:
        return int(self.news(topic)[-1].tid)

    def offsets(self, topic: bytes) -> list[int]:
        return self.client.offsets(self.tid(topic)) if self.news(topic) else []

    def token(self, topic: bytes) -> bytes:
        return self.tokens[slot_of(topic)].to_bytes(8, "big")

    async def ack(self, topic: bytes, offset: int, token: bytes | None = None) -> None:
        self.client.send(F.Ack(self.tid(topic), offset, self.token(topic) if token is None else token))
        await settle()

    async def release(self) -> None:
        slots = tuple(slot for slot in self.revoked if slot not in self.tokens)
        await self.client.request("slots.release", R.ReleaseSlots(slots), type(None))
        await settle()


async def worker_of(lab: Lab, name: str = "worker") -> Person:
    person = Person(name, lab.now_ms, service=True)
    await lab.register(person)
    return person


async def start(lab: Lab, person: Person, policy: str | None = None) -> Process:
    client = await lab.login(person, features=(F.SLOTS_FEATURE,))
    await client.ok(F.Sub(0, None, policy), type(None))
    await settle()
    return Process(client)


# -- who holds what ----------------------------------------------------------------------------------------------------
@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=12), st.booleans())
def test_an_assignment_is_fair_and_sticky(changes: list[int], single: bool) -> None:
    members: list[int] = []
    held: dict[int, int] = {}
    for change in changes:
        before = dict(held)
        if change in members:
            members.remove(change)
            before = {slot: member for slot, member in held.items() if member != change}
        else:
            members.append(change)
        held = assign(members, before, single=single)
        counts = Counter(held.values())
        if not members:
            assert held == {}
        elif single:
            assert counts == {members[0]: SLOTS}
        else:
            assert sum(counts.values()) == SLOTS
            assert set(counts.values()) <= {SLOTS // len(members), -(-SLOTS // len(members))}
            moved = sum(held[slot] != member for slot, member in before.items())
            assert moved <= (SLOTS // len(members) if change in members and len(members) > 1 else 0)


async def test_one_process_gets_every_slot_and_the_second_half_of_them(lab: Lab) -> None:
    person = await worker_of(lab)
    first = await start(lab, person)
    assert first.tokens == dict.fromkeys(range(SLOTS), 1)
    second = await start(lab, person)
    assert first.client.bye is None
    assert len(first.tokens) == SLOTS // 2
    assert second.tokens == {}  # nothing was released yet
    await first.release()
    assert second.tokens == dict.fromkeys(set(range(SLOTS)) - set(first.tokens), 2)
    second.client.close()
    await settle()
    assert len(first.tokens) == SLOTS
    assert set(first.tokens.values()) == {1, 3}


async def test_slots_that_are_not_released_are_taken(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.slots.RELEASE_MS", 200)
    person = await worker_of(lab)
    await start(lab, person)
    second = await start(lab, person)
    await until(lambda: bool(second.tokens))
    await settle()
    assert set(second.tokens.values()) == {2}
    assert len(second.tokens) == SLOTS // 2


async def test_a_single_group_has_one_holder_and_a_heir(lab: Lab) -> None:
    person = await worker_of(lab)
    first = await start(lab, person, F.GROUP_SINGLE)
    second = await start(lab, person, F.GROUP_SINGLE)
    assert len(first.tokens) == SLOTS
    assert second.tokens == {}
    first.client.close()
    await settle()
    assert second.tokens == dict.fromkeys(range(SLOTS), 2)


async def test_who_gets_no_slots(lab: Lab) -> None:
    ann = lab.person("ann")
    await lab.register(ann)
    plain = await lab.login(ann, features=(F.SLOTS_FEATURE,))
    assert (await plain.err(F.Sub(0, None))).code == Code.FORBIDDEN
    person = await worker_of(lab)
    alone = await lab.login(person)
    assert (await alone.err(F.Sub(0, None))).code == Code.FORBIDDEN
    process = await start(lab, person)
    assert (await process.client.ask(F.Sub(0, None, F.GROUP_SHARED))).rid  # once more changes nothing
    other = await lab.login(person, features=(F.SLOTS_FEATURE,))
    assert (await other.err(F.Sub(0, None, F.GROUP_SINGLE))).code == Code.CONFLICT
    assert (await other.err(F.Sub(0, None, "mine"))).code == Code.FRAME
    assert len(lab.relay.slots.statistics()) == 1


async def test_processes_are_bounded(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert WORKER_PROCESSES_MAX <= SLOTS
    monkeypatch.setattr("relay.slots.WORKER_PROCESSES_MAX", 1)
    monkeypatch.setattr("relay.slots.WORKER_ACCOUNTS_MAX", 1)
    person, other = await worker_of(lab), await worker_of(lab, "other")
    await start(lab, person)
    second = await lab.login(person, features=(F.SLOTS_FEATURE,))
    assert (await second.err(F.Sub(0, None))).code == Code.RATE
    third = await lab.login(other, features=(F.SLOTS_FEATURE,))
    assert (await third.err(F.Sub(0, None))).code == Code.QUOTA


async def test_a_plain_login_of_the_device_ends_the_processes(lab: Lab) -> None:
    person = await worker_of(lab)
    first, second = await start(lab, person), await start(lab, person)
    await lab.login(person)
    assert first.client.bye is not None
    assert second.client.bye is not None


# -- what is delivered -------------------------------------------------------------------------------------------------
async def test_a_topic_begins_with_news_and_goes_on_from_the_cursor(lab: Lab) -> None:
    person, ann = await worker_of(lab), lab.person("ann")
    client = await lab.register(ann)
    process = await start(lab, person)
    founding = group(ann, person)
    await client.ok(founding, F.PubResult)
    topic = founding.topic
    (news,) = process.news(topic)
    assert (news.generation, news.next) == (1, 1)
    frames = process.client.peer.frames
    first = next(i for i, frame in enumerate(frames) if isinstance(frame, F.Msg) and frame.tid == news.tid)
    assert any(isinstance(frame, F.Evt) and frame.name == "topic" for frame in frames[:first])
    client.send(message(ann, topic))
    await settle()
    assert process.offsets(topic) == [1, 2]
    await process.ack(topic, 2)
    process.client.close()
    again = await start(lab, person)
    assert again.news(topic) == []  # nothing is new in it
    client.send(message(ann, topic))
    await settle()
    assert again.news(topic)[0].next == 3
    assert again.offsets(topic) == [3]


async def test_an_acknowledgement_counts_with_the_token_only(lab: Lab) -> None:
    person, ann = await worker_of(lab), lab.person("ann")
    client = await lab.register(ann)
    process = await start(lab, person)
    founding = group(ann, person)
    await client.ok(founding, F.PubResult)
    await process.ack(founding.topic, 1, (7).to_bytes(8, "big"))
    await process.ack(founding.topic, 1, b"")
    process.client.close()
    again = await start(lab, person)
    assert again.offsets(founding.topic) == [1]


async def test_only_who_holds_the_slot_may_send(lab: Lab) -> None:
    person, ann = await worker_of(lab), lab.person("ann")
    client = await lab.register(ann)
    first = await start(lab, person)
    founding = group(ann, person)
    await client.ok(founding, F.PubResult)
    topic = founding.topic
    old = first.token(topic)

    def said(token: bytes | None) -> F.Pub:
        return F.Pub(0, topic, person.id(), epoch=(1, 1), body=b"sealed", token=token)

    await first.client.ok(said(old), F.PubResult)
    assert (await first.client.err(said(None))).code == Code.FRAME
    assert (await first.client.err(said(b"short"))).code == Code.FRAME
    second = await start(lab, person, None)
    await first.release()
    holder, other = (first, second) if slot_of(topic) in first.tokens else (second, first)
    await holder.client.ok(said(holder.token(topic)), F.PubResult)
    if holder is second:
        refusal = await other.client.err(said(old))
        assert refusal.detail is not None
        assert (refusal.code, refusal.detail.reason) == (Code.CONFLICT, Reason.FENCED)
    assert (await client.err(F.Pub(0, topic, ann.id(), epoch=(1, 1), body=b"x", token=old))).code == Code.FRAME


async def test_a_moved_topic_is_delivered_by_its_new_holder_only(lab: Lab) -> None:
    person, ann = await worker_of(lab), lab.person("ann")
    client = await lab.register(ann)
    first = await start(lab, person)
    topics = []
    for n in range(12):
        founding = group(ann, person, nonce=b"nonce number %03d" % n)
        await client.ok(founding, F.PubResult)
        topics.append(founding.topic)
        await first.ack(founding.topic, 1)
    second = await start(lab, person)
    await first.release()
    for topic in topics:
        client.send(message(ann, topic))
    await settle()
    for topic in topics:
        mine = slot_of(topic) in first.tokens
        assert first.offsets(topic) == ([1, 2] if mine else [1])
        assert second.offsets(topic) == ([] if mine else [2])
    assert {slot_of(topic) in first.tokens for topic in topics} == {True, False}


async def test_a_welcome_comes_by_the_slots_inbox(lab: Lab) -> None:
    person, ann = await worker_of(lab), lab.person("ann")
    client = await lab.register(ann)
    process = await start(lab, person)
    founding = group(ann)
    await client.ok(founding, F.PubResult)
    await client.ok(commit(ann, founding.topic, added=(person,), welcomes=True, read_from=1), F.PubResult)
    inbox = slot_inbox(person.account, slot_of(founding.topic))
    assert process.offsets(inbox) == [1]
    assert process.offsets(founding.topic) == [2]


async def test_idle_topics_make_room(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.lease.LEASED_TOPICS_MAX", 2)
    person, ann = await worker_of(lab), lab.person("ann")
    client = await lab.register(ann)
    process = await start(lab, person)
    await process.ack(person_inbox(process), 1)
    topics = []
    for n in range(4):
        founding = group(ann, person, nonce=b"nonce number %03d" % n)
        await client.ok(founding, F.PubResult)
        topics.append(founding.topic)
    begun = [topic for topic in topics if process.news(topic)]
    assert len(begun) == 2  # the others wait for an ACK
    assert lab.relay.slots.statistics()[0].waiting == 2
    for topic in begun:
        await process.ack(topic, 1)
    assert all(process.offsets(topic) == [1] for topic in topics)
    for before, after in pairwise(topics):
        assert before != after


def person_inbox(process: Process) -> bytes:
    (news,) = process._events("topic", R.TopicNews)
    return bytes(news.topic)


async def test_who_was_put_out_hears_that_and_nothing_else(lab: Lab) -> None:
    person, ann = await worker_of(lab), lab.person("ann")
    client = await lab.register(ann)
    process = await start(lab, person)
    founding = group(ann, person)
    await client.ok(founding, F.PubResult)
    topic = founding.topic
    await process.ack(topic, 1)
    process.client.close()
    again = await start(lab, person)
    await client.ok(commit(ann, topic, removed=(person,)), F.PubResult)
    client.send(message(ann, topic, fence=2))
    await settle()
    assert again.news(topic)[-1].tid == 0
    assert again.offsets(topic) == []


async def test_a_restart_of_the_relay_goes_on_with_higher_tokens(lab: Lab) -> None:
    person = await worker_of(lab)
    first = await start(lab, person)
    first.client.close()
    async with open_lab(store=lab.store) as other:
        again = await start(other, person)
        assert again.tokens == dict.fromkeys(range(SLOTS), 2)
        await other.relay.slots.look()
        (figures,) = other.relay.slots.statistics()
        assert (figures.processes, figures.slots, figures.lag.entries) == (1, SLOTS, 1)


async def test_a_release_of_what_was_not_asked_for_changes_nothing(lab: Lab) -> None:
    person, ann = await worker_of(lab), lab.person("ann")
    client = await lab.register(ann)
    process = await start(lab, person)
    await process.client.ok(req("slots.release", R.ReleaseSlots((1, 2))), type(None))
    await client.ok(req("slots.release", R.ReleaseSlots((1, 2))), type(None))
    await settle()
    assert len(process.tokens) == SLOTS
    assert set(process.tokens.values()) == {1}
