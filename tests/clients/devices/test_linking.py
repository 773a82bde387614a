"""Linking in a world without sockets: history whole, both devices live, and what becomes of it when one side stops."""

from __future__ import annotations

import msgspec
import pytest
import trio

from clients.connection import LinkDown
from clients.devices import linking, lists
from clients.devices.code import SECRET_BYTES, BadCode, LinkCode
from clients.devices.linking import LinkFailed, approve
from clients.devices.parcels import ADMISSION, Admission, inbox_place, leave
from clients.events import Missing, Received
from clients.records import Status
from tests.support.clients import events_of, group_of, open_world, said, texts
from tests.support.devices import device_of, leaves, link, new_device


async def test_a_second_device_gets_history_and_lives(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        pair = await bob.pair(alice.account)
        for number in range(4):
            await talk.send(f"old {number}")
            await pair.send(f"pair {number}")
        await world.settle()
        second = await link(world, alice, "second")
        assert second.account == alice.account
        for topic in (talk.topic, pair.topic):
            assert second.conversation(topic).status == Status.ACTIVE
            assert said(second, topic) == said(alice, topic)
            assert leaves(bob, topic) == {device_of(alice), device_of(bob), device_of(second)}
        assert not events_of(second, Missing)
        await second.conversation(talk.topic).send("from the second")
        await pair.send("to both")
        await world.settle()
        assert texts(alice, talk.topic)[-1] == texts(bob, talk.topic)[-1] == "from the second"
        assert texts(second, pair.topic)[-1] == texts(alice, pair.topic)[-1] == "to both"
        assert alice.own_devices == second.own_devices
        assert not second.engine.care.lacking(device_of(alice))


async def test_what_was_said_while_linking_is_told_once(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        new = new_device(world, "second")
        theirs = bob.conversation(talk.topic)

        async def chatter() -> None:
            for number in range(60):
                await theirs.send(f"chatter {number}")
                await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(chatter)
            nursery.start_soon(approve, alice, new.code.text())
            assert await new.link()
        second = await world.start("second")
        await world.settle(5)
        known = [event.offset for event in events_of(second, Received, talk.topic)]
        assert len(known) == len(set(known))
        lost = sum(event.count for event in events_of(second, Missing))
        assert len(known) + lost == len(texts(alice, talk.topic))  # nothing is missing silently


async def test_codes_and_vaults_that_do_not_fit(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        with pytest.raises(BadCode):
            await approve(alice, "chappe-link:AAAA")
        with pytest.raises(LinkFailed, match="another --data"):
            new_device(world, "alice")
        one = new_device(world, "second").code
        assert new_device(world, "second").code == one  # started again: the same code
        alice.engine.shelf.identity.root_seed = None
        with pytest.raises(lists.CannotSign):
            await approve(alice, one.text())


async def test_nobody_approves(autojump_clock: object) -> None:
    async with open_world() as world:
        with pytest.raises(LinkFailed, match="took too long"):
            await new_device(world, "second").link()
        world.reachable = False
        with pytest.raises(LinkFailed, match="nobody listens"):
            await new_device(world, "second").link()


async def test_a_relay_that_does_not_want_the_device(autojump_clock: object, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world() as world:

        def refuse(*args: object) -> object:
            raise LinkDown("banned", final=True)

        monkeypatch.setattr(linking, "open_bare", refuse)
        with pytest.raises(LinkFailed, match="banned"):
            await new_device(world, "second").link()


async def test_a_new_device_that_never_logs_in_is_let_in_later(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice, _), talk = await group_of(world, "alice", "bob")
        code = new_device(world, "second").code
        with pytest.raises(LinkFailed, match="did not log in"):
            await approve(alice, code.text())
        assert alice.own_devices.device(code.device) is not None
        assert alice.engine.care.lacking(code.device) == [talk.topic]


async def test_an_admission_by_somebody_who_has_not_read_the_code(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        shelf, peer = alice.engine.shelf, await alice.wait_connected()
        for name in ("another secret", "a list without it"):
            new = new_device(world, name)
            secret = new.code.secret if name != "another secret" else bytes(SECRET_BYTES)
            parcel = Admission(secret, shelf.identity.signed_list, inbox_place(shelf.inbox))
            await leave(
                peer, new.code, ADMISSION, parcel, account=shelf.account, sender=shelf.device, entropy=shelf.entropy
            )
            with pytest.raises(LinkFailed):
                await new.link()


async def test_an_admission_with_a_list_that_nobody_signed(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        new, shelf = new_device(world, "second"), alice.engine.shelf
        parcel = Admission(new.code.secret, b"\x90", inbox_place(shelf.inbox))
        await leave(
            await alice.wait_connected(), new.code, ADMISSION, parcel, account=shelf.account, sender=shelf.device,
            entropy=shelf.entropy,
        )  # fmt: skip
        with pytest.raises(LinkFailed, match="not good"):
            await new.link()


async def test_a_past_that_does_not_come_or_is_too_large(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        await talk.send("before")
        monkeypatch.setattr(linking, "HASHES_MAX", 0)
        new = new_device(world, "second")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(approve, alice, new.code.text())
            assert not await new.link()
        second = await world.start("second")
        await world.settle(5)
        await bob.conversation(talk.topic).send("after")
        await world.settle()
        assert texts(second, talk.topic) == ["after"]
        monkeypatch.undo()


async def test_the_state_of_a_linking_names_its_code() -> None:
    state = linking.Linking(b"d" * 32, b"i" * 32, b"s" * 16)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=linking.Linking)
    assert again.code() == state.code()
    assert LinkCode.read(state.code().text()).secret == state.secret
