"""Contacts and strangers: tokens reach contacts, requests wait, and a block looks like absence."""

from __future__ import annotations

import pytest

from clients import contacts
from clients import records as R
from clients.contacts import NotAllowed
from clients.conversations import NotActive
from clients.events import Delivered, Joined, Received
from clients.records import Status
from protocol.errors import Code
from protocol.frames import Msg
from protocol.limits import CONTACT_TOKENS_MAX
from storage.base import Refused
from tests.support.clients import World, events_of, open_world, texts


async def strangers(world: World) -> tuple[R.Conversation, bytes]:
    """Eve begins a conversation with careful Alice; (Alice's record, topic)."""
    alice, eve = await world.people("alice", "eve")
    alice.engine.contacts.holds_requests = True
    talk = await eve.pair(alice.account)
    await talk.send("hello")
    await world.settle()
    return alice.conversation(talk.topic).record, talk.topic


async def test_a_request_is_read_and_not_answered(autojump_clock: object) -> None:
    async with open_world() as world:
        record, topic = await strangers(world)
        alice, eve = world.clients["alice"], world.clients["eve"]
        assert alice.conversation(topic).status == Status.REQUEST
        assert alice.engine.contacts.requests() == [record]
        assert texts(alice, topic) == ["hello"]
        alice.conversation(topic).typing()
        await world.settle()
        assert not events_of(eve, Delivered)
        await alice.accept(topic)
        await alice.accept(topic)  # twice is once
        await world.settle()
        assert alice.conversation(topic).status == Status.ACTIVE
        assert events_of(eve, Delivered)
        assert eve.account in alice.engine.shelf.contacts


@pytest.mark.parametrize("how", ["answering", "adding"])
async def test_other_ways_to_accept(how: str, autojump_clock: object) -> None:
    async with open_world() as world:
        _, topic = await strangers(world)
        alice, eve = world.clients["alice"], world.clients["eve"]
        if how == "answering":
            await alice.conversation(topic).send("hello yourself")
        else:
            await alice.add_contact(eve.account, "eve")
        await world.settle()
        assert alice.conversation(topic).status == Status.ACTIVE
        assert events_of(eve, Delivered)


async def test_contacts_get_the_token_and_are_no_strangers(autojump_clock: object) -> None:
    async with open_world() as world:
        alice, bob = await world.people("alice", "bob")
        alice.engine.contacts.holds_requests = True
        pair = await alice.pair(bob.account)
        await alice.add_contact(bob.account, "bob")
        await world.settle()
        token = bob.engine.shelf.tokens[alice.account].token
        assert token == alice.engine.shelf.identity.contact_token
        await bob.group([alice.account], "both")
        await world.settle()
        assert [talk.status for talk in alice.conversations.values()] == [Status.ACTIVE] * 2
        assert pair.topic in alice.conversations


async def test_an_invitation_opens_the_door(autojump_clock: object) -> None:
    async with open_world() as world:
        alice, bob = await world.people("alice", "bob")
        alice.engine.contacts.holds_requests = True
        token = await alice.invite()
        await world.settle()
        bob.engine.shelf.save_token(R.Token(alice.account, token))
        talk = await bob.pair(alice.account)
        await world.settle()
        assert alice.conversation(talk.topic).status == Status.ACTIVE
        alice.engine.shelf.identity.invite_tokens = (token,) * CONTACT_TOKENS_MAX
        with pytest.raises(NotAllowed):
            await alice.invite()


async def heard_by_eve(block: bool) -> list[tuple[str, int]]:
    """What the relay sends a stranger who talks on: (frame, flags), where Alice blocks it, or just goes away."""
    async with open_world() as world:
        _, topic = await strangers(world)
        alice, eve = world.clients["alice"], world.clients["eve"]
        if block:
            await alice.block(eve.account)
            await world.settle()
        else:
            await world.crash("alice")
        begin = len(world.relay.sent)
        for text in ("are you there?", "hello?"):
            await eve.conversation(topic).send(text)
            eve.conversation(topic).typing()
            await world.settle(5)
        await eve.conversation(topic).rotate()
        await eve.group([alice.account], "again")
        await world.settle(30)
        if block:
            assert texts(alice, topic) == ["hello"]
            assert len(events_of(alice, Joined)) == 1
        sent = world.relay.sent[begin:]
        return [(type(f).__name__, f.flags if isinstance(f, Msg) else 0) for who, f in sent if who == "eve"]


async def test_a_blocked_stranger_cannot_tell_it_from_absence(autojump_clock: object) -> None:
    assert await heard_by_eve(block=True) == await heard_by_eve(block=False)


async def test_a_block_ends_invitations_and_renews_the_token(autojump_clock: object) -> None:
    async with open_world() as world:
        alice, bob, eve = await world.people("alice", "bob", "eve")
        for person in (bob, eve):
            await alice.add_contact(person.account, "x")
            await person.add_contact(alice.account, "alice")
        await alice.pair(eve.account)
        await alice.invite()
        await world.settle()
        old = alice.engine.shelf.identity.contact_token
        await alice.block(eve.account)
        await world.settle()
        identity = alice.engine.shelf.identity
        assert identity.contact_token != old
        assert identity.published_tokens == (identity.contact_token,)
        assert bob.engine.shelf.tokens[alice.account].token == identity.contact_token
        assert eve.engine.shelf.tokens[alice.account].token == old
        talk = next(iter(alice.conversations.values()))
        with pytest.raises(NotActive, match="blocked"):
            await talk.send("no")
        with pytest.raises(NotAllowed):
            await alice.block(alice.account)
        await alice.add_contact(eve.account, "eve again")
        await talk.send("yes")
        await world.settle()
        assert texts(eve, talk.topic) == ["yes"]


async def test_tokens_of_strangers_are_kept_up_to_a_bound(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contacts, "TOKENS_MAX", 0)
    async with open_world() as world:
        alice, eve = await world.people("alice", "eve")
        await eve.add_contact(alice.account, "alice")
        await world.settle()
        assert eve.account not in alice.engine.shelf.tokens
        assert not events_of(alice, Received)


async def test_a_relay_without_tokens_or_in_a_hurry(autojump_clock: object) -> None:
    async with open_world() as world:
        world.relay.answer["contacts.tokens"] = lambda wire, params: Refused(Code.UNKNOWN_METHOD, "what?")
        (alice,) = await world.people("alice")
        assert not alice.engine.shelf.identity.published_tokens
        world.relay.answer["contacts.tokens"] = lambda wire, params: Refused(Code.RATE, "wait", retry_ms=5)
        alice.engine.contacts.nudge()
        await world.settle()
        del world.relay.answer["contacts.tokens"]
        await world.settle(10)
        assert alice.engine.shelf.identity.published_tokens
