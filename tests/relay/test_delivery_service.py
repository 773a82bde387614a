"""The directory half of the relay, method by method, over the store in memory."""

from __future__ import annotations

import hashlib
from types import NoneType

import msgspec
import pytest
import trio
import trio.testing

from protocol import frames as F
from protocol import identity
from protocol import limits as L
from protocol import requests as R
from protocol.codec import decode_struct, encode_struct
from protocol.errors import Code, Reason
from protocol.identity import DeviceList, SigningKey
from protocol.ids import TopicKind, contact_hash
from relay import delivery_service as module
from relay.testing import small
from storage.base import StoreAway
from tests.support.lab import FakeClient, open_lab, req, settle
from tests.support.people import Person, commit, group, seed

SMALL_ORDER = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")


def publish(signed: bytes) -> F.Req:
    """devices.publish"""
    return req("devices.publish", R.PublishList(signed))


def test_every_method_of_the_protocol_is_answered() -> None:
    assert module._METHODS.keys() == R.METHODS.keys()


async def test_unknown_methods_and_bad_parameters() -> None:
    async with open_lab() as lab:
        client = await lab.register(lab.person("alice"))
        assert (await client.err(F.Req(0, "coffee.brew"))).code == Code.UNKNOWN_METHOD
        for params in (b"\xc0", b"\x91\xa1x", b"\x91" * 500 + b"\xc0", b"\x91\xa4\xff\xfe\xfd\xfc"):
            err = await client.err(F.Req(0, "devices.get", msgspec.Raw(params)))
            assert err.code == Code.FRAME
            assert err.text.startswith("devices.get: ")


async def test_a_store_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_lab() as lab:
        client = await lab.register(lab.person("alice"))

        async def away(handle: str) -> bytes:
            raise StoreAway("closed")

        monkeypatch.setattr(lab.store.accounts, "resolve_handle", away)
        err = await client.err(req("handles.get", R.GetHandle("bob")))
        assert (err.code, bool(err.retry_ms)) == (Code.STORE_AWAY, True)


# -- device lists -----------------------------------------------------------------------------------------------------
async def test_registration() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        client = await lab.login(alice)
        assert await client.ok(publish(alice.signed()), int) == 1
        assert client.connection.is_registered
        assert client.connection.login == 1
        assert lab.relay.registry.device(alice.device) is client.connection
        assert [event.name for event in client.got(F.Evt)] == ["devices"]
        assert await client.ok(publish(alice.signed()), int) == 1  # the same bytes again
        (listed, unknown) = await client.request(
            "devices.get", R.GetLists((alice.account, b"?" * 32)), list[bytes | None]
        )
        assert (listed, unknown) == (alice.signed(), None)


def forged(alice: Person, kind: str) -> bytes:
    """A device list that must not be accepted."""
    good = alice.devices()
    mallory = SigningKey(seed("mallory"))
    if kind == "of another account":
        other = Person("bob", alice.now_ms)
        return other.signed()
    if kind == "signed by somebody":
        return identity.sign_list(good, mallory)
    if kind == "signed by the device":
        return identity.sign_list(good, alice.key)
    if kind == "not a list":
        return b"\x93\x00\x01\x02"
    if kind == "a device of small order":
        return alice.signed(alice.devices(1, SMALL_ORDER))
    if kind == "living too long":
        return alice.signed(alice.devices(life_ms=L.DEVICE_LIST_LIFE_MS + 1))
    if kind == "altered":
        signed = bytearray(alice.signed())
        signed[40] ^= 1
        return bytes(signed)
    raise AssertionError(kind)


@pytest.mark.parametrize(
    "kind",
    ["of another account", "signed by somebody", "signed by the device", "not a list", "a device of small order",
     "living too long", "altered"],
)  # fmt: skip
async def test_lists_that_are_not_accepted(kind: str) -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        client = await lab.login(alice)
        err = await client.err(publish(forged(alice, kind)))
        assert err.code == Code.FRAME
        assert not client.connection.is_registered
        assert await lab.store.accounts.get([alice.account]) == [None]


async def test_versions() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        client = await lab.login(alice)
        err = await client.err(publish(alice.signed(alice.devices(2))))
        assert err.detail is not None
        assert (err.code, err.detail.reason, err.detail.offset) == (Code.CONFLICT, Reason.VERSION, 0)
        await client.ok(publish(alice.signed()), int)
        await client.ok(publish(alice.signed(alice.devices(2))), int)
        for version in (1, 4):
            err = await client.err(publish(alice.signed(alice.devices(version))))
            assert err.code in (Code.CONFLICT, Code.FRAME)
        other = alice.signed(alice.devices(2, created_ms=lab.now_ms - 5))
        assert (await client.err(publish(other))).code in (Code.CONFLICT, Code.FRAME)


async def test_a_first_list_names_its_publisher() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        client = await lab.login(alice)
        without = alice.signed(alice.devices(1, alice.second().device, without_own=True))
        assert (await client.err(publish(without))).code == Code.FORBIDDEN


async def test_clocks() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        client = await lab.login(alice)
        old = alice.devices(created_ms=lab.now_ms - L.DEVICE_LIST_LIFE_MS - 1000)
        assert (await client.err(publish(alice.signed(old)))).code == Code.EXPIRED
        ahead = alice.devices(created_ms=lab.now_ms + L.CLOCK_SKEW_MS_MAX + 60_000)
        assert (await client.err(publish(alice.signed(ahead)))).code == Code.FRAME


async def test_an_expired_list_is_renewed_by_its_device(autojump_clock: trio.testing.MockClock) -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        await lab.register(alice)
        await trio.sleep(L.DEVICE_LIST_LIFE_MS / 1000)
        client = await lab.login(alice)
        result = decode_struct(client.got(F.Ok)[0].result, R.LoginResult)
        assert (result.registered, result.list_version) == (False, 1)
        renewed = alice.devices(2, created_ms=lab.now_ms)
        assert await client.ok(publish(alice.signed(renewed)), int) == 2
        assert client.connection.is_registered


async def test_a_device_adds_itself_with_a_newer_list() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        await lab.register(alice)
        phone = alice.second()
        client = await lab.login(phone, list_version=2)
        assert not client.connection.is_registered
        both: DeviceList = alice.devices(2, phone.device)
        assert await client.ok(publish(alice.signed(both)), int) == 2
        assert client.connection.is_registered


async def test_a_list_without_its_publisher_registers_nobody() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        a = await lab.register(alice)
        phone = await lab.login(alice.second(), list_version=9)
        tablet = Person("tablet", lab.now_ms).device
        assert (await phone.err(publish(alice.signed(alice.devices(2, tablet))))).code == Code.FORBIDDEN
        assert not phone.connection.is_registered
        assert a.bye is None


# -- handles ----------------------------------------------------------------------------------------------------------
async def test_handles() -> None:
    async with open_lab() as lab:
        alice, bob = lab.person("alice"), lab.person("bob")
        a, b = await lab.register(alice), await lab.register(bob)
        await a.request("handles.claim", R.ClaimHandle("alice.w"), NoneType)
        assert await b.request("handles.get", R.GetHandle("alice.w"), bytes) == alice.account
        assert (await b.err(req("handles.claim", R.ClaimHandle("alice.w")))).code == Code.CONFLICT
        assert (await b.err(req("handles.get", R.GetHandle("nobody")))).code == Code.NOT_FOUND
        for bad in ("A", "x", "ünder", "-dash", "a" * 33, "a b", "аlice"):
            assert (await b.err(F.Req(0, "handles.claim", msgspec.Raw(encode_struct((bad,)))))).code == Code.FRAME


# -- key packages -----------------------------------------------------------------------------------------------------
async def test_key_packages() -> None:
    async with open_lab() as lab:
        alice, bob = lab.person("alice"), lab.person("bob")
        a, b = await lab.register(alice), await lab.register(bob)
        put = R.PutKeyPackages(tuple(b"package %d" % n for n in range(17)), b"last resort")
        assert await a.request("keypackages.put", put, int) == 17
        await a.request("contacts.tokens", R.SetTokens((contact_hash(alice.account, b"token"),)), NoneType)
        shown = ((alice.account, b"token"), (bob.account, b"?"))
        claim = R.ClaimKeyPackages((alice.account, alice.account, b"?" * 32), shown)
        strange = R.ClaimKeyPackages((alice.account,), ((alice.account, b"guessed"),))
        (last,) = await b.request("keypackages.claim", strange, list[R.ClaimedPackage])
        assert (last.last_resort, last.package) == (True, b"last resort")
        only = R.ClaimKeyPackages((alice.account,), shown, (bytes(32),))
        assert await b.request("keypackages.claim", only, list[R.ClaimedPackage]) == []
        claimed = [await b.request("keypackages.claim", claim, list[R.ClaimedPackage]) for _ in range(18)]
        assert all(len(packages) == 1 for packages in claimed)
        flat = [packages[0] for packages in claimed]
        assert {(c.account, c.device) for c in flat} == {(alice.account, alice.device)}
        assert len({c.package for c in flat}) == 18
        assert [c.last_resort for c in flat] == [False] * 17 + [True]
        low = [decode_struct(e.payload, R.KeyPackagesLow) for e in a.got(F.Evt) if e.name == "keypackages.low"]
        assert [event.left for event in low] == list(range(15, -1, -1))
        a.close()
        await b.request("keypackages.claim", claim, list[R.ClaimedPackage])


async def test_a_claim_that_would_not_fit_hands_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        client = await lab.register(alice)
        await client.request("keypackages.put", R.PutKeyPackages((b"one",)), int)
        monkeypatch.setattr(module, "CLAIM_DEVICES_MAX", 0)
        claim = req("keypackages.claim", R.ClaimKeyPackages((alice.account,)))
        assert (await client.err(claim)).code == Code.TOO_LARGE
        monkeypatch.undo()
        assert len(await client.ok(claim, list[R.ClaimedPackage])) == 1


async def test_an_answer_that_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        client = await lab.register(alice)
        monkeypatch.setattr(module, "MESSAGE_BYTES_MAX", 100)
        assert (await client.err(req("devices.get", R.GetLists((alice.account,))))).code == Code.TOO_LARGE


# -- linking, recovery, topics ----------------------------------------------------------------------------------------
async def test_parcels_are_fetched_before_registration() -> None:
    async with open_lab() as lab:
        alice, eve = lab.person("alice"), lab.person("eve")
        a, e = await lab.register(alice), await lab.login(eve)
        slot = bytes(32)
        await a.request("link.put", R.PutLink(slot, b"sealed"), NoneType)
        await a.request("recovery.put", R.PutRecovery(b"seeds"), NoneType)
        assert await e.request("link.get", R.GetLink(slot), bytes) == b"sealed"
        assert await e.request("recovery.get", R.GetRecovery(alice.account), bytes) == b"seeds"
        assert (await e.err(req("link.get", R.GetLink(b"1" * 32)))).code == Code.NOT_FOUND
        assert (await e.err(req("recovery.get", R.GetRecovery(eve.account)))).code == Code.NOT_FOUND
        assert (await e.err(req("link.put", R.PutLink(slot, b"other")))).code == Code.UNAUTHENTICATED
        b = await lab.register(lab.person("bob"))
        assert (await b.err(req("link.put", R.PutLink(slot, b"other")))).code == Code.FORBIDDEN


async def test_the_list_of_ones_topics() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        client = await lab.register(alice)
        assert await client.request("topics.list", R.ListTopics(), list[R.OwnTopic]) == []
        pub = group(alice)
        assert isinstance(await client.ask(pub), F.Ok)
        rows = await client.request("topics.list", R.ListTopics(), list[R.OwnTopic])
        assert rows == [R.OwnTopic(pub.topic, TopicKind.GROUP, F.Role.OWNER)]
        assert await client.request("topics.list", R.ListTopics(pub.topic), list[R.OwnTopic]) == []


# -- blobs ------------------------------------------------------------------------------------------------------------
async def test_blobs() -> None:
    async with open_lab() as lab:
        client = await lab.register(lab.person("alice"))
        data = bytes(1000)
        digest = hashlib.sha256(data).digest()
        assert (await client.err(req("blobs.put", R.PutBlob(b"h" * 32, data)))).code == Code.FRAME
        await client.request("blobs.put", R.PutBlob(digest, data), NoneType)
        assert await client.request("blobs.get", R.GetBlob(digest), bytes) == data
        assert (await client.err(req("blobs.get", R.GetBlob(b"?" * 32)))).code == Code.NOT_FOUND


# -- topics -----------------------------------------------------------------------------------------------------------
async def in_group(client: FakeClient, person: Person, *others: Person) -> bytes:
    """A group that ``person`` founds."""
    founding = group(person, *others)
    await client.ok(founding, F.PubResult)
    return founding.topic


async def test_heads_and_members() -> None:
    async with open_lab() as lab:
        alice, bob, eve = lab.person("alice"), lab.person("bob"), lab.person("eve")
        a, _, e = await lab.register(alice), await lab.register(bob), await lab.register(eve)
        topic = await in_group(a, alice, bob)
        heads = await a.request("topics.heads", R.GetHeads((topic, b"?" * 32)), list[F.SubResult])
        assert heads == [F.SubResult(0, 1, 1, 1, 1), F.SubResult(0, code=Code.NOT_FOUND)]
        members = await a.request("topics.members", R.GetMembers(topic), list[tuple[bytes, int]])
        assert sorted(members) == sorted([(alice.account, F.Role.OWNER), (bob.account, F.Role.MEMBER)])
        assert (await e.err(req("topics.members", R.GetMembers(topic)))).code == Code.NOT_FOUND
        foreign = await e.request("topics.heads", R.GetHeads((topic,)), list[F.SubResult])
        assert foreign == [F.SubResult(0, code=Code.NOT_FOUND)]


async def test_reservations() -> None:
    async with open_lab() as lab:
        alice, bob = lab.person("alice"), lab.person("bob")
        a, b = await lab.register(alice), await lab.register(bob)
        topic = await in_group(a, alice, bob)
        until = await a.request("topics.reserve", R.Reserve(topic), int)
        assert lab.now_ms < until <= lab.now_ms + L.RESERVE_MS
        assert (await b.err(req("topics.reserve", R.Reserve(topic)))).code == Code.CONFLICT
        err = await b.err(commit(bob, topic))
        assert err.detail is not None
        assert (err.code, err.detail.reason) == (Code.CONFLICT, Reason.SPACING)
        await settle()


# -- reports ----------------------------------------------------------------------------------------------------------
async def test_reports_need_a_key_of_the_operator() -> None:
    async with open_lab() as lab:
        client = await lab.register(lab.person("alice"))
        assert (await client.err(req("reports.key", R.GetReportKey()))).code == Code.NOT_FOUND
        assert (await client.err(req("reports.post", R.PostReport(bytes(32), b"x")))).code == Code.NOT_FOUND


async def test_reports_are_taken_and_numbered() -> None:
    key = bytes([9]) * 32
    async with open_lab(small(report_key=key.hex())) as lab:
        client = await lab.register(lab.person("alice"))
        assert await client.request("reports.key", R.GetReportKey(), bytes) == key
        number = await client.request("reports.post", R.PostReport(key, b"sealed"), int)
        assert await client.request("reports.post", R.PostReport(key, b"sealed"), int) == number
        assert (await client.err(req("reports.post", R.PostReport(bytes(32), b"x")))).code == Code.CONFLICT
        found = await lab.store.reports.get(number)
        assert found is not None
        assert found[1] == b"sealed"
