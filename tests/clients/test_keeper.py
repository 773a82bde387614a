"""Staying connected: logins, reconnects, what the relay says, and what is done in time."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from clients.connection import LinkDown
from clients.events import Disconnected, Stored
from clients.records import Status
from protocol import frames as F
from protocol.codec import encode_struct
from protocol.errors import Close, Code
from protocol.requests import DevicesChanged, KeyPackagesLow
from tests.support.clients import agree, events_of, group_of, open_world, texts


async def test_a_cut_is_mended_and_nothing_is_lost(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (_, bob), talk = await group_of(world, "alice", "bob")
        for number in range(4):
            world.cut("alice", late=number % 2 == 0)
            await talk.send(f"{number}")
            await world.settle(10)
        assert texts(bob, talk.topic) == ["0", "1", "2", "3"]


async def test_every_connect_has_a_higher_number(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        await world.people("alice")
        for _ in range(3):
            world.cut("alice")
            await world.settle(10)
        numbers = [frame.number for frame in world.heard("alice", F.Connect)]
        assert len(numbers) == 4
        assert numbers == sorted(set(numbers))
        assert numbers[0] > 0


async def test_a_number_that_the_relay_finds_too_low_is_raised(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        keeper = alice._keeper
        error = LinkDown("late", retry_ms=0, last_login=keeper._login + 10**9)
        keeper._login = max(keeper._login, error.last_login)
        world.cut("alice")
        await world.settle(10)
        assert world.heard("alice", F.Connect)[-1].number == error.last_login + 1


async def test_what_the_relay_says_of_coming_back(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        async with alice.notices() as notices:
            wire = world.wire("alice")
            assert wire is not None
            wire.send(F.Bye(Close.RESTART, "the relay restarts", 3000))
            await world.settle(1)
            notice = notices.receive_nowait()
        assert isinstance(notice, Disconnected)
        assert notice.retry_ms is not None
        assert 3000 <= notice.retry_ms <= 3000 + 2 * 100
        states = [alice.connected]
        await world.settle(5)
        assert [*states, alice.connected] == [False, True]


async def test_a_refusal_for_good_ends_it_and_the_client_lives_on(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        wire = world.wire("alice")
        assert wire is not None
        async with alice.notices() as notices:
            wire.send(F.Bye(Close.BANNED, "not here", -1))
            await world.settle(200)
            notice = notices.receive_nowait()
        assert isinstance(notice, Disconnected)
        assert notice.retry_ms is None
        assert not alice.connected
        await talk.send("kept for another day")
        await world.settle(60)
        assert texts(bob, talk.topic) == []
        assert alice.statistics().outbox.waiting == 1


async def test_back_off_grows_with_full_jitter_up_to_its_bound(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        waits = [[alice._keeper._wait_ms(LinkDown("x"), tries) for _ in range(50)] for tries in range(12)]
        assert all(0 <= wait <= min(100 << tries, 30_000) for tries, row in enumerate(waits) for wait in row)
        assert max(waits[11]) > max(waits[0])
        assert min(alice._keeper._wait_ms(LinkDown("x", retry_ms=500), 0) for _ in range(20)) >= 500


async def test_a_list_that_was_changed_is_looked_up(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (_, bob), _ = await group_of(world, "alice", "bob")
        before = len([frame for frame in world.heard("alice", F.Req) if frame.method == "devices.get"])
        wire = world.wire("alice")
        assert wire is not None
        wire.send(F.Evt("devices", msgspec.Raw(encode_struct(DevicesChanged(bob.account, 2)))))
        await world.settle()
        after = len([frame for frame in world.heard("alice", F.Req) if frame.method == "devices.get"])
        assert after == before + 1


async def test_key_packages_are_refilled_when_they_run_low(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        packages = set(alice.engine.shelf.packages)
        wire = world.wire("alice")
        assert wire is not None
        wire.send(F.Evt("keypackages.low", msgspec.Raw(encode_struct(KeyPackagesLow(0)))))
        await world.settle()
        assert set(alice.engine.shelf.packages) > packages


async def test_events_that_are_not_known_are_nothing(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        wire = world.wire("alice")
        assert wire is not None
        wire.send(F.Evt("something.newer"))
        await world.settle()
        assert alice.connected


@pytest.mark.parametrize("retry_ms", [400, None], ids=["for a while", "for good"])
async def test_a_refused_blob(retry_ms: int | None, autojump_clock: Callable[[], float]) -> None:
    """A founding whose tree is refused: later if for a while; its own answer decides if for good."""
    async with open_world() as world:
        alice, bob = await world.people("alice", "bob")
        real, refusals = world.relay._request, [F.Err(0, Code.QUOTA, "no room", retry_ms)]

        async def request(wire: object, frame: F.Req) -> None:
            if frame.method == "blobs.put" and refusals:
                refused = refusals.pop()
                next(w for w in world.relay.wires if w.owner == "alice" and not w.is_cut).send(
                    msgspec.structs.replace(refused, rid=frame.rid)
                )
                return
            await real(wire, frame)  # type: ignore[arg-type]

        world.relay._request = request  # type: ignore[method-assign]
        talk = await alice.pair(bob.account)
        await world.settle(30)
        if retry_ms is None:
            assert talk.status in (Status.ACTIVE, Status.REMOVED)
            assert world.heard("alice", F.Pub)
        else:
            assert agree(talk.topic, alice, bob)


async def test_a_rate_limit_is_waited_out_in_order(autojump_clock: Callable[[], float]) -> None:
    async with open_world() as world:
        (_, bob), talk = await group_of(world, "alice", "bob")
        count = 0

        def judge(wire: object, pub: F.Pub) -> F.Err | None:
            nonlocal count
            count += 1
            return F.Err(pub.rid, Code.RATE, "slower", 200) if count % 3 == 1 else None

        world.relay.judge = judge
        for number in range(10):
            await talk.send(f"{number}")
        await world.settle(60)
        assert texts(bob, talk.topic) == [f"{number}" for number in range(10)]
        assert len(events_of(world.clients["alice"], Stored, talk.topic)) == 10
