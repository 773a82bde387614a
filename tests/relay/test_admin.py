"""The operator's verbs over a relay with clients: what they do, who may use them, and from where."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio

from protocol import frames as F
from protocol import requests as R
from protocol.errors import Close, Code
from relay.admin import VERBS, Admin
from relay.ops import ADMIN_PATH, serve_request
from relay.testing import TestRelay, open_relay, small
from storage.base import StoreAway
from tests.support.people import Person, group, message
from tests.support.wire import open_wire, req

TOKEN = "c0ffee" * 10


@dataclass
class Case:
    """A relay and its admin."""

    relay: TestRelay
    admin: Admin

    async def do(self, verb: str, **arguments: Any) -> dict[str, Any]:
        status, body = await self.admin.answer(b"POST", verb, TOKEN, json.dumps(arguments).encode())
        assert status == 200, body
        return dict(json.loads(body))

    async def refused(self, verb: str, **arguments: Any) -> str:
        status, body = await self.admin.answer(b"POST", verb, TOKEN, json.dumps(arguments).encode())
        assert status == 400, body
        return str(json.loads(body)["error"])

    def person(self, name: str) -> Person:
        return Person(name, self.relay.clock_ms())


@asynccontextmanager
async def opened(**settings: object) -> AsyncIterator[Case]:
    async with open_relay(small(**settings)) as relay:
        yield Case(relay, Admin(relay.node, TOKEN))


async def test_nothing_without_the_token() -> None:
    async with opened() as case:
        for token in ("", "wrong", TOKEN[:-1], TOKEN + "x", "ü"):
            for verb in VERBS:
                status, _ = await case.admin.answer(b"POST", verb, token, b"{}")
                assert status == 401
        assert case.relay.node.counters.refused_admin == 5 * len(VERBS)
        assert (await case.admin.answer(b"GET", "who", TOKEN, b""))[0] == 405
        assert (await case.admin.answer(b"POST", "shell", TOKEN, b""))[0] == 404
        for body in (b"[]", b"{", b'{"subjec": 1}', b'{"subject": 5}', b"\xff"):
            assert (await case.admin.answer(b"POST", "kick", TOKEN, body))[0] == 400


async def test_who_and_kick() -> None:
    async with opened() as case:
        alice = case.person("alice")
        async with open_wire(case.relay.url) as wire, open_wire(case.relay.url) as silent:
            await wire.register(alice)
            await silent.expect(F.Info)
            assert (await case.do("who"))["count"] == 2
            (shown,) = (await case.do("who", subject=f"device:{alice.device.hex()}"))["connections"]
            assert shown["account"] == alice.account.hex()
            assert shown["registered"]
            assert shown["address"] == "127.0.0.1"
            assert shown["buffered_bytes"] == shown["inflight"] == shown["requests"] == shown["backlog"] == 0
            assert (await case.do("kick", subject=f"account:{alice.account.hex()}"))["kicked"] == 1
            bye, code = await wire.end()
            assert bye is not None
            assert (bye.code, code) == (Close.KICKED, Close.KICKED)
            assert bye.reconnect_ms > 0
            assert (await case.do("kick", subject="127.0.0.0/8"))["kicked"] == 1
        assert "nobody" in await case.refused("kick", subject="nobody")


async def test_a_ban_ends_connections_at_once_and_refuses_later_ones() -> None:
    async with opened() as case:
        eve = case.person("eve")
        async with open_wire(case.relay.url) as wire:
            await wire.register(eve)
            await wire.request("handles.claim", R.ClaimHandle("eve"), type(None))
            assert (await case.do("ban", subject="eve", days=1, reason="spam\r\n\x1b[2J"))["kicked"] == 1
            bye, code = await wire.end()
            assert bye is not None
            assert (bye.code, bye.reconnect_ms, code) == (Close.BANNED, -1, Close.BANNED)
        async with open_wire(case.relay.url) as wire:
            await wire.send(eve.connect(await wire.expect(F.Info)))
            answer = await wire.answer(1)
            assert isinstance(answer, F.Err)
            assert (answer.code, answer.retry_ms) == (Code.FORBIDDEN, None)
            assert (await wire.end())[1] == Close.BANNED
        (shown,) = (await case.do("bans"))["bans"]
        assert shown["subject"] == f"account:{eve.account.hex()}"
        assert (await case.do("unban", subject="eve"))["unbanned"]
        assert "not banned" in await case.refused("unban", subject="eve")
        async with open_wire(case.relay.url) as wire:
            assert (await wire.login(eve)).registered
        assert "days" in await case.refused("ban", subject="eve", days=-1)
        assert "reason" in await case.refused("ban", subject="eve", reason="x" * 201)


async def test_a_banned_address_hears_it_before_the_login() -> None:
    async with opened() as case:
        assert (await case.do("ban", subject="127.0.0.1"))["kicked"] == 0
        async with open_wire(case.relay.url) as wire:
            assert (await wire.end())[1] == Close.BANNED
        assert case.relay.node.counters.refusals["banned"] == 1


async def test_bounds() -> None:
    async with opened(connections_per_account_max=1) as case:
        alice = case.person("alice")
        subject = f"account:{alice.account.hex()}"
        async with open_wire(case.relay.url) as wire:
            await wire.register(alice)
            own = (await case.do("quota", subject=subject, name="topics_per_day", value=1))["own"]
            assert own == ["topics_per_day"]
            founding = group(alice)
            await wire.ok(founding, F.PubResult)
            assert (await wire.err(group(alice, nonce=b"2" * 16))).code == Code.RATE
            await case.do("quota", subject=subject, name="topics_per_day")
            await wire.ok(group(alice, nonce=b"2" * 16), F.PubResult)
            await case.do("quota", subject=subject, name="subscriptions", value=0)
            (result,) = await wire.subscribe(F.Subscription(founding.topic))
            assert result.code == Code.TOO_LARGE
            await case.do("quota", subject=subject, name="key_packages", value=1)
            assert await wire.request("keypackages.put", R.PutKeyPackages((b"a", b"b")), int) == 1
            other = alice.second()
            await wire.request("devices.publish", R.PublishList(alice.signed(alice.devices(2, other.device))), int)
            async with open_wire(case.relay.url) as second:
                await second.send(other.connect(await second.expect(F.Info)))
                answer = await second.answer(1)
                assert isinstance(answer, F.Err)
                assert answer.retry_ms
                assert (await second.end())[1] == Close.OVERLOAD
        shown = await case.do("quota")
        assert {item["name"] for item in shown["own"]} == {"subscriptions", "key_packages"}
        for arguments in (
            {"name": "nothing", "value": 1}, {"name": "connections", "value": -1},
            {"name": "publishes_per_s", "value": 0},
            {"name": "bytes_per_s", "value": 5}, {"name": "connections", "value": 10**12},
        ):  # fmt: skip
            await case.refused("quota", subject=subject, **arguments)
        nobody = "account:" + "00" * 32
        assert "not registered" in await case.refused("quota", subject=nobody, name="connections", value=1)
        assert "account" in await case.refused("quota", subject="127.0.0.1")


async def test_retention_says_what_it_freed() -> None:
    async with opened() as case:
        alice = case.person("alice")
        async with open_wire(case.relay.url) as wire:
            await wire.register(alice)
            founding = group(alice)
            await wire.ok(founding, F.PubResult)
            await wire.ok(message(alice, founding.topic, bytes(1000)), F.PubResult)
            assert (await case.do("retention"))["entries"] == 0  # no age is set
            await trio.sleep(0.01)
            freed = await case.do("retention", days=0)
            assert freed["entries"] >= 1
            assert freed["bytes_freed"] >= 1000
        assert "days" in await case.refused("retention", days=-1)


async def test_an_invitation_registers_as_often_as_it_says() -> None:
    async with opened(registration="invite") as case:
        made = await case.do("invite", uses=1, days=1)
        assert made["needed"]
        token = bytes.fromhex(made["invite"])
        for name, code in (("alice", 0), ("bob", Code.FORBIDDEN)):
            person = case.person(name)
            async with open_wire(case.relay.url) as wire:
                await wire.login(person)
                answer = await wire.ask(req("devices.publish", R.PublishList(person.signed(), token)))
                assert (answer.code if isinstance(answer, F.Err) else 0) == code
        assert case.relay.node.counters.invited == 1
        assert "uses" in await case.refused("invite", uses=0)


async def test_a_store_that_is_away_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise StoreAway("full")

    async with opened() as case:
        monkeypatch.setattr(case.relay.store.admission, "ban", away)
        status, body = await case.admin.answer(b"POST", "ban", TOKEN, b'{"subject": "192.0.2.1"}')
        assert status == 503
        assert b"nothing was changed" in body
        assert (await case.do("bans"))["bans"] == []
        assert (await case.do("doctor"))["url"] == case.relay.url


async def _ask(port: int, request: bytes) -> bytes:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(request)
        return b"".join([part async for part in stream])


async def test_the_public_listener_has_no_admin_and_the_ops_port_asks_for_the_token() -> None:
    def post(host: str, token: str, body: bytes = b"{}") -> bytes:
        lines = f"POST {ADMIN_PATH.decode()}who HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        return lines.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body

    async with opened() as case, trio.open_nursery() as nursery:
        host, _, port = case.relay.node.address.partition(":")
        public = await _ask(int(port), post(host, TOKEN))
        assert b"connections" not in public
        assert b" 200 " not in public.partition(b"\r\n")[0]
        for path in ("/metrics", "/healthz", "/readyz", "/admin/who"):
            answer = await _ask(int(port), f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert b" 200 " not in answer.partition(b"\r\n")[0]
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        ops_port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, lambda s: serve_request(case.relay.node, s, case.admin), listeners)
        assert b" 200 " in await _ask(ops_port, post("x", TOKEN))
        assert b" 401 " in await _ask(ops_port, post("x", "wrong"))
        assert b" 401 " in await _ask(ops_port, b"POST /admin/who HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert b" 413 " in await _ask(ops_port, post("x", TOKEN, bytes(9000)))
        assert b" 200 " in await _ask(ops_port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 404 " in await _ask(ops_port, b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        nursery.cancel_scope.cancel()


async def test_reports_are_listed_fetched_and_closed() -> None:
    key = bytes([9]) * 32
    async with opened(report_key=key.hex()) as case:
        alice = case.person("alice")
        async with open_wire(case.relay.url) as wire:
            await wire.register(alice)
            numbers = [await wire.request("reports.post", R.PostReport(key, bytes([n])), int) for n in range(3)]
        listed = await case.do("reports")
        assert ([report["number"] for report in listed["reports"]], listed["waiting"]) == (numbers, 3)
        assert [r["number"] for r in (await case.do("reports", after=numbers[1]))["reports"]] == numbers[2:]
        got = await case.do("report-fetch", number=numbers[1])
        assert (got["sealed"], got["account"], got["size"]) == ("01", alice.account.hex(), 1)
        assert (await case.do("report-close", number=numbers[1], note="banned"))["waiting"] == 2
        (closed,) = (await case.do("reports", closed=True))["reports"]
        assert (closed["number"], closed["note"]) == (numbers[1], "banned")
        for verb in ("report-fetch", "report-close"):
            assert "no report of this number" in await case.refused(verb, number=99)
        assert "a note has" in await case.refused("report-close", number=numbers[0], note="x" * 501)


async def test_device_lists_are_given_out() -> None:
    async with opened() as case:
        alice = case.person("alice")
        async with open_wire(case.relay.url) as wire:
            await wire.register(alice)
        told = await case.do("devices", subject=f"account:{alice.account.hex()}")
        assert (bytes.fromhex(told["signed"]), told["version"]) == (alice.signed(), 1)
        for subject in (f"account:{bytes(32).hex()}", f"device:{alice.device.hex()}"):
            assert "no account of this name" in await case.refused("devices", subject=subject)


async def test_an_entry_is_shown_without_its_content() -> None:
    async with opened() as case:
        alice = case.person("alice")
        async with open_wire(case.relay.url) as wire:
            await wire.register(alice)
            founding = group(alice)
            await wire.ok(founding, F.PubResult)
        topic = founding.topic.hex()
        shown = await case.do("entry", topic=topic, offset=1)
        assert (shown["id"], shown["account"]) == (founding.id.hex(), alice.account.hex())
        assert abs(shown["relay_ms"] - case.relay.clock_ms()) < 60_000
        assert set(shown) == {"id", "account", "device", "relay_ms", "offset", "generation"}
        for offset in (0, -1, 2):
            assert "no entry at this offset" in await case.refused("entry", topic=topic, offset=offset)
        for wrong in ("00" * 32, "x"):
            assert "no such topic" in await case.refused("entry", topic=wrong, offset=1)
