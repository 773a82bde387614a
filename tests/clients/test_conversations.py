"""A conversation in an application's hands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clients import records as R
from clients.conversations import Conversation, KeysChanged, NotActive
from clients.directory import CannotAdd
from clients.events import Changed, Ephemeral, Received, Removed, Stored
from clients.files import FileError
from clients.records import Status
from protocol.content import Reference
from protocol.frames import Role
from protocol.limits import INT_MAX
from protocol.messages import parse
from protocol.messages.chat import Reaction, Text
from tests.support.clients import agree, events_of, group_of, open_world, said, say, talk_of, texts


async def test_what_it_tells_about_itself(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob", title="tea")
        assert (talk.title, talk.status, talk.peer) == ("tea", Status.ACTIVE, None)
        assert talk.members == {alice.account: Role.OWNER, bob.account: Role.MEMBER}
        assert talk.device_count() == 2
        assert talk.in_group() == {alice.account, bob.account}
        assert talk.epoch_authenticator == talk_of(bob, talk).epoch_authenticator
        pair = await alice.pair(bob.account)
        assert pair.peer == bob.account
        assert pair.title == ""


async def test_saying_things(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        message_id = await talk.send("hello")
        await talk.send(Reaction(emoji="+"), re=Reference(message_id))
        await talk.send("hello again", rp=message_id, ttl_ms=60_000)
        await world.settle()
        assert said(bob, talk.topic) == [(alice.account, "hello"), (alice.account, "hello again")]
        contents = [parse(event.content).content for event in events_of(bob, Received, talk.topic)]
        assert contents[1].re == Reference(message_id)
        assert contents[2].rp == message_id
        assert contents[1].seen is not None
        assert next(event.id for event in events_of(alice, Stored, talk.topic)) == message_id


async def test_what_was_said_before_a_relay_is_there_goes_out_later(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (_, bob), talk = await group_of(world, "alice", "bob")
        world.reachable = False
        world.cut("alice")
        await world.settle()
        for number in range(5):
            await talk.send(f"{number}")
        assert texts(bob, talk.topic) == []
        world.reachable = True
        await world.settle(60)
        assert texts(bob, talk.topic) == ["0", "1", "2", "3", "4"]


async def test_a_text_that_is_too_long_is_refused_at_once(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        _, talk = await group_of(world, "alice", "bob")
        with pytest.raises(ValueError, match="at most"):
            await talk.send("x" * 70_000)


async def test_typing_reaches_who_is_there_and_nobody_else(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (_, bob), talk = await group_of(world, "alice", "bob")
        async with bob.notices() as notices:
            talk.typing()
            await world.settle()
            notice = notices.receive_nowait()
        assert isinstance(notice, Ephemeral)
        assert notice.topic == talk.topic
        world.cut("alice")
        talk.typing()  # nobody hears it, and nothing breaks


async def test_adding_removing_and_fresh_keys(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        (carol,) = await world.people("carol")
        await talk.add([bob.account, carol.account])
        await world.settle()
        assert agree(talk.topic, alice, bob, carol)
        before = talk.epoch_authenticator
        await talk_of(carol, talk).rotate()
        await world.settle()
        assert talk.epoch_authenticator != before
        await talk.remove([carol.account])
        await world.settle()
        assert events_of(carol, Removed, talk.topic)
        assert events_of(bob, Changed, talk.topic)[-1].removed == (carol.account,)
        with pytest.raises(NotActive, match="not in this conversation"):
            await talk_of(carol, talk).send("am I still here?")


async def test_leaving(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice, bob, carol), talk = await group_of(world, "alice", "bob", "carol")
        await talk_of(bob, talk).leave()
        await world.settle(30)
        assert talk_of(bob, talk).status in (Status.LEFT, Status.REMOVED)
        assert talk.in_group() == {alice.account, carol.account}
        assert agree(talk.topic, alice, carol)
        with pytest.raises(NotActive):
            await talk_of(bob, talk).leave()


async def test_a_pair_stays_a_pair(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        alice, bob, carol = await world.people("alice", "bob", "carol")
        pair = await alice.pair(bob.account)
        await world.settle()
        with pytest.raises(NotActive, match="two"):
            await pair.add([carol.account])
        with pytest.raises(CannotAdd):
            await alice.pair(alice.account)


async def test_nothing_can_be_changed_before_it_is_active(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        topic = b"w" * 32
        alice.engine.shelf.save(R.Conversation(topic, 1, Status.WAITING))
        talk = alice.conversation(topic)
        assert isinstance(talk, Conversation)
        for action in (talk.rotate, talk.leave):
            with pytest.raises(NotActive, match="waiting"):
                await action()
        assert talk.epoch_authenticator is None
        assert talk.in_group() == set()
        assert talk.device_count() == 0
        talk.typing()


async def test_history_is_the_last_events_in_order(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        _, talk = await group_of(world, "alice", "bob")
        for number in range(6):
            await talk.send(Text(text=f"{number}"))
        await world.settle()
        events = await talk.history(4)
        assert len(events) == 4
        assert [event.seq for event in events] == sorted(event.seq for event in events)


async def test_muting_and_what_is_unread(autojump_clock: object) -> None:
    async with open_world() as world:
        (_alice, bob), talk = await group_of(world, "alice", "bob")
        theirs = bob.conversation(talk.topic)
        await say(talk, "one", "two")
        await world.settle()
        assert (await theirs.unread(), await talk.unread()) == (2, 0)
        first = events_of(bob, Received, talk.topic)[0].offset
        await theirs.mark_read(first)
        assert (theirs.read_to, await theirs.unread()) == (first, 1)
        await theirs.mark_read(0)
        assert theirs.read_to == first  # never back
        await theirs.mark_read(10_000)
        assert theirs.read_to == theirs.record.cursor
        theirs.record.generation += 1  # the relay was restored: offsets mean something else now
        assert theirs.read_to == 0
        theirs.record.generation -= 1
        await theirs.mute(60_000)
        assert theirs.muted_until_ms == world.clock_ms() + 60_000
        await talk.send("three")
        await world.settle()
        assert [event.muted for event in events_of(bob, Received, talk.topic)] == [False, False, True]
        await world.settle(60)
        assert theirs.muted_until_ms == 0
        await theirs.mute()
        assert theirs.muted_until_ms == INT_MAX
        await theirs.unmute()
        assert theirs.muted_until_ms == 0
        await world.crash("bob")
        again = (await world.start("bob")).conversation(talk.topic)
        assert again.read_to == theirs.read_to


async def test_files_and_what_is_not_said(autojump_clock: object, tmp_path: Path) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        pair = await alice.pair(bob.account)
        plain = await talk.send("no file")
        await world.settle()
        with pytest.raises(FileError, match="no file"):
            await talk.find_file(plain)
        await alice.add_contact(bob.account, "bob")
        alice.engine.shelf.contacts[bob.account].changed = True
        for where in (talk, pair):
            with pytest.raises(KeysChanged, match="bob"):
                await where.send_file(tmp_path / "tea")
        alice.engine.shelf.contacts[bob.account].changed = False
        with pytest.raises(FileError):
            await pair.send_file(tmp_path / "tea")
        await alice.block(bob.account)
        with pytest.raises(NotActive, match="blocked"):
            await pair.send("hello")
        pair.typing()
        await talk.leave()
        await world.settle()
        with pytest.raises(NotActive, match="not in"):
            await talk.send_file(tmp_path / "tea")
