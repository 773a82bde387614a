"""``chappe chat --json``: every verb, and what goes wrong."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from clients.cli import script
from clients.cli.script import Script
from tests.support.clients import World, group_of, open_world, texts
from tests.support.reporting import scene, take_reports


class Desk:
    """A script at somebody's client: runs commands, collects what is written."""

    def __init__(self, script_: Script, written: list[dict[str, Any]]) -> None:
        self._script = script_
        self.written = written

    async def do(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """The reply to a command."""
        await self._script._one(verb, {"do": verb, "tag": 9, **arguments})
        reply: dict[str, Any] = next(record for record in reversed(self.written) if "reply" in record)
        assert (reply["reply"], reply["do"]) == (9, verb)
        return reply

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Events of a kind that were written."""
        return [record for record in self.written if record.get("event") == kind]


@asynccontextmanager
async def open_desk(world: World, name: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """A script at the client of a person."""
    written: list[dict[str, Any]] = []
    monkeypatch.setattr(script, "write", written.append)
    async with trio.open_nursery() as nursery:
        yield Desk(Script(world.clients[name], nursery), written)
        nursery.cancel_scope.cancel()


async def test_a_conversation_by_script(autojump_clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world() as world:
        _, bob, carol = await world.people("alice", "bob", "carol")
        await bob.claim_handle("bob")
        await carol.claim_handle("carol")
        async with open_desk(world, "alice", monkeypatch) as alice:
            assert (await alice.do("handle", name="alice"))["handle"] == "alice"
            assert (await alice.do("account"))["handle"] == "alice"
            added = await alice.do("add", handle="bob")
            assert len(added["safety_number"].split()) == 12
            await alice.do("add", handle="carol")
            assert "error" not in await alice.do("verify", name="bob")
            await alice.do("events")
            topic = (await alice.do("pair", name="bob"))["topic"]
            message_id = (await alice.do("send", topic=topic, text="hello"))["id"]
            await world.settle()
            assert [event["id"] for event in alice.events("received")] == [message_id]
            assert "error" not in await alice.do("typing", topic=topic, times=3)
            group = (await alice.do("group", title="tea", names=["bob"]))["topic"]
            await world.settle()
            assert "id" in await alice.do("add-to", topic=group, names=["carol"])
            await world.settle()
            assert "id" in await alice.do("rotate", topic=group)
            await world.settle()
            assert "id" in await alice.do("remove", topic=group, names=["carol"])
            await world.settle()
            listed = (await alice.do("list"))["conversations"]
            assert {talk["title"] for talk in listed} == {"bob", "tea"}
            assert (await alice.do("history", topic=topic, limit=50))["events"]
            assert (await alice.do("statistics"))["outgoing"] == 0
            assert "error" not in await alice.do("leave", topic=group)
            await world.settle()
            assert texts(bob, bytes.fromhex(topic)) == ["hello"]
            # every event exactly once, numbered without holes
            seqs = [record["seq"] for record in alice.written if "event" in record and "seq" in record]
            assert seqs == list(range(1, len(seqs) + 1))


@pytest.mark.parametrize(
    ("verb", "arguments", "part"),
    [
        ("dance", {}, "no verb 'dance'"),
        ("pair", {"name": "nobody"}, "no contact"),
        ("send", {}, "missing or wrong argument"),
        ("send", {"topic": "zz", "text": "x"}, "missing or wrong argument"),
        ("history", {"topic": "00" * 32}, "missing or wrong argument"),
        ("add", {"handle": "nobody"}, "404"),
    ],
)
async def test_what_goes_wrong_is_a_reply(
    verb: str, arguments: dict[str, Any], part: str, autojump_clock: Callable[[], float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    async with open_world() as world:
        await world.people("alice")
        async with open_desk(world, "alice", monkeypatch) as alice:
            assert part in (await alice.do(verb, **arguments))["error"]


async def test_notices_go_out_by_themselves(
    autojump_clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        async with open_desk(world, "bob", monkeypatch) as desk, trio.open_nursery() as nursery:
            nursery.start_soon(desk._script._notices)
            await desk.do("events", after=0)
            await world.settle()
            talk.typing()
            await world.settle()
            world.cut("bob")
            await world.settle(5)
            await talk.send("while bob was away")
            await world.settle()
            world.cut("bob")
            await world.settle(5)
            nursery.cancel_scope.cancel()
        kinds = [record["notice"] for record in desk.written if "notice" in record]
        assert kinds[0] == "connected"
        assert {"ephemeral", "disconnected", "caughtup"} <= set(kinds)
        typed = next(record for record in desk.written if record.get("notice") == "ephemeral")
        assert typed["from"] == alice.account.hex()[:8]
        assert texts(bob, talk.topic) == ["while bob was away"]


async def test_lines_of_input(
    autojump_clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = b'\nnot json\n[]\n{"tag":1}\n{"do":"list","tag":2}\n{"do":"quit"}\n{"do":"list","tag":3}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    async with open_world() as world:
        (client,) = await world.people("alice")
        async with trio.open_nursery() as nursery:
            face = Script(client, nursery)
            await face.take_handle("alice")
            await face.run()
            nursery.cancel_scope.cancel()
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert records[0] == {"reply": None, "do": "handle", "handle": "alice"}
    assert sum("a command is a JSON object" in record.get("error", "") for record in records) == 3
    assert [record["reply"] for record in records if record.get("do") == "list"] == [2]


async def test_a_report_by_script(autojump_clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world() as world:
        posted = take_reports(world)
        _, talk, at = await scene(world, "before", "buy this")
        async with open_desk(world, "ben", monkeypatch) as ben:
            topic = talk.topic.hex()
            told = await ben.do("report", topic=topic, offset=at[1], reason="spam", text="look", attach=[at[0]])
            assert told["number"] == 1
            assert (await ben.do("report", topic=topic, offset=at[1]))["number"] == 2
            assert "no evidence" in (await ben.do("report", topic=topic, offset=99))["error"]
            assert "is no reason" in (await ben.do("report", topic=topic, offset=at[1], reason="x"))["error"]
    assert [(report.ground, report.text, len(report.items)) for report in posted] == [(1, "look", 2), (7, "", 1)]


async def test_muting_and_reading_by_script(
    autojump_clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world() as world:
        (_, bob), talk = await group_of(world, "alice", "bob")
        await bob.conversation(talk.topic).send("news")
        await world.settle()
        topic = talk.topic.hex()
        async with open_desk(world, "alice", monkeypatch) as alice:
            assert (await alice.do("list"))["conversations"][0]["unread"] == 1
            assert (await alice.do("read", topic=topic, offset=1))["unread"] == 1
            assert (await alice.do("read", topic=topic))["unread"] == 0
            assert (await alice.do("mute", topic=topic))["muted_until_ms"]
            until_ms = (await alice.do("mute", topic=topic, **{"for": "1h"}))["muted_until_ms"]
            assert until_ms == world.clock_ms() + 3_600_000
            await alice.do("unmute", topic=topic)
            assert (await alice.do("list"))["conversations"][0]["muted_until_ms"] == 0
