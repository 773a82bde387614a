"""The self topic: what one device notes is so on the other, whatever order they speak in and whoever was away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from clients import records as R
from clients.client import Client
from clients.conversations import Conversation
from clients.devices import linking
from clients.devices.linking import approve
from clients.devices.revoking import revoke
from clients.events import Missing, Received, Unreadable
from clients.records import Status
from clients.words import CONTACTS, MUTES
from protocol.errors import Code
from protocol.frames import Err, GapReason, Pub
from protocol.ids import TopicKind, self_topic
from protocol.limits import READ_MARKS_MS, SYNC_NAME_CHARS_MAX
from protocol.messages import compose
from protocol.messages.chat import Text
from protocol.messages.sync import Ask, Mutes, Reads
from tests.conftest import LONG
from tests.support.clients import World, events_of, group_of, open_world
from tests.support.devices import device_of, link, new_device

EXAMPLES = 500 if LONG else 25
Devices = tuple[Client, Client, Client, Conversation]


def state(client: Client) -> dict[str, Any]:
    """All that devices of one account share."""
    shelf = client.engine.shelf
    return {
        "contacts": {a: (c.name, c.verified, c.changed) for a, c in shelf.contacts.items()},
        "tokens": {a: t.token for a, t in shelf.tokens.items() if t.token},
        "blocked": set(shelf.blocked), "mutes": dict(shelf.mutes), "reads": dict(shelf.reads),
        "follows": set(shelf.follows), "hidden": set(shelf.hidden.values()),
        "listed": set(shelf.listed.values()),
        "own": (shelf.identity.contact_token, shelf.identity.invite_tokens),
    }  # fmt: skip


async def devices(world: World) -> Devices:
    """Alice on two devices, Bob, and a group of both."""
    (alice, bob), talk = await group_of(world, "alice", "bob")
    await alice.add_contact(bob.account, "bob")
    await talk.send("hello")
    second = await link(world, alice, "second")
    await world.settle(5)
    assert alice.engine.own.is_shared
    assert second.engine.own.is_shared
    return alice, second, bob, talk


async def test_what_one_device_notes_is_so_on_the_other(autojump_clock: object) -> None:
    async with open_world(spacing_ms=5000) as world:
        alice, second, bob, talk = await devices(world)
        assert state(alice) == state(second)
        assert second.engine.shelf.contacts[bob.account].name == "bob"
        await second.add_contact(bob.account, "Robert", verified=True)
        await second.conversation(talk.topic).mute()
        await second.invite()
        await world.settle(1)
        assert alice.engine.shelf.contacts[bob.account] == R.Contact(bob.account, "Robert", True)
        assert talk.muted_until_ms
        await bob.conversation(talk.topic).send("psst")
        await world.settle(1)
        assert events_of(alice, Received, talk.topic)[-1].muted
        await talk.unmute()
        await alice.block(bob.account)
        await world.settle(1)
        assert second.engine.shelf.blocked == {bob.account}
        assert not second.engine.shelf.contacts
        assert state(alice) == state(second)
        await second.add_contact(bob.account, "bob again")
        await world.settle(1)
        assert not alice.engine.shelf.blocked
        assert state(alice) == state(second)


async def test_a_linked_device_takes_nothing_back_that_it_was_not_told(autojump_clock: object) -> None:
    """Whatever own devices share comes with the archive: what is missing there would be said to be gone."""
    async with open_world() as world:
        (alice,) = await world.people("alice")
        await alice.feed.follow(b"f" * 32, secretly=True)
        await alice.feed.hide_word("sports")
        await alice.feed.lists.add("sea", b"a" * 32)
        await alice.block(b"b" * 32)
        before = state(alice)
        second = await link(world, alice, "second")
        await world.settle(60)
        assert second.engine.own.is_shared
        shared = {field: before[field] for field in ("follows", "hidden", "listed", "blocked")}
        for client in (alice, second):
            assert {field: state(client)[field] for field in shared} == shared


async def test_it_is_no_chat_and_no_news(autojump_clock: object) -> None:
    async with open_world() as world:
        alice, second, _, talk = await devices(world)
        topic = self_topic(alice.account)
        for client in (alice, second):
            assert set(client.conversations) == {talk.topic}
            assert client.engine.own.talk is not None
            assert client.engine.own.talk.kind == TopicKind.SELF
        for name in ("alice", "second"):
            assert all(getattr(notice, "topic", b"") != topic for notice in world.notices[name])
            assert all(event.topic != topic for event in world.told[name])


ACTIONS: dict[str, Callable[[Client, bytes, Conversation], Awaitable[object]]] = {
    "name": lambda client, bob, talk: client.add_contact(bob, f"bob of {client.engine.shelf.device.public.hex()[:4]}"),
    "verify": lambda client, bob, talk: client.add_contact(bob, "bob", verified=True),
    "block": lambda client, bob, talk: client.block(bob),
    "invite": lambda client, bob, talk: client.invite(),
    "mute": lambda client, bob, talk: talk.mute(3_600_000),
    "unmute": lambda client, bob, talk: talk.unmute(),
    "read 1": lambda client, bob, talk: talk.mark_read(1),
    "read": lambda client, bob, talk: talk.mark_read(),
}


@settings(max_examples=EXAMPLES)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from(sorted(ACTIONS)), st.booleans()), max_size=8),
    st.sampled_from(["second", "alice"]),
)
def test_two_devices_change_things_offline_and_end_with_the_same(acts: list[tuple[int, str, bool]], first: str) -> None:
    async def run() -> None:
        async with open_world() as world:
            alice, second, bob, talk = await devices(world)
            both = {"alice": alice, "second": second}
            world.reachable = False
            for name in both:
                world.cut(name)
            await world.settle(1)
            for who, what, waits in acts:
                client = (alice, second)[who]
                await ACTIONS[what](client, bob.account, client.conversation(talk.topic))
                if waits:
                    await world.settle(7)
            world.reachable = True
            await world.crash(first)
            both[first] = await world.start(first)
            await world.settle(90)
            assert state(both["alice"]) == state(both["second"])
            assert all(not client.engine.shelf.outgoing for client in both.values())
            for client in both.values():
                known = {key: word.value for key, word in client.engine.own.words.items()}
                other = {key: word.value for key, word in both["alice"].engine.own.words.items()}
                assert known == other

    trio.run(run, clock=MockClock(autojump_threshold=0))


async def test_the_last_word_in_the_log_counts_not_the_last_made(autojump_clock: object) -> None:
    async with open_world() as world:
        alice, second, bob, _ = await devices(world)
        await world.crash("second")
        second = await world.start("second")
        world.cut("alice")
        world.reachable = False
        await alice.add_contact(bob.account, "named first, said last")
        await second.add_contact(bob.account, "named last, said first")
        await world.settle(1)
        assert alice.engine.shelf.contacts[bob.account].name == "named first, said last"
        world.reachable = True
        await world.settle(60)
        for client in (alice, second):
            assert client.engine.shelf.contacts[bob.account].name == "named first, said last"


async def test_a_check_of_old_keys_does_not_lift_a_block(autojump_clock: object) -> None:
    """One device learns that a verified contact was recovered; the other, offline, has just compared the old keys."""
    async with open_world() as world:
        alice, second, bob, _talk = await devices(world)
        await alice.add_contact(bob.account, "bob", verified=True)
        await world.settle(1)
        world.reachable = False
        for name in ("alice", "second"):
            world.cut(name)
        shelf = alice.engine.shelf
        old = shelf.lists[bob.account]
        shelf.lists[bob.account] = msgspec.structs.replace(old, version=old.version + 1)
        shelf.save_contact(R.Contact(bob.account, "bob", changed=True))
        await second.add_contact(bob.account, "bob")
        await second.add_contact(bob.account, "Bobby", verified=True)
        world.reachable = True
        await world.settle(60)
        for client in (alice, second):
            contact = client.engine.shelf.contacts[bob.account]
            assert (contact.name, contact.verified, contact.changed) == ("Bobby", False, True)


async def test_read_marks_are_said_rarely_and_only_forwards(autojump_clock: object) -> None:
    async with open_world() as world:
        alice, second, bob, talk = await devices(world)
        for number in range(6):
            await bob.conversation(talk.topic).send(f"news {number}")
        await world.settle(1)
        theirs = second.conversation(talk.topic)
        assert await theirs.unread() == await talk.unread() == 6
        assert alice.engine.own.talk is not None
        before = alice.engine.own.talk.cursor
        for offset in range(2, talk.record.cursor + 1):
            await talk.mark_read(offset)
            await world.settle(0.1)
        await talk.mark_read(1)
        assert alice.engine.own.talk.cursor - before == 1
        await world.settle(READ_MARKS_MS / 1000)
        assert alice.engine.own.talk.cursor - before == 2
        assert theirs.read_to == talk.read_to == talk.record.cursor
        assert await theirs.unread() == 0


async def test_a_device_without_its_past_asks_and_waits_for_the_account_s_token(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world() as world:
        (alice, bob), _ = await group_of(world, "alice", "bob")
        await alice.add_contact(bob.account, "bob", verified=True)
        token = alice.engine.shelf.identity.contact_token
        monkeypatch.setattr(linking, "HASHES_MAX", 0)
        new = new_device(world, "second")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(approve, alice, new.code.text())
            assert not await new.link()
        second = await world.start("second")
        assert not second.engine.shelf.identity.contact_token
        await world.settle(10)
        assert second.engine.shelf.contacts[bob.account].verified
        assert second.engine.shelf.identity.contact_token == alice.engine.shelf.identity.contact_token == token


async def test_who_missed_something_hears_it_again(autojump_clock: object) -> None:
    async with open_world() as world:
        alice, second, bob, _talk = await devices(world)
        own = second.engine.own
        known = own.words.pop((CONTACTS, bob.account))
        del second.engine.shelf.contacts[bob.account]
        own.event(Missing(topic=own.topic, count=3, reason=GapReason.RETENTION))
        assert own._duty.lacks
        await world.settle(5)
        assert own.is_shared
        assert own.words[CONTACTS, bob.account] == known
        own.event(Unreadable(topic=own.topic, offset=1, account=alice.account, reason="cut"))
        await world.crash("alice")
        await world.settle(5)
        assert second.engine.own._duty.lacks
        await world.crash("second")
        second = await world.start("second")
        await world.settle(5)
        assert not second.engine.own.is_shared  # it remembers
        await world.start("alice")
        await world.settle(10)
        assert second.engine.own.is_shared


async def test_another_answers_where_the_first_does_not(autojump_clock: object) -> None:
    async with open_world() as world:
        alice, second, _bob, _talk = await devices(world)
        third = await link(world, alice, "third")
        await world.crash("alice")
        own = third.engine.own
        own.event(Missing(topic=own.topic, count=3, reason=GapReason.RETENTION))
        await world.settle(0.5)
        assert own._duty.asked
        await world.settle(10)
        assert own.is_shared
        assert state(third) == state(second)


async def test_a_revoked_device_is_put_out(autojump_clock: object) -> None:
    async with open_world() as world:
        alice, second, _, _ = await devices(world)
        gone = device_of(second)
        await revoke(alice, gone)
        await world.settle(5)
        group = alice.engine.shelf.groups.get(alice.engine.own.topic)
        assert group is not None
        assert gone not in {member.signature_key for member in group.members}


async def test_one_device_founds_nothing_and_a_refusal_is_tried_again(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice, _), _ = await group_of(world, "alice", "bob")
        assert alice.engine.own.talk is None
        topic, refused = self_topic(alice.account), 0

        def judge(wire: object, pub: Pub) -> Err | None:
            nonlocal refused
            refused += pub.topic == topic
            return Err(pub.rid, Code.FORBIDDEN, "not now") if pub.topic == topic and refused < 3 else None

        world.relay.judge = judge
        second = await link(world, alice, "second")
        await world.settle(60)
        assert refused >= 3
        assert second.engine.own.talk is not None
        assert second.engine.own.talk.status == Status.ACTIVE


async def test_key_packages_that_are_not_there_yet(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice, _), _ = await group_of(world, "alice", "bob")
        world.relay.answer["keypackages.claim"] = lambda wire, params: []
        await link(world, alice, "second")
        assert alice.engine.own.talk is None
        del world.relay.answer["keypackages.claim"]
        await world.settle(60)
        assert alice.engine.own.is_shared


async def test_names_too_long_to_share_stay_where_they_are(autojump_clock: object) -> None:
    async with open_world() as world:
        alice, second, bob, _ = await devices(world)
        await alice.add_contact(bob.account, "b" * (SYNC_NAME_CHARS_MAX + 1), verified=True)
        await world.settle(2)
        theirs = second.engine.shelf.contacts[bob.account]
        assert (theirs.name, theirs.verified) == ("bob", True)
        assert len(alice.engine.shelf.contacts[bob.account].name) > SYNC_NAME_CHARS_MAX


async def test_what_is_no_word_and_what_only_we_say_changes_nothing(autojump_clock: object) -> None:
    async with open_world() as world:
        alice, _, _bob, talk = await devices(world)
        own = alice.engine.own
        await talk.mark_read()
        before = state(alice)

        def heard(content: bytes, *, mine: bool = False) -> None:
            own.event(Received(
                topic=own.topic, offset=99, id=b"i" * 16, account=alice.account, device=b"d" * 32, ts=0,
                content=content, mine=mine,
            ))  # fmt: skip

        heard(b"\xc1")
        heard(compose(Text(text="hello")))
        heard(compose(Ask()), mine=True)
        heard(compose(Mutes(items=((talk.topic, 5),), said=((1, 1), (1, 2)))))
        heard(compose(Reads(items=((talk.topic, 1, 0),))))
        assert state(alice) == before
        assert (MUTES, talk.topic) not in own.words
        assert not own._duty.question
