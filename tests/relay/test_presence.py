"""Who is here: told to those who share a conversation, together, and to nobody else."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from protocol import frames as F
from protocol import limits as L
from protocol import requests as R
from protocol.codec import decode_struct
from protocol.errors import Code
from relay import presence
from storage.base import StoreAway
from tests.support.lab import FakeClient, Lab, open_lab, req
from tests.support.people import Person, group, seed

PAUSE_S = L.PRESENCE_COALESCE_MS / 1000 + 0.1


async def people(lab: Lab, *names: str) -> tuple[list[Person], list[FakeClient]]:
    """Registered people in one group."""
    persons = [lab.person(name) for name in names]
    clients = [await lab.register(person) for person in persons]
    await clients[0].ok(group(*persons), F.PubResult)
    return persons, clients


async def watch(client: FakeClient, *accounts: bytes) -> list[tuple[int, int]]:
    """Watch; (state, seen) of each."""
    shown = await client.request("presence.watch", R.WatchPresence(accounts), list[R.PresenceOf])
    assert [item.account for item in shown] == list(accounts)
    return [(item.state, item.seen_ms) for item in shown]


async def say(client: FakeClient, state: int) -> None:
    """What others are told of this connection."""
    await client.request("presence.set", R.SetPresence(state), type(None))


def told(client: FakeClient) -> list[list[tuple[bytes, int, int]]]:
    """What each EVT said."""
    events = [evt for evt in client.got(F.Evt) if evt.name == "presence"]
    found = [decode_struct(evt.payload, R.PresenceChanged).accounts for evt in events]
    return [[(item.account, item.state, item.seen_ms) for item in items] for items in found]


async def test_who_watches_is_told_of_changes_together(autojump_clock: MockClock) -> None:
    async with open_lab() as lab:
        (_, ben, cleo), (a, b, c) = await people(lab, "ann", "ben", "cleo")
        await say(b, presence.AWAY)
        assert await watch(a, ben.account, cleo.account) == [(presence.AWAY, 0), (0, 0)]
        await say(c, presence.ONLINE)
        await say(b, presence.ONLINE)
        await say(b, presence.AWAY)  # as it was: nothing to tell
        await trio.sleep(PAUSE_S)
        assert told(a) == [[(cleo.account, presence.ONLINE, 0)]]
        assert told(b) == told(c) == []
        hour = lab.now_ms // L.PRESENCE_SEEN_MS * L.PRESENCE_SEEN_MS
        b.close()
        c.close()
        await trio.sleep(PAUSE_S)
        assert sorted(told(a)[1]) == sorted([(ben.account, 0, hour), (cleo.account, 0, hour)])
        assert await watch(a, ben.account) == [(0, hour)]
        numbers = lab.relay.presence.statistics()
        assert (numbers.shown, numbers.watches, numbers.waiting, numbers.told) == (0, 1, 0, 2)


async def test_a_reconnect_is_no_news(autojump_clock: MockClock) -> None:
    async with open_lab() as lab:
        (_, ben), (a, b) = await people(lab, "ann", "ben")
        await say(b, presence.ONLINE)
        await watch(a, ben.account)
        b.close()
        await say(await lab.login(ben), presence.ONLINE)
        await trio.sleep(PAUSE_S)
        assert told(a) == []


async def test_strangers_who_hides_and_who_never_was_look_the_same(autojump_clock: MockClock) -> None:
    async with open_lab() as lab:
        (_, ben, cleo), (a, b, c) = await people(lab, "ann", "ben", "cleo")
        dan = lab.person("dan")
        d = await lab.register(dan)
        for client in (b, c, d):
            await say(client, presence.ONLINE)
        second = ben.second()
        other = await lab.login(second, list_version=2)
        await other.request("devices.publish", R.PublishList(ben.signed(second.devices(2, ben.device))), int)
        await say(other, presence.HIDDEN)  # one device hides the account
        c.close()
        await say(await lab.login(cleo), presence.HIDDEN)
        shown = await watch(a, ben.account, cleo.account, dan.account, seed("nobody"))
        assert shown == [(0, 0)] * 4
        for client in (b, d):
            client.close()
        await trio.sleep(PAUSE_S)
        assert told(a) == []


async def test_a_large_conversation_acquaints_nobody(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(L, "PRESENCE_MEMBERS_MAX", 2)
    async with open_lab() as lab:
        (_, ben, _), (a, b, _) = await people(lab, "ann", "ben", "cleo")
        await say(b, presence.ONLINE)
        assert await watch(a, ben.account) == [(0, 0)]


async def test_watching_ends_and_is_bounded(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L, "PRESENCE_WATCHERS_MAX", 1)
    async with open_lab() as lab:
        (_, ben, cleo), (a, b, c) = await people(lab, "ann", "ben", "cleo")
        await say(b, presence.ONLINE)
        assert await watch(a, ben.account) == [(presence.ONLINE, 0)]
        assert await watch(c, ben.account) == [(0, 0)]  # one more than may be told
        assert lab.relay.presence.statistics().unwatched == 1
        assert await watch(a, cleo.account) == [(0, 0)]  # in place of those before
        assert await watch(c, ben.account) == [(presence.ONLINE, 0)]
        monkeypatch.setattr(L, "PRESENCE_WATCH_MS", -1)
        await watch(c, ben.account)
        await say(b, presence.AWAY)
        await trio.sleep(PAUSE_S)
        assert told(c) == []
        assert lab.relay.presence.statistics().watches == 1
        a.close()
        assert lab.relay.presence.statistics().watches == 0
        too_many = R.WatchPresence(tuple(seed(n) for n in range(L.PRESENCE_ACCOUNTS_MAX + 1)))
        assert (await b.err(req("presence.watch", too_many))).code == Code.FRAME
        assert (await b.err(req("presence.set", R.SetPresence(3)))).code == Code.FRAME


async def test_only_so_many_last_times_are_remembered(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(L, "PRESENCE_SEEN_MAX", 1)
    async with open_lab() as lab:
        (_, ben, cleo), (a, b, c) = await people(lab, "ann", "ben", "cleo")
        for client in (b, c):
            await say(client, presence.ONLINE)
            client.close()
        (first, _), (second, hour) = await watch(a, ben.account, cleo.account)
        assert (first, second) == (0, 0)
        assert (await watch(a, ben.account))[0] == (0, 0)
        assert hour > 0


async def test_a_connection_that_is_over_leaves_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_lab() as lab:
        (_, ben), (a, b) = await people(lab, "ann", "ben")
        await watch(a, ben.account)
        for client in (a, b):
            client.close()
        here = lab.relay.presence
        here.set(b.connection, presence.ONLINE)
        assert await here.watch(a.connection, [ben.account]) == []
        numbers = here.statistics()
        assert (numbers.shown, numbers.watches) == (0, 0)
        again = await lab.login(ben)

        async def away(*_: object) -> set[bytes]:
            raise StoreAway("the disk is full")

        monkeypatch.setattr(lab.store.topics, "acquainted", away)
        answer = await again.err(req("presence.watch", R.WatchPresence((ben.account,))))
        assert (answer.code, answer.retry_ms is not None) == (Code.STORE_AWAY, True)
