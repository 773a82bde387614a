"""`chappe admin` against a running relay, verb by verb, as people and as programs see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from protocol import frames as F
from protocol import requests as R
from protocol.ids import inbox_topic
from relay.cli import admin
from relay.run import open_running
from relay.testing import small
from tests.support.people import Person
from tests.support.wire import open_wire


async def test_every_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def run(verb: Callable[..., int], *arguments: str, **options: Any) -> tuple[int, str, str]:
        code = await trio.to_thread.run_sync(partial(verb, *arguments, data=tmp_path, **options))
        said = capsys.readouterr()
        return code, said.out, said.err

    async with open_running(small(data=str(tmp_path))) as running:
        assert (tmp_path / "admin.token").stat().st_mode & 0o777 == 0o600
        alice = Person("alice", running.node.relay.clock_ms())
        async with open_wire(running.url) as wire, open_wire(running.url) as silent:
            await wire.register(alice)
            await silent.expect(F.Info)
            await wire.request("handles.claim", R.ClaimHandle("alice"), type(None))
            code, out, _ = await run(admin.who)
            assert code == 0
            assert alice.device.hex() in out
            assert "(not registered) from 127.0.0.1" in out
            assert out.endswith("2 open\n")
            code, out, _ = await run(admin.who, "alice", json=True)
            assert json.loads(out)["count"] == 1
            assert "connections = 32" in (await run(admin.quota))[1]
            assert "connections = 3  # of its own" in (await run(admin.quota, "alice", "connections", "3"))[1]
            assert f"account:{alice.account.hex()} connections = 3" in (await run(admin.quota))[1]
            assert "of its own" not in (await run(admin.quota, "alice", "connections", "default"))[1]
            code, _, err = await run(admin.quota, "alice", "connections", "many")
            assert (code, "`default`" in err) == (2, True)
            assert "1 connections" in (await run(admin.kick, "alice"))[1]
            await wire.end()
        assert "banned for good" in (await run(admin.ban, "192.0.2.0/24", reason="\x1b[2J"))[1]
        assert "banned until 2" in (await run(admin.ban, "alice", days=1))[1]
        code, out, _ = await run(admin.bans)
        assert "\x1b" not in out
        assert out.endswith("2 bans\n")
        assert "may come back" in (await run(admin.unban, "alice"))[1]
        assert (await run(admin.unban, "alice"))[0] == 2
        assert (await run(admin.retention))[1].startswith("0 bytes freed")
        code, out, err = await run(admin.invite, uses=2, days=1)
        assert (code, len(out.strip()), "without an invitation" in err) == (0, 32, True)
        for verb in (admin.kick, admin.ban, admin.unban):
            assert (await run(verb, "nobody"))[0] == 2
        for listing in (admin.bans, admin.retention, admin.invite, admin.quota):
            code, out, _ = await run(listing, json=True)
            assert isinstance(json.loads(out), dict)
        (tmp_path / "admin.token").write_text("wrong\n")
        assert "token" in (await run(admin.who))[2]


def test_without_a_relay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert admin.who(data=tmp_path) == 2
    assert "--data" in capsys.readouterr().err


async def test_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = bytes([9]) * 32

    async def run(verb: Callable[..., int], *arguments: Any, **options: Any) -> tuple[int, str, str]:
        code = await trio.to_thread.run_sync(partial(verb, *arguments, data=tmp_path, **options))
        said = capsys.readouterr()
        return code, said.out, said.err

    async with open_running(small(data=str(tmp_path), report_key=key.hex())) as running:
        alice = Person("alice", running.node.relay.clock_ms())
        async with open_wire(running.url) as wire:
            await wire.register(alice)
            number = await wire.request("reports.post", R.PostReport(key, b"sealed"), int)
        account = f"account:{alice.account.hex()}"
        code, out, _ = await run(admin.list_reports)
        assert (code, f"{number} of 2" in out, f"by {account}, 6 bytes" in out, out.endswith("1 wait\n")) == (
            0,
            *[True] * 3,
        )
        code, out, _ = await run(admin.fetch, number)
        assert json.loads(out)["sealed"] == b"sealed".hex()
        code, out, _ = await run(admin.fetch, number, tmp_path / "report.json")
        assert (code, "chappe report verify" in out) == (0, True)
        assert json.loads((tmp_path / "report.json").read_text())["number"] == number
        code, out, _ = await run(admin.close, number, "\x1b[2J")
        assert (code, out) == (0, f"report {number} is closed; 0 wait\n")
        code, out, _ = await run(admin.list_reports, closed=True)
        assert (code, "\x1b" in out, "note=" in out) == (0, False, True)
        code, out, _ = await run(admin.devices, account)
        assert bytes.fromhex(out.strip()) == alice.signed()
        topic = inbox_topic(alice.account).hex()
        code, out, _ = await run(admin.entry, topic, 1)
        assert (code, f"by {account}" in out) == (0, True)
        unknown: list[tuple[Callable[..., int], Any]] = [
            (admin.close, 99), (admin.fetch, 99), (admin.devices, "nobody"), (partial(admin.entry, topic), 9)
        ]  # fmt: skip
        for verb, argument in unknown:
            assert (await run(verb, argument))[0] == 2
        listing: list[Callable[..., int]] = [
            admin.list_reports, partial(admin.close, number), partial(admin.devices, account),
            partial(admin.entry, topic, 1),
        ]  # fmt: skip
        for listed in listing:
            code, out, _ = await run(listed, json=True)
            assert (code, isinstance(json.loads(out), dict)) == (0, True)
        (tmp_path / "admin.token").write_text("wrong\n")
        assert (await run(admin.list_reports))[0] == 2
