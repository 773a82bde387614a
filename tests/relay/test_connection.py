"""A connection from INFO to BYE, over the store in memory: logins, limits, bad input, vanishing in every state."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
import trio
import trio.testing

from protocol import frames as F
from protocol import identity
from protocol import limits as L
from protocol import requests as R
from protocol.codec import decode_struct
from protocol.errors import Close, Code
from protocol.transitions import State
from relay.delivery_service import DeliveryService
from relay.testing import small
from storage.base import StoreAway
from tests.support.lab import NOW_MS, FakeClient, Lab, open_lab, req, settle
from tests.support.people import Person, group, message

SMALL_ORDER = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")


# -- login ------------------------------------------------------------------------------------------------------------
async def test_the_relay_greets_first() -> None:
    async with open_lab() as lab:
        client = lab.open()
        (info,) = client.got(F.Info)
        assert (info.versions, info.cluster, info.flags) == ((1,), lab.relay.cluster, 0)
        assert NOW_MS <= info.now_ms <= lab.now_ms
        assert dict(info.limits)["message_bytes"] == L.MESSAGE_BYTES_MAX
        assert lab.open().got(F.Info)[0].nonce != info.nonce


async def test_from_registration_to_login() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        client = await lab.login(alice)
        result = decode_struct(client.got(F.Ok)[0].result, R.LoginResult)
        assert result == R.LoginResult(False, 0, 0, result.now_ms)
        assert NOW_MS <= result.now_ms <= lab.now_ms
        assert client.peer.is_decided
        assert (await client.err(F.Sub(0, (F.Subscription(b"T" * 32),)))).code == Code.UNAUTHENTICATED
        assert (await client.err(message(alice, b"T" * 32))).code == Code.UNAUTHENTICATED
        assert (await client.err(req("handles.claim", R.ClaimHandle("alice")))).code == Code.UNAUTHENTICATED
        await client.request("devices.publish", R.PublishList(alice.signed()), int)
        await client.request("keypackages.put", R.PutKeyPackages((b"one", b"two")), int)
        again = await lab.login(alice)
        result = decode_struct(again.got(F.Ok)[0].result, R.LoginResult)
        assert (result.registered, result.list_version, result.key_packages) == (True, 1, 2)


async def test_requests_behind_connect_wait_for_the_decision() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        a = await lab.register(alice)
        founding = group(alice)
        await a.ok(founding, F.PubResult)
        client = lab.open()
        client.send(alice.connect(client.got(F.Info)[0]), F.Sub(2, (F.Subscription(founding.topic, last=0),)))
        client.send(message(alice, founding.topic, rid=3))
        client.send(F.Ping(77))
        assert client.got(F.Pong) == [F.Pong(77)]
        await settle()
        assert [frame.rid for frame in client.got(F.Ok)][:1] == [1]
        assert {frame.rid for frame in client.got(F.Ok)} == {1, 2, 3}
        assert [frame.offset for frame in client.got(F.Msg)] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "code", "close"),
    [
        ({"signature": bytes(64)}, Code.UNAUTHENTICATED, Close.LOGIN_FAILED),
        ({"device": SMALL_ORDER}, Code.UNAUTHENTICATED, Close.LOGIN_FAILED),
        ({"account": SMALL_ORDER}, Code.UNAUTHENTICATED, Close.LOGIN_FAILED),
        ({"version": 99}, Code.UPGRADE, Close.VERSION),
    ],
)
async def test_refused_logins(changes: dict[str, object], code: Code, close: Close) -> None:
    async with open_lab() as lab:
        client = lab.open()
        client.send(lab.person("alice").connect(client.got(F.Info)[0], **changes), F.Sub(5, ()))  # type: ignore[arg-type]
        await settle()
        (err,) = client.got(F.Err)
        assert (err.rid, err.code, err.retry_ms) == (1, code, None)
        assert client.bye is not None
        assert (client.bye.code, client.bye.reconnect_ms) == (close, -1)
        assert client.peer.closed is not None
        assert client.peer.closed[0] == close
        assert lab.relay.counters.failed_logins == 1


async def test_a_revoked_device_is_told() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        await lab.register(alice)
        client = await lab.login(alice.second())
        assert client.bye is not None
        assert client.bye.code == Close.REVOKED


async def test_a_replayed_connect_is_worth_nothing() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        first = lab.open()
        recorded = alice.connect(first.got(F.Info)[0])
        second = lab.open()
        second.send(recorded)
        await settle()
        assert second.bye is not None
        assert second.bye.code == Close.LOGIN_FAILED
        first.send(recorded)
        await settle()
        first.send(recorded)  # the nonce of a connection serves once
        assert first.bye is not None
        assert first.bye.code == Close.PROTOCOL


async def test_a_store_that_is_away_refuses_the_login_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_lab() as lab:

        async def away(accounts: object) -> None:
            raise StoreAway("closed")

        monkeypatch.setattr(lab.store.accounts, "get", away)
        client = await lab.login(lab.person("alice"))
        (err,) = client.got(F.Err)
        assert err.code == Code.STORE_AWAY
        assert err.retry_ms
        assert client.bye is not None
        assert client.bye.reconnect_ms > 0


async def test_a_newer_login_ends_the_older_connection() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        first = await lab.register(alice)
        second = await lab.login(alice)
        assert first.bye is not None
        assert (first.bye.code, first.bye.reconnect_ms) == (Close.SUPERSEDED, -1)
        assert second.bye is None


async def test_a_login_overtaken_while_it_was_decided() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        first = await lab.register(alice)
        first.connection.login += 5
        late = await lab.login(alice)
        assert late.bye is not None
        assert late.bye.code == Close.SUPERSEDED
        assert first.bye is None


# -- limits -----------------------------------------------------------------------------------------------------------
async def test_ten_thousand_subscriptions() -> None:
    async with open_lab(small(requests_per_s=1000)) as lab:
        client = await lab.register(lab.person("alice"))
        for block in range(40):
            topics = tuple(F.Subscription((block * 256 + number).to_bytes(32, "big")) for number in range(256))
            results = await client.ok(F.Sub(0, topics), list[F.SubResult])
            assert {result.code for result in results} == {Code.NOT_FOUND}
        assert lab.relay.hubs.statistics().hubs == 0


async def test_publishes_are_bounded_by_rate(autojump_clock: trio.testing.MockClock) -> None:
    async with open_lab(small(publishes_per_s=5)) as lab:
        alice = lab.person("alice")
        client = await lab.register(alice)
        founding = group(alice)
        await client.ok(founding, F.PubResult)
        client.send(*(message(alice, founding.topic, rid=rid) for rid in range(1, 15)))
        await settle()
        refused = [err for err in client.got(F.Err) if err.code == Code.RATE]
        assert len(refused) == 5
        await trio.sleep((refused[0].retry_ms or 0) / 1000)
        await client.ok(message(alice, founding.topic), F.PubResult)


async def test_a_client_that_never_reads_is_bounded_and_slows_nobody() -> None:
    bound = 1 << 15
    async with open_lab(small(outbound_bytes_max=bound, publishes_per_s=100_000)) as lab:
        alice, bob, carol = lab.person("alice"), lab.person("bob"), lab.person("carol")
        a, b, c = await lab.register(alice), await lab.register(bob), await lab.register(carol)
        founding = group(alice, bob, carol)
        await a.ok(founding, F.PubResult)
        at_b, at_c = await b.subscribe(founding.topic), await c.subscribe(founding.topic)
        b.peer.is_stuck = True
        for _ in range(20):
            a.send(*(message(alice, founding.topic, bytes(1000)) for _ in range(20)))
            await settle()
        assert b.peer.buffered_bytes < bound + 70_000
        assert c.offsets(at_c.tid) == list(range(2, 402))
        b.peer.take()
        await settle()
        while len(b.offsets(at_b.tid)) < 400:
            await settle()
        assert b.offsets(at_b.tid) == list(range(2, 402))


async def test_answers_wait_for_a_client_that_does_not_read() -> None:
    async with open_lab(small(outbound_bytes_max=1 << 15)) as lab:
        client = await lab.register(lab.person("alice"))
        data = bytes(40_000)
        digest = hashlib.sha256(data).digest()
        await client.request("blobs.put", R.PutBlob(digest, data), type(None))
        client.peer.is_stuck = True
        client.send(*(req("blobs.get", R.GetBlob(digest), rid=rid) for rid in range(1, 11)))
        await settle()
        assert client.peer.buffered_bytes < 100_000
        while len(client.got(F.Ok)) < 12:
            client.peer.take(1)
            await settle()
        client.peer.take()
        await settle()
        assert {ok.rid for ok in client.got(F.Ok)} >= set(range(1, 11))


# -- the clock --------------------------------------------------------------------------------------------------------
async def turn(lab: Lab, seconds: int) -> None:
    """Let time pass as a node does."""
    for _ in range(seconds):
        await trio.sleep(1)
        lab.relay.wheel.turn(lab.relay.tick_ms())


async def test_no_login_in_time(autojump_clock: trio.testing.MockClock) -> None:
    async with open_lab() as lab:
        client = lab.open()
        await turn(lab, 8)
        assert client.got(F.Bye) == []
        await turn(lab, 5)
        assert client.bye is not None
        assert client.bye.code == Close.LOGIN_TIMEOUT


async def test_silence_is_asked_and_then_ended(autojump_clock: trio.testing.MockClock) -> None:
    async with open_lab() as lab:
        quiet, lively = await lab.register(lab.person("alice")), await lab.register(lab.person("bob"))
        for _ in range(8):
            await turn(lab, 10)
            lively.send(F.Pong(1))
        assert len(quiet.got(F.Ping)) == 1
        assert quiet.bye is not None
        assert quiet.bye.code == Close.PING
        assert lively.bye is None


async def test_slow_is_not_dead(autojump_clock: trio.testing.MockClock) -> None:
    async with open_lab() as lab:
        slow = await lab.register(lab.person("alice"))
        slow.peer.is_stuck = True
        slow.send(F.Ping(1))  # its PONG waits for the socket
        await turn(lab, 120)
        assert slow.got(F.Bye) == []
        slow.peer.take()
        await turn(lab, 12)
        assert (len(slow.got(F.Ping)), slow.got(F.Bye)) == (1, [])
        await turn(lab, 12)
        assert slow.bye is not None
        assert slow.bye.code == Close.PING


# -- vanishing --------------------------------------------------------------------------------------------------------
async def opened(lab: Lab, person: Person) -> FakeClient:
    """INFO was sent."""
    return lab.open()


async def deciding(lab: Lab, person: Person) -> FakeClient:
    """CONNECT was read, with a SUB behind it."""
    client = lab.open()
    client.send(person.connect(client.got(F.Info)[0]), F.Sub(2, (F.Subscription(b"T" * 32),)))
    return client


async def talking(lab: Lab, person: Person) -> FakeClient:
    """Subscribed, with a PUB and requests under way."""
    client = await lab.register(person)
    founding = group(person)
    await client.ok(founding, F.PubResult)
    await client.subscribe(founding.topic)
    client.send(message(person, founding.topic, rid=1), req("handles.get", R.GetHandle("bob"), rid=2), F.Sub(3, ()))
    return client


async def refused(lab: Lab, person: Person) -> FakeClient:
    """BYE was said."""
    return await lab.login(person, signature=bytes(64))


@pytest.mark.parametrize("state", [opened, deciding, talking, refused])
@pytest.mark.parametrize("ticks", [0, 1, 3, 50])
async def test_a_client_that_vanishes(state: Callable[[Lab, Person], object], ticks: int) -> None:
    async with open_lab() as lab:
        client = await state(lab, lab.person("alice"))  # type: ignore[misc]
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        client.close()
        await settle()
        assert len(lab.relay.registry) == 0
        assert lab.relay.hubs.statistics().subscriptions == 0
        assert lab.relay.pending.count == 0


async def test_goodbye_by_the_client() -> None:
    async with open_lab() as lab:
        client = await talking(lab, lab.person("alice"))
        client.send(F.Bye(0))
        assert client.peer.closed == (1000, "goodbye")
        await settle()
        assert client.bye is None
        client.connection.drain()
        assert client.bye is None


# -- draining, and a bug ----------------------------------------------------------------------------------------------
async def test_draining_refuses_new_work() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        client = await lab.register(alice)
        lab.relay.is_draining = True
        client.connection.announce()
        assert client.got(F.Info)[-1].flags == 1
        for frame in (message(alice, b"T" * 32), F.Sub(0, ()), req("handles.get", R.GetHandle("bob"))):
            err = await client.err(frame)
            assert (err.code, bool(err.retry_ms)) == (Code.DRAINING, True)
        client.connection.drain()
        assert client.bye is not None
        assert (client.bye.code, client.bye.reconnect_ms > 0) == (Close.RESTART, True)
        assert client.peer.closed is not None
        assert client.peer.closed[0] == 1012
        client.connection.announce()


async def test_a_bug_ends_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_lab() as lab:
        broken, fine = await lab.register(lab.person("alice")), await lab.register(lab.person("bob"))

        async def fail(self: object, client: object, request: F.Req) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(DeliveryService, "answer", fail)
            broken.send(req("handles.get", R.GetHandle("bob"), rid=1))
            await settle()
        assert broken.bye is not None
        assert broken.bye.code == Close.INTERNAL
        monkeypatch.setattr(type(fine.connection), "_receive", lambda self, data: 1 // 0)
        fine.send(F.Ping(1))
        assert fine.bye is not None
        assert lab.relay.counters.failures == 2
        lab.relay.counters.failures = 0


async def test_device_lists_of_others_end_the_revoked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        phone = alice.second()
        a = await lab.register(alice)
        both = alice.devices(2, phone.device)
        await a.request("devices.publish", R.PublishList(alice.signed(both)), int)
        assert a.got(F.Evt)[-1].name == "devices"
        p = await lab.login(phone)
        assert p.got(F.Bye) == []
        await a.request("devices.publish", R.PublishList(alice.signed(alice.devices(3))), int)
        assert p.bye is not None
        assert (p.bye.code, p.connection.session.state) == (Close.REVOKED, State.CLOSED)
        changed = decode_struct(a.got(F.Evt)[-1].payload, R.DevicesChanged)
        assert changed == R.DevicesChanged(alice.account, 3)
        assert identity.open_signed(alice.signed()).version == 1
