"""Verbs about oneself: what they do, and the lines that they show."""

from __future__ import annotations

import itertools

import pytest
import trio

from clients.cli.gaming import Gaming
from clients.cli.lines import Lines
from clients.cli.money import Money
from clients.cli.personal import HELP, Personal
from clients.cli.posting import Posting
from clients.cli.room import NotFound, Room
from clients.client import Client
from clients.devices.code import read_recovery
from clients.records import Status
from tests.support.clients import open_world
from tests.support.devices import device_of, link, new_device


def verbs_of(client: Client, told: list[str] | None = None) -> Personal:
    return Personal(Room(client), ([] if told is None else told).append)


async def test_no_verb_has_two_meanings(autojump_clock: object) -> None:
    async with open_world() as world, trio.open_nursery() as nursery:
        (alice,) = await world.people("alice")
        room = Room(alice)
        own = [set(Money(room).verbs), set(Posting(room).verbs), set(Gaming(room).verbs)]
        faces = [*own, set(Lines(alice, nursery)._verbs)]
        assert [one & other for one, other in itertools.combinations(faces, 2) if one & other] == []
        assert set().union(*own) < set(verbs_of(alice).verbs)


async def test_devices_are_linked_listed_and_revoked(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        told: list[str] = []
        verbs = verbs_of(alice, told).verbs
        new = new_device(world, "second")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(new.link)
            (line,) = await verbs["link"]([new.code.text()])
        assert line == f"device {new.code.device.hex()[:8]} is one of yours now"
        assert told[-1] == "done"
        listed = await verbs["devices"]([])
        assert len(listed) == 3
        assert "this one, holds the root key" in listed[1]
        for wrong in ("", "abc", "zzzzzz"):
            with pytest.raises(NotFound):
                await verbs["revoke"]([wrong])
        (line,) = await verbs["revoke"]([new.code.device.hex()[:8]])
        assert "off your list (version 3)" in line


async def test_requests_are_shown_accepted_and_blocked(autojump_clock: object) -> None:
    async with open_world() as world:
        alice, eve, bob = await world.people("alice", "eve", "bob")
        alice.engine.contacts.holds_requests = True
        verbs = verbs_of(alice).verbs
        assert await verbs["requests"]([]) == ["no requests"]
        for person in (eve, bob):
            await (await person.pair(alice.account)).send("hello")
        await world.settle()
        assert len(await verbs["requests"]([])) == 2
        with pytest.raises(NotFound, match="2 requests"):
            await verbs["accept"]([])
        name = bob.account.hex()[:8]
        assert await verbs["accept"]([name]) == [f"{name} is let in"]
        (line,) = await verbs["block"]([eve.account.hex()[:8]])
        assert line.endswith("your open invitations have ended")
        assert eve.account in alice.engine.shelf.blocked
        await alice.add_contact(bob.account, "bob")
        await verbs["block"](["bob"])
        with pytest.raises(NotFound):
            await verbs["block"](["nobody"])


async def test_an_invitation_is_added_like_a_name(autojump_clock: object) -> None:
    async with open_world() as world:
        alice, bob = await world.people("alice", "bob")
        alice.engine.contacts.holds_requests = True
        (text,) = await verbs_of(alice).verbs["invite-link"]([])
        await world.settle()
        account, _ = await Room(bob).add(text)
        assert account == alice.account
        talk = await bob.pair(account)
        await world.settle()
        assert alice.conversation(talk.topic).status == Status.ACTIVE


async def test_recovery_and_trust(autojump_clock: object) -> None:
    async with open_world() as world:
        alice, bob = await world.people("alice", "bob")
        verbs = verbs_of(alice).verbs
        _, code = await verbs["recovery"]([])
        assert len(read_recovery(code)) == 16
        contact = await alice.add_contact(bob.account, "bob", verified=True)
        contact.verified, contact.changed = False, True
        await verbs["trust"](["bob"])
        assert not alice.engine.shelf.contacts[bob.account].changed


async def test_every_verb_has_its_line_of_help(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        second = await link(world, alice, "second")
        assert device_of(second) != device_of(alice)
        assert all(f"/{verb}[/]" in HELP for verb in verbs_of(alice).verbs)
