"""Giving an account up: others see us leave, every device is cut off, and what refuses is said."""

from __future__ import annotations

import pytest
import trio

from clients.connection import LinkDown
from clients.devices import farewell
from clients.devices.farewell import Farewell, NotDeleted, empty_list, give_up, leave_all
from clients.records import Status
from protocol.errors import Code
from protocol.frames import Err, Flag, Pub
from protocol.identity import verify_list
from storage.base import Refused
from tests.support.clients import group_of, open_world
from tests.support.devices import leaves, link


async def test_an_account_is_given_up_with_all_its_devices(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        pair = await alice.pair(bob.account)
        await pair.send("hello")
        second = await link(world, alice, "second")
        assert await leave_all(second) == Farewell(2, 0)  # the self topic is not left
        await give_up(second)  # by a device without the root key
        await world.settle(5)
        await bob.engine.directory.fetch(await bob.wait_connected(), [alice.account])
        assert not bob.engine.shelf.lists[alice.account].devices
        for topic in (talk.topic, pair.topic):
            assert bob.conversation(topic).members.keys() == {bob.account}
            assert len(leaves(bob, topic)) == 1
        assert talk.status == Status.LEFT


async def test_the_root_may_sign_it_too(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        known = alice.own_devices
        empty = verify_list(empty_list(alice.engine.shelf), known)
        assert not empty.devices
        assert empty.version == known.version + 1


async def test_what_cannot_be_left_in_time_is_counted(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice, _bob), _talk = await group_of(world, "alice", "bob")

        def refuse(wire: object, pub: Pub) -> Err | None:
            return Err(pub.rid, Code.STORE_AWAY, "busy", 1000) if pub.flags & Flag.ACCESS else None

        world.relay.judge = refuse
        began = trio.current_time()
        assert await leave_all(alice) == Farewell(0, 1)
        assert trio.current_time() - began == pytest.approx(farewell.LEAVE_S)


async def test_a_relay_that_does_not_do_it(autojump_clock: object, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        world.relay.answer["devices.publish"] = lambda wire, params: Refused(Code.FORBIDDEN, "not today")
        with pytest.raises(NotDeleted, match="not today"):
            await give_up(alice)
        link_ = await alice.wait_connected()

        async def lost(*args: object) -> None:
            await trio.lowlevel.checkpoint()
            raise LinkDown("cut")

        monkeypatch.setattr(link_, "ask", lost)
        with pytest.raises(NotDeleted, match="did not say"):
            await give_up(alice)
