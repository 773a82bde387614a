"""Care: what a group lacks by the lists, whose turn it is, and that everybody ends where the lists want it."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from clients.care import Duty, duty
from clients.devices.revoking import revoke
from clients.events import Received
from protocol.errors import Code
from protocol.frames import Err, Pub
from protocol.identity import DeviceList
from protocol.mls import Member
from tests.support.clients import events_of, group_of, open_world, texts
from tests.support.devices import device_of, leaves, link

ME, BOB = b"m" * 32, b"b" * 32


def member(leaf: int, account: bytes, device: bytes) -> Member:
    return cast("Member", SimpleNamespace(leaf=leaf, identity=account + device))


def listed(**accounts: list[bytes]) -> Any:
    names: Mapping[str, bytes] = {"me": ME, "bob": BOB}
    lists = {
        names[name]: cast("DeviceList", SimpleNamespace(
            devices=tuple(SimpleNamespace(key=key) for key in keys),
            device=lambda key, keys=keys: key if key in keys else None,
        ))
        for name, keys in accounts.items()
    }  # fmt: skip
    return lists.get


D = [bytes([n]) * 32 for n in range(6)]


@pytest.mark.parametrize(
    ("members", "leaf", "lists", "wanted"),
    [
        ([(0, ME, D[0]), (1, BOB, D[1])], 0, {"me": [D[0]], "bob": [D[1]]}, Duty()),
        ([(0, ME, D[0]), (1, BOB, D[1])], 0, {"me": [D[0]]}, Duty()),
        ([(0, BOB, D[1]), (1, ME, D[0])], 1, {"me": [D[0], D[2]]}, Duty((D[2],))),
        ([(0, ME, D[3]), (1, ME, D[0])], 1, {"me": [D[0], D[2], D[3]]}, Duty((D[2],), rank=1)),
        ([(0, ME, D[0]), (1, BOB, D[1]), (2, BOB, D[2])], 0, {"bob": [D[2]]}, Duty((), ((BOB, D[1]),), (), 1)),
        ([(0, ME, D[0]), (1, BOB, D[1])], 0, {"bob": []}, Duty((), (), (BOB,))),
        ([(0, ME, D[0]), (1, BOB, D[1])], 0, {"bob": [D[2]]}, Duty()),  # recovered: it will ask to be let in
        ([(0, ME, D[0]), (1, BOB, D[1]), (2, BOB, D[2])], 0, {"me": [D[3]], "bob": [D[2]]}, Duty()),
    ],
)
def test_duties_follow_from_members_and_lists(
    members: list[tuple[int, bytes, bytes]], leaf: int, lists: dict[str, list[bytes]], wanted: Duty
) -> None:
    found = duty(tuple(member(*m) for m in members), leaf, ME, listed(**lists))
    assert found == wanted
    assert bool(found) == bool(wanted.missing or wanted.drop or wanted.remove)


async def test_a_revoked_device_is_out_and_hears_nothing(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        second = await link(world, alice, "second")
        gone = device_of(second)
        world.cut("second")
        world._scopes["second"].cancel()
        assert await revoke(alice, gone) == 3
        await world.settle(5)
        assert gone not in leaves(alice, talk.topic) | leaves(bob, talk.topic)
        await bob.conversation(talk.topic).send("without the second")
        await world.settle()
        assert texts(alice, talk.topic) == ["without the second"]
        assert [event.content for event in events_of(second, Received)] == []


async def test_a_member_who_was_away_puts_a_revoked_device_out(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        second = await link(world, alice, "second")
        gone = device_of(second)
        for name in ("second", "bob"):
            await world.crash(name)

        def refuse(wire: object, pub: Pub) -> Err | None:
            return Err(pub.rid, Code.FORBIDDEN, "not now") if pub.topic == talk.topic else None

        world.relay.judge = refuse  # alice gets her list through, and then no commit
        await revoke(alice, gone)
        await world.settle(1)
        await world.crash("alice")
        world.relay.judge = lambda wire, pub: None
        bob = await world.start("bob")
        await world.settle(20)
        assert gone not in leaves(bob, talk.topic)


async def test_a_device_without_key_packages_is_tried_again(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        world.relay.answer["keypackages.claim"] = lambda wire, params: []
        second_task = await _link_quietly(world, alice)
        assert alice.engine.care.lacking(second_task) == [talk.topic]
        assert alice.engine.care.is_busy
        del world.relay.answer["keypackages.claim"]
        await world.settle(60)
        assert second_task in leaves(bob, talk.topic)


async def _link_quietly(world: Any, alice: Any) -> bytes:
    client = await link(world, alice, "second")
    return device_of(client)


async def test_a_device_lists_request_that_fails_is_made_again(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        second = await link(world, alice, "second")
        await world.crash("bob")
        lie = world.relay.answer
        lie["devices.get"] = lambda wire, params: "not a list"
        bob = await world.start("bob")
        await world.settle()
        del lie["devices.get"]
        await revoke(alice, device_of(second))
        await world.settle(40)
        assert device_of(second) not in leaves(bob, talk.topic)
