"""The handle is taken, the connection is reported, and waiting for the relay is one line."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from clients.bot import Bot, BotError
from clients.bot.upkeep import note_waiting, take_handle, watch_connection
from clients.connection import LinkDown, Refusal
from clients.events import CaughtUp, Connected, Disconnected
from clients.tasks import open_tasks
from clients.testing import open_kit
from protocol.errors import Code
from protocol.frames import Err
from tests.clients.bot.support import TOPIC, open_alone

LOG = logging.getLogger("chappe.bot.upkeep")


async def test_somebody_elses_handle_is_refused_with_a_sentence(autojump_clock: MockClock) -> None:
    async with open_kit() as kit:
        await kit.person("taken")
        with pytest.raises(BotError, match=r"the handle 'taken' cannot be taken.*choose another: --handle NAME"):
            await kit.bot(Bot("taken"))


async def test_the_handle_is_asked_for_until_the_relay_answers(tmp_path: Path, autojump_clock: MockClock) -> None:
    answers: list[Exception | None] = [LinkDown("away"), Refusal(Err(1, Code.DRAINING, "busy", 2000)), None]
    times: list[float] = []
    async with open_alone(tmp_path) as (client, _):

        async def claim(handle: str) -> None:
            times.append(trio.current_time())
            answer = answers.pop(0)
            if answer is not None:
                raise answer
            client.engine.shelf.identity.handle = handle

        client.claim_handle = claim  # type: ignore[method-assign]
        await take_handle(client, "echo")
        await take_handle(client, "echo")  # has it already
    assert [round(at - times[0]) for at in times] == [0, 5, 7]


async def test_the_connection_is_reported(
    tmp_path: Path, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chappe")
    async with open_alone(tmp_path) as (client, _):
        nursery.start_soon(watch_connection, client, LOG)
        await wait_all_tasks_blocked()
        told: list[Any] = [
            Connected(url="ws://relay"), CaughtUp(topic=TOPIC, offset=1, seq=1),
            Disconnected(reason="cable", retry_ms=126),
        ]  # fmt: skip
        client._publish(told)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [record.getMessage() for record in caplog.records] == [
        "connected to ws://relay", "not connected (cable); trying again in 126 ms"
    ]  # fmt: skip


async def test_a_connection_that_is_there_already_is_reported_too(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chappe")
    async with open_kit() as kit:
        alice = await kit.person("alice")
        with trio.move_on_after(0):
            await watch_connection(alice.client, LOG)
    assert f"connected to {alice.client.url}" in caplog.messages


async def test_a_relay_that_never_lets_us_in_ends_the_bot(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (client, _):

        async def refuse() -> None:
            await wait_all_tasks_blocked()
            client._publish([Disconnected(reason="banned", retry_ms=None)])

        async def watch() -> None:
            async with open_tasks() as nursery:
                nursery.start_soon(refuse)
                await watch_connection(client, LOG)

        with pytest.raises(BotError, match="does not let this bot in: banned"):
            await watch()


async def test_waiting_is_one_line_a_minute(
    tmp_path: Path, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    alarms: list[tuple[bytes, int]] = []
    async with open_alone(tmp_path) as (client, _):
        client.engine.outbox.alarm = lambda topic, at_ms: alarms.append((topic, at_ms))
        note_waiting(client, LOG)
        now = client.engine.shelf.clock_ms()
        for _ in range(3):
            client.engine.outbox.alarm(TOPIC, now + 1500)
        mock_clock.jump(60)
        client.engine.outbox.alarm(TOPIC, now)
    assert alarms == [(TOPIC, now + 1500)] * 3 + [(TOPIC, now)]
    first, second = caplog.messages
    assert first.startswith("the relay asks to wait 1500 ms")
    assert "0 messages wait in the vault" in first
    assert second.startswith("the relay asks to wait 0 ms")
