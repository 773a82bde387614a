"""Names and verbs that both faces of the chat share."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import trio

from clients.cli.room import (
    Follower,
    NotFound,
    OtherAccount,
    Room,
    clean,
    describe,
    introduction,
    short,
    size_text,
)
from clients.devices.code import invite_text
from clients.events import Delivered, Joined, Received, Stored
from clients.feed.ranked import Home as RankHome
from clients.games.records import Record, State
from clients.wallet.records import Home as WalletHome
from protocol.codec import encode_struct, pack_untyped
from protocol.content import Reference
from protocol.identity import SigningKey
from protocol.manifest import sign_manifest
from protocol.messages import compose
from protocol.messages.chat import Media, Reaction, Text
from protocol.messages.ext import Manifest
from tests.support.clients import events_of, group_of, open_world


async def test_names_and_titles(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob", title="tea")
        room = Room(alice)
        assert room.name_of(alice.account) == "me"
        assert room.name_of(bob.account) == short(bob.account)
        await alice.add_contact(bob.account, "bob")
        assert room.name_of(bob.account) == "bob"
        assert room.account_of("bob") == bob.account
        assert room.title_of(talk) == "tea"
        pair = await alice.pair(bob.account)
        assert room.title_of(pair) == "bob"
        assert room.conversation_of("tea").topic == talk.topic
        assert room.conversation_of(talk.topic.hex()[:8]).topic == talk.topic
        with pytest.raises(NotFound, match="no contact"):
            room.account_of("carol")
        with pytest.raises(NotFound, match="no conversation"):
            room.conversation_of("coffee")


async def test_workers_are_called_by_their_job(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        room = Room(alice)
        worker, ranker, referee = (SigningKey(bytes([n]) * 32).public for n in (1, 2, 3))
        assert [room.name_of(account) for account in (worker, ranker, referee)] == list(
            map(short, (worker, ranker, referee))
        )
        alice.wallet.book.home = WalletHome(worker, "log", b"t" * 32)
        alice.feed.rank.home = RankHome(ranker, b"t" * 32)
        alice.games.book.records[b"m" * 32] = Record(b"m" * 32, referee, b"t" * 32, State.OVER, "chess")
        assert [room.name_of(account) for account in (worker, ranker, referee)] == ["settlement", "ranking", "referee"]
        await alice.add_contact(worker, "the bank")
        assert room.name_of(worker) == "the bank"


async def test_adding_keeps_what_was_verified(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        alice, bob = await world.people("alice", "bob")
        await bob.claim_handle("bob")
        room = Room(alice)
        account, number = await room.add("bob")
        assert (account, number) == (bob.account, bob.safety_number(alice.account))
        await room.verify("bob")
        await room.add("bob")
        assert alice.engine.shelf.contacts[bob.account].verified
        talk = await room.group("two", ["bob"])
        assert talk.title == "two"


async def test_events_and_conversations_as_json(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        await talk.send("hello")
        await world.settle()
        room = Room(alice)
        record = room.as_json(events_of(alice, Received, talk.topic)[-1])
        assert (record["event"], record["text"], record["type"], record["from"]) == (
            "received", "hello", "chat.text", "me",
        )  # fmt: skip
        assert "content" not in record
        assert room.as_json(events_of(alice, Stored, talk.topic)[-1])["id"] == record["id"]
        assert room.as_json(events_of(alice, Delivered, talk.topic)[-1])["to"] == short(bob.account)
        joined = room.as_json(events_of(alice, Joined)[0])
        assert json.loads(json.dumps(joined)) == joined
        summary = room.summary(talk)
        assert summary["status"] == "active"
        assert summary["authenticator"] == Room(bob).summary(bob.conversation(talk.topic))["authenticator"]
        assert set(summary["members"]) == {alice.account.hex(), bob.account.hex()}


def test_what_a_content_says() -> None:
    assert describe(compose(Text(text="hi"))) == {"type": "chat.text", "text": "hi"}
    reaction = describe(compose(Reaction(emoji="+"), re=Reference(b"i" * 16), rp=b"o" * 16, fb="liked it"))
    assert (reaction["text"], reaction["re"], reaction["rp"]) == ("liked it", "69" * 16, "6f" * 16)
    unknown = describe(pack_untyped({"t": "chat.hologram", "b": {}, "fb": "a hologram"}))
    assert unknown == {"type": "chat.hologram", "text": "a hologram"}
    assert describe(pack_untyped({"t": "pay.newer", "v": 9, "b": {}}))["text"] is None
    assert describe(encode_struct(5))["type"] == "?"


def test_what_drives_a_terminal_is_not_shown() -> None:
    assert clean("a\x1b[31mb\u202ec\u200bd\ne") == "a\ufffd[31mb\ufffdc\ufffdd\ne"
    assert clean("👩\u200d🚀 naïve") == "👩\u200d🚀 naïve"


async def test_a_follower_says_when_an_event_was_shown() -> None:
    follower, reached = Follower(), []

    async def wait() -> None:
        await follower.reached(3)
        reached.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        follower.passed(2)
        await trio.testing.wait_all_tasks_blocked()
        assert not reached
        follower.passed(3)
    assert reached


async def test_a_handle_that_leads_to_somebody_else_now(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        alice, bob, eve = await world.people("alice", "bob", "eve")
        room = Room(alice)
        await alice.add_contact(bob.account, "bob")
        await eve.claim_handle("bob")
        with pytest.raises(OtherAccount, match="than the one that you know"):
            await room.add("bob")
        await room.verify("bob")
        with pytest.raises(OtherAccount, match="than the one that you verified"):
            await room.add("bob")
        account, _ = await room.add(invite_text(eve.account, b"t" * 16))
        assert account == eve.account
        assert alice.engine.shelf.token_of(eve.account) == b"t" * 16


def test_files_and_sizes_in_words() -> None:
    media = Media(
        id=b"f" * 16, name="a/b.jpg", mime="image/jpeg", size=2_500_000, hash=b"h" * 32, key=b"k" * 32, chunk=65_536,
        chunks=(b"c" * 32,),
    )  # fmt: skip
    shown = describe(compose(media))
    assert "2.5 MB" in shown["text"]
    assert shown["media"]["size"] == 2_500_000
    assert [size_text(size) for size in (5, 1500, 3_000_000_000)] == ["5 bytes", "1.5 kB", "3000.0 MB"]


def test_a_worker_introduces_itself() -> None:
    key = SigningKey(bytes(32))
    bare = Manifest(name="dice", consumes=("ext.request",), produces=())
    told = introduction(compose(sign_manifest(bare, key)), key.public)
    assert told == "dice is a worker: it acts on ext.request"
    full = sign_manifest(Manifest(name="dice", consumes=(), produces=(), keeps="rolls", trust="\x1b[31mall"), key)
    said = introduction(compose(full), key.public)
    assert said is not None
    assert "it keeps: rolls; you trust it:" in said
    assert "\x1b" not in said
    assert "do not believe it" in (introduction(compose(bare), key.public) or "")
    assert introduction(compose(Text(text="hi")), key.public) is None
    assert introduction(b"nonsense", key.public) is None
