"""Staying connected: when it comes back, when it gives up, and what it does in time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from clients.client import Client
from clients.events import Connected, Disconnected, Failed, KeyChanged
from clients.keeper import SUPERSEDED_AGAIN_S, Keeper
from clients.records import Status
from protocol import limits as L
from protocol.codec import encode_struct
from protocol.errors import Close, Code
from protocol.frames import AnyFrame, Bye, Connect, Evt, Frame, Msg, Ok, Pub, Req
from protocol.identity import SigningKey, open_signed, sign_list
from protocol.messages.key import Failed as KeyFailed
from protocol.requests import DevicesChanged, KeyPackagesLow
from storage.base import Refused
from tests.support.clients import World, agree, events_of, group_of, honest, open_world, say, talk_of, texts
from tests.support.relay_model import Wire


def losses(world: World, name: str) -> list[Disconnected]:
    return [notice for notice in world.notices[name] if isinstance(notice, Disconnected)]


def logins(world: World, name: str) -> int:
    return len([notice for notice in world.notices[name] if isinstance(notice, Connected)])


def keeper_of(client: Client) -> Keeper:
    return client._keeper


# -- coming back -------------------------------------------------------------------------------------------------------
async def test_a_broken_connection_is_made_anew(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        await world.settle(10)
        world.cut("anna", 1006, "the cable was cut")
        await world.settle()
        (lost,) = losses(world, "anna")
        assert lost.reason == "the cable was cut"
        assert lost.retry_ms is not None
        assert lost.retry_ms <= L.RECONNECT_MS_MIN  # it had lasted: back-off starts over
        assert logins(world, "anna") == 2
        assert anna.connected


async def test_back_off_doubles_up_to_its_bound_with_full_jitter(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        world.reachable = False
        world.cut("anna")
        await world.settle(600)
        waits = [lost.retry_ms or 0 for lost in losses(world, "anna")]
        bounds = [min(L.RECONNECT_MS_MAX, L.RECONNECT_MS_MIN << min(n, 10)) for n in range(1, len(waits) + 1)]
        assert all(0 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
        assert len({wait * 1000 // bound for wait, bound in zip(waits, bounds, strict=True)}) > len(waits) // 2
        assert max(waits) > L.RECONNECT_MS_MAX // 2
        assert "nobody listens" in losses(world, "anna")[-1].reason
        assert not anna.connected
        world.reachable = True
        await world.settle(31)
        assert anna.connected


async def test_the_relay_names_the_time(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        wire = world.wire("anna")
        assert wire is not None
        begin = trio.current_time()
        wire.send(Bye(Close.RESTART, "the relay restarts", 7000))
        await anna.engine.shelf.journal.flushed()
        await wait_all_tasks_blocked()
        await keeper_of(anna).link_changed.wait()
        assert trio.current_time() - begin >= 7
        assert losses(world, "anna")[-1].reason == "the relay restarts"


async def test_a_refusal_for_good_ends_it(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        wire = world.wire("anna")
        assert wire is not None
        wire.send(Bye(Close.REVOKED, "this device was revoked", -1))
        await world.settle(3600)
        assert losses(world, "anna")[-1].retry_ms is None
        assert not anna.connected
        assert logins(world, "anna") == 1
        await say(talk, "into the vault")  # the client goes on without a connection
        assert len(anna.engine.shelf.outgoing) == 1
        assert ben.connected


async def test_a_late_login_of_our_own_does_not_end_it(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        for wait_s in (SUPERSEDED_AGAIN_S + 1, 5):
            await world.settle(wait_s)
            wire = world.wire("anna")
            assert wire is not None
            wire.send(Bye(Close.SUPERSEDED, "logged in again elsewhere", -1))
            await world.settle(5)
            assert anna.connected == (wait_s > SUPERSEDED_AGAIN_S)  # the second time it was somebody else
        assert losses(world, "anna")[-1].retry_ms is None


async def test_a_relay_that_breaks_order_for_ever_is_not_hammered(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        _, talk = await group_of(world, "anna", "ben")

        def hole(wire: Wire, frame: AnyFrame) -> tuple[AnyFrame, ...]:
            return () if wire.owner == "ben" and isinstance(frame, Msg) and frame.offset == 2 else (frame,)

        world.relay.tamper = hole
        await say(talk, "lost", "found")
        await world.settle(60)
        assert len(losses(world, "ben")) < 20
        assert losses(world, "ben")[-1].reason == "the relay broke the order of a conversation"
        world.relay.tamper = honest
        await world.settle(60)
        assert texts(world.clients["ben"], talk.topic) == ["lost", "found"]


async def test_a_relay_that_breaks_the_protocol_costs_a_connection(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        for message in (b"\xc1", "text", encode_struct(Evt("devices", msgspec.Raw(b"\x01")))):
            wire = world.wire("ben")
            assert wire is not None
            wire.arrive(message)
            await world.settle(10)
            assert ben.connected
            assert world.wire("ben") is not wire
        await say(talk, "hello")
        await world.settle()
        assert texts(ben, talk.topic) == ["hello"]


# -- logging in --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("message", [b"\xc1", "text", None, encode_struct(Ok(1, msgspec.Raw(b"\x01")))])
async def test_a_login_that_goes_wrong_is_tried_again(message: bytes | str | None, autojump_clock: MockClock) -> None:
    """The relay answers with nonsense, or not at all."""
    async with open_world() as world:
        tries: list[Wire] = []

        def mute(wire: Wire, frame: AnyFrame) -> tuple[AnyFrame, ...]:
            if len(tries) >= 3 or not isinstance(frame, Ok):
                return (frame,)
            tries.append(wire)
            if message is not None:
                wire.arrive(message)
            return ()

        world.relay.tamper = mute
        anna = await world.start("anna")
        await world.settle(60)
        assert anna.connected
        assert len(losses(world, "anna")) == 3
        if message is None:
            assert "did not answer the login" in losses(world, "anna")[0].reason


async def test_a_registration_that_is_refused_for_a_while(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        answers: list[Any] = [Refused(Code.STORE_AWAY, "away", retry_ms=2000), "nonsense"]

        def publish(wire: Wire, params: Any) -> Any:
            answer = answers.pop(0)
            if not answers:
                del world.relay.answer["devices.publish"]
            return answer

        world.relay.answer["devices.publish"] = publish
        anna = await world.start("anna")
        await world.settle(60)
        assert anna.connected
        reasons = [lost.reason for lost in losses(world, "anna")]
        assert "does not register this account: away" in reasons[0]
        assert "broke the protocol" in reasons[1]
        assert losses(world, "anna")[0].retry_ms is not None


async def test_a_registration_that_is_refused_for_good(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        world.relay.answer["devices.publish"] = lambda wire, params: Refused(Code.FORBIDDEN, "invited people only")
        anna = await world.start("anna")
        await world.settle(60)
        (lost,) = losses(world, "anna")
        assert lost.retry_ms is None
        assert "invited people only" in lost.reason
        assert not anna.connected


async def test_the_relay_learns_our_list_version(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await world.people("anna")
        (connect,) = [frame for who, frame in world.relay.heard if who == "anna" and hasattr(frame, "list_version")]
        assert connect.list_version == 1


async def test_every_connect_has_a_higher_number(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        for _ in range(3):
            world.cut("anna")
            await world.settle(10)
        numbers = [frame.number for frame in world.heard("anna", Connect)]
        assert len(numbers) == 4
        assert numbers == sorted(set(numbers))
        assert numbers[0] > 0
        keeper_of(anna)._login += 10**9  # as the relay says when it knows a higher one
        world.cut("anna")
        await world.settle(10)
        assert world.heard("anna", Connect)[-1].number == keeper_of(anna)._login > 10**9


# -- what is done in time ----------------------------------------------------------------------------------------------
async def test_a_timer_rings_once_at_the_earliest_time(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        rung: list[tuple[bytes, float]] = []
        begin = trio.current_time()
        timer = keeper_of(anna)._timer
        for delay_ms in (500, 900, 200, 300):
            timer("test", b"a", delay_ms, lambda topic: rung.append((topic, trio.current_time() - begin)))
        timer("test", b"b", -5, lambda topic: rung.append((topic, 0.0)))
        await world.settle(5)
        assert rung == [(b"b", 0.0), (b"a", pytest.approx(0.2))]


async def test_without_a_nursery_nothing_is_promised(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        idle = Keeper("ws://nowhere", anna.engine, lambda notice: None)
        idle._timer("test", b"a", 0, lambda topic: pytest.fail("it rang"))
        idle._later(0, lambda: pytest.fail("it rang"))
        idle._judge_soon(b"a")
        idle._event(Evt("devices"))
        idle._restart()
        await world.settle()
        assert idle._timers == {}


async def test_packages_are_refilled_once_however_often_they_run_low(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna,) = await world.people("anna")
        wire = world.wire("anna")
        assert wire is not None
        before = len([req for req in world.heard("anna", Req) if req.method == "keypackages.put"])
        for left in (3, 2, 1):
            wire.send(Evt("keypackages.low", msgspec.Raw(encode_struct(KeyPackagesLow(left)))))
        await world.settle()
        puts = [req for req in world.heard("anna", Req) if req.method == "keypackages.put"]
        assert len(puts) == before + 1
        assert anna.connected


async def test_a_changed_list_is_fetched_and_its_devices_judged(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        root = ben.engine.shelf.identity.root_seed
        assert root is not None
        devices = open_signed(ben.engine.shelf.identity.signed_list)
        emptied = sign_list(msgspec.structs.replace(devices, version=2, devices=()), SigningKey(root))
        world.relay.answer["devices.get"] = lambda wire, params: [emptied for _ in params.accounts]
        wire = world.wire("anna")
        assert wire is not None
        wire.send(Evt("devices", msgspec.Raw(encode_struct(DevicesChanged(ben.account, 2)))))
        await world.settle()
        assert [event.text for event in events_of(anna, KeyChanged)] == [
            "devices changed (version 2)", "this device is not on its account's list",
        ]  # fmt: skip
        world.relay.answer["devices.get"] = lambda wire, params: Refused(Code.RATE, "slow down", retry_ms=10)
        wire.send(Evt("devices", msgspec.Raw(encode_struct(DevicesChanged(ben.account, 3)))))
        await keeper_of(anna)._judge(talk.topic)
        await world.settle()
        assert anna.connected
        world.reachable = False
        world.cut("anna")
        await world.settle()
        await keeper_of(anna)._learn(ben.account)
        await keeper_of(anna)._judge(talk.topic)


async def test_an_inbox_that_is_answered_with_nonsense(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben), talk = await group_of(world, "anna", "ben")
        world.relay.answer["devices.get"] = lambda wire, params: 7
        (message_id,) = await say(talk, "hello")
        report = KeyFailed(topic=talk.topic, id=message_id, offset=2)
        ben.engine.send_box(anna.account, anna.engine.shelf.device.public, report)
        anna.engine.shelf.lists.pop(ben.account)
        await world.settle(2)
        assert anna.engine.shelf.boxes
        assert "broke the protocol" in losses(world, "anna")[-1].reason
        del world.relay.answer["devices.get"]
        await world.settle(60)
        assert not anna.engine.shelf.boxes
        assert agree(talk.topic, anna, ben)


# -- blobs of commits --------------------------------------------------------------------------------------------------
async def test_a_tree_goes_up_before_its_commit(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        await anna.pair(ben.account)
        await world.settle()
        order = [
            frame.method if isinstance(frame, Req) else "PUB"
            for frame in world.heard("anna", Frame)
            if isinstance(frame, Pub) or (isinstance(frame, Req) and frame.method == "blobs.put")
        ]
        assert order == ["blobs.put", "PUB"]


async def test_a_tree_that_is_refused(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")
        answers: list[Any] = [
            Refused(Code.STORE_AWAY, "away", retry_ms=200), "nonsense", Refused(Code.TOO_LARGE, "too large")
        ]  # fmt: skip
        world.relay.answer["blobs.put"] = lambda wire, params: answers.pop(0)
        talk = await anna.pair(ben.account)
        await world.settle(30)
        assert answers == []
        assert [event.code for event in events_of(anna, Failed)] == [Code.NOT_FOUND]  # the commit's own answer counts
        assert talk.status is Status.REMOVED
        del world.relay.answer["blobs.put"]
        await anna.pair(ben.account)
        await world.settle()
        assert agree(talk.topic, anna, ben)


async def test_a_connection_that_breaks_while_a_tree_goes_up(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        anna, ben = await world.people("anna", "ben")

        def cut(wire: Wire, params: Any) -> Any:
            world.cut("anna")
            del world.relay.answer["blobs.put"]

        world.relay.answer["blobs.put"] = cut
        talk = await anna.pair(ben.account)
        await world.settle(5)
        assert agree(talk.topic, anna, ben)
        assert talk_of(ben, talk).status is Status.ACTIVE


async def test_reading_waits_for_a_slow_disk(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.keeper.PENDING_WRITES_MAX", 5)
    async with open_world() as world:
        (_, ben), talk = await group_of(world, "anna", "ben")
        world.vaults["ben"].hold()
        await say(talk, *(str(n) for n in range(60)))
        await world.settle()
        wire = world.wire("ben")
        assert wire is not None
        assert len(wire._arrived) > 40  # not taken from the socket
        world.vaults["ben"].release()
        await world.settle()
        assert len(texts(ben, talk.topic)) == 60
