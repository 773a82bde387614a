"""Who is here, as a client tells and hears it."""

from __future__ import annotations

import msgspec
import pytest
from trio.testing import MockClock

from clients import presence
from clients.presence import UNKNOWN, Seen, State
from protocol.codec import encode_struct
from protocol.errors import Code
from protocol.frames import Evt, Req
from protocol.requests import PresenceChanged, PresenceOf
from storage.base import Refused
from tests.support import relay_model
from tests.support.clients import World, open_world


def asked(world: World, name: str) -> list[str]:
    """Requests about presence that the relay has heard."""
    return [req.method for req in world.heard(name, Req) if req.method.startswith("presence.")]


async def test_nothing_is_told_or_asked_unless_it_is_wanted(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        ann, ben = await world.people("ann", "ben")
        await ann.pair(ben.account)
        await world.settle(2000)
        assert asked(world, "ann") == []
        assert ann.presence.of(ben.account) == UNKNOWN


async def test_others_are_watched_as_long_as_there_is_a_connection(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        ann, ben, cleo = await world.people("ann", "ben", "cleo")
        await ann.group([ben.account, cleo.account], "friends")
        await world.settle()
        changed = ann.presence.changed
        ann.presence.say(State.AWAY)
        ann.presence.follow()
        await world.settle()
        assert changed.is_set()
        assert asked(world, "ann")[-2:] == ["presence.set", "presence.watch"]
        assert ann.presence.of(ben.account) == ann.presence.of(cleo.account) == Seen(State.ONLINE, 0)
        assert ann.presence.of(ann.account) == UNKNOWN
        ann.presence.heard(PresenceChanged((PresenceOf(ben.account, 0, 7), PresenceOf(cleo.account, 9, 0))))
        assert ann.presence.of(ben.account) == Seen(State.HIDDEN, 7)
        assert ann.presence.of(cleo.account) == UNKNOWN  # a state of a later version
        before = len(asked(world, "ann"))
        await world.settle(presence.RENEW_S + 1)
        assert len(asked(world, "ann")) == before + 2
        world.reachable = False
        world.cut("ann")
        await world.settle()
        assert ann.presence.of(ben.account) == UNKNOWN


async def test_an_event_of_the_relay_is_heard(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        ann, ben = await world.people("ann", "ben")
        payload = PresenceChanged((PresenceOf(ben.account, 2, 0),))
        ann.engine.frame(Evt("presence", msgspec.Raw(encode_struct(payload))))
        assert ann.presence.of(ben.account).state is State.AWAY


async def test_a_refusal_is_asked_again(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world() as world:
        (ann,) = await world.people("ann")
        answers: list[object] = [Refused(Code.STORE_AWAY, "the store is away", retry_ms=1000), None]

        async def answer(*_: object) -> object:
            return answers.pop(0)

        monkeypatch.setitem(relay_model._METHODS, "presence.set", answer)
        ann.presence.say(State.ONLINE)
        await world.settle(presence.RETRY_S + 2)
        assert len(asked(world, "ann")) == 2
        assert answers == []
