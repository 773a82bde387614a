"""What bot authors do first (scenarios B1 to B7 of the design), through the kit: a real relay and real clients."""

from __future__ import annotations

import logging
import shutil
import socket
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from clients.bot import Bot, BotError, load_bots
from clients.testing import Kit, Person, open_kit
from protocol.content import Content, encode_content
from protocol.messages import Unknown
from protocol.messages.chat import Text
from protocol.messages.sys import Unsupported
from relay.testing import small

ROOT = Path(__file__).resolve().parents[3]


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """What bots said at a level."""
    return [r.getMessage() for r in caplog.records if r.levelno == level and r.name.startswith("chappe.bot")]


async def test_b1_the_ten_line_echo_bot_runs_unchanged(autojump_clock: MockClock) -> None:
    (echo,) = load_bots(ROOT / "examples" / "echo.py")
    assert len((ROOT / "examples" / "echo.py").read_text().splitlines()) <= 12
    async with open_kit() as kit:
        alice, bot = await kit.person("alice"), await kit.bot(echo)
        assert await kit.drive(alice.client.find, "echo") == bot.account
        said = await alice.say(bot, "hi")
        heard = await alice.hears_message()
        assert (heard.text, heard.re, heard.account) == ("hi", said, bot.account)


async def test_b2_a_handler_that_raises_is_retried_and_set_aside_and_the_bot_lives(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    bot = Bot("divider", attempts=3, back_off_s=(1, 10))
    runs: list[tuple[str, float]] = []

    @bot.on(Text)
    async def divide(message: Any, reply: Any, store: Any) -> None:
        runs.append((message.text, trio.current_time()))
        store["runs"] = store.get("runs", 0) + 1
        await reply(f"one over {message.text} is:")
        await reply(str(1 // int(message.text)))

    async with open_kit() as kit:
        alice, running = await kit.person("alice"), await kit.bot(bot)
        bad = await alice.say(running, "0")
        await alice.say(running, "1")
        assert [await alice.hears(), await alice.hears()] == ["one over 1 is:", "1"]
        await alice.hears_nothing()  # nothing of the runs that failed
        times = [at for text, at in runs if text == "0"]
        assert [round(b - a) for a, b in pairwise(times)] == [1, 10]

        (letter,) = bot.dead_letters.list()
        assert (letter.message_id, letter.attempts, letter.error) == (bad, 3, "ZeroDivisionError: integer division "
                                                                      "or modulo by zero")  # fmt: skip
        assert bot.statistics().failed == 3
        assert {row.name: msgspec.msgpack.decode(row.data) for row in bot.runner.memory.values.values()} == {"runs": 1}
    said = lines(caplog, logging.ERROR)
    assert len(said) == 3
    for line in said:
        assert bad.hex() in line
        assert "divide" in line
        assert "ZeroDivisionError" in line
        assert "str(1 // int(message.text))" in line
        assert "clients/bot/" not in line.replace("tests/clients/bot/", "")
    assert "attempt 1 of 3; again in 1 s" in said[0]
    assert "set aside as dead letter 1, after 3 attempts" in said[2]


async def test_b3_a_handler_that_blocks_is_named_and_the_session_stays_up(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    bot = Bot("blocker", blocked_s=0.02)
    named = threading.Event()

    class Waiter(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno == logging.WARNING:
                named.set()

    @bot.on(Text)
    async def block(reply: Any) -> None:
        assert named.wait(20), "the watchdog said nothing"  # really blocks the event loop until the thread has warned
        autojump_clock.jump(10)  # which takes ten seconds of everybody's time
        await reply("done")

    waiter = Waiter()
    bot.log.addHandler(waiter)
    async with open_kit() as kit:
        alice, running = await kit.person("alice"), await kit.bot(bot)
        link = running.client.engine.link
        await alice.say(running, "go")
        assert await alice.hears() == "done"
        assert running.client.engine.link is link
    bot.log.removeHandler(waiter)
    (line,) = lines(caplog, logging.WARNING)
    assert "block has blocked the event loop" in line
    assert "named.wait(20)" in line


def counting_bot() -> Bot:
    """Says which message it is, and how often it saw it."""
    bot = Bot("counter")

    @bot.on(Text)
    async def count(message: Any, reply: Any, local: Any) -> None:
        number = local.get("number", 0) + 1
        local["number"] = number
        await trio.lowlevel.checkpoint()
        await reply(f"{number}: {message.text}")

    return bot


async def talk_through_restarts(kit: Kit, alice: Person, end: str) -> list[str]:
    """Say thirty things while the bot is ended and started again after every ten; what came back."""
    running = await kit.bot(counting_bot())
    talk = await alice.pair(running)
    for number in range(30):
        await alice.say(talk, f"m{number}")
        if number % 10 == 5:
            if end == "stop":
                await running.stop()
            elif end == "kill":
                await running.kill()
            else:  # as a power cut: the files as they are now
                copy = kit.folder / f"copy {number}"
                shutil.copytree(running.data, copy)
                await running.kill()
                shutil.rmtree(running.data)
                shutil.move(copy, running.data)
        if number % 10 == 9:
            running = await kit.bot(counting_bot())
    return [await alice.hears() for _ in range(30)]


@pytest.mark.parametrize("end", ["stop", "kill", "power cut"])
async def test_b4_after_a_restart_no_message_is_handled_twice_and_none_missed(
    end: str, autojump_clock: MockClock
) -> None:
    async with open_kit() as kit:
        alice = await kit.person("alice")
        assert await talk_through_restarts(kit, alice, end) == [f"{n + 1}: m{n}" for n in range(30)]
        await alice.hears_nothing()


async def test_b4_a_bot_that_is_cut_off_in_the_middle_of_a_handler_does_it_again(autojump_clock: MockClock) -> None:
    begun: Counter[str] = Counter()

    def slow_bot() -> Bot:
        bot = Bot("slow")

        @bot.on(Text)
        async def think(message: Any, reply: Any) -> None:
            begun[message.text] += 1
            await reply("thinking")
            await trio.sleep(30)
            await reply("done")

        return bot

    async with open_kit() as kit:
        alice, running = await kit.person("alice"), await kit.bot(slow_bot())
        await alice.say(running, "hard")
        await kit.until(lambda: begun["hard"] == 1, "the handler to begin")
        await running.kill()
        await kit.bot(slow_bot())
        assert [await alice.hears(), await alice.hears()] == ["thinking", "done"]
        await alice.hears_nothing()
        assert begun["hard"] == 2


async def test_b4_a_deleted_vault_is_said_loudly(autojump_clock: MockClock) -> None:
    async with open_kit() as kit:
        running = await kit.bot(counting_bot())
        account = running.account
        await running.stop()
        (running.data / "vault.db").unlink()
        with pytest.raises(BotError, match=rf"vault.db is gone.*account {account.hex()[:8]}.*--fresh"):
            await kit.bot(counting_bot())
        assert not (running.data / "vault.db").exists()


async def test_b5_a_day_passes_in_under_a_second_without_sockets(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a real socket was opened")

    (reminder,) = load_bots(ROOT / "examples" / "reminder.py")
    monkeypatch.setattr(socket.socket, "__init__", refuse)
    async with open_kit() as kit:
        alice, bot = await kit.person("alice"), await kit.bot(reminder)
        await alice.say(bot, "/remind 1440 drink tea")
        assert await alice.hears() == "1: drink tea, in 1440 minutes"
        began, today = time.monotonic(), kit.relay.clock_ms()
        await kit.pass_time(hours=23, minutes=59)
        await alice.hears_nothing()
        await kit.pass_time(minutes=1)
        assert await alice.hears() == "drink tea"
        assert time.monotonic() - began < 1
        assert kit.relay.clock_ms() - today >= 86_400_000


def newer(type_name: str, version: int, fallback: str) -> bytes:
    """A content that this version knows no body for."""
    return encode_content(Content(t=type_name, v=version, b=msgspec.Raw(b"\x81\xa1z\x01"), fb=fallback))


async def test_b6_newer_types_are_never_acted_on_and_never_crash(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    bot = Bot("old")
    handled: list[str] = []

    @bot.on(Text)
    async def on_text(message: Any, reply: Any) -> None:
        handled.append(message.text)
        await reply("still here")

    @bot.on(Unknown)
    async def on_unknown(message: Any, body: Any) -> None:
        handled.append(f"{body.type} {body.version}: {message.text}")

    async with open_kit() as kit:
        alice, running = await kit.person("alice"), await kit.bot(bot)
        talk = await alice.pair(running)
        for type_name, version in (("chat.text", 2), ("pay.request", 9), ("ext.request", 2)):
            alice.client.engine.say(talk.record, newer(type_name, version, "hello from the future"))
        refused = []
        for _ in range(2):
            heard = await alice.hears_message()
            assert isinstance(heard.body, Unsupported)
            refused.append((heard.body.t, heard.body.v))
        await alice.say(talk, "hello")
        assert await alice.hears() == "still here"
        await alice.hears_nothing()
    assert refused == [("pay.request", 9), ("ext.request", 2)]
    assert handled == ["chat.text 2: hello from the future", "hello"]
    assert not lines(caplog, logging.ERROR)


async def test_b7_a_rate_limited_bot_waits_as_told_and_says_so_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    bot = Bot("loud")

    @bot.on(Text)
    async def shout(reply: Any) -> None:
        for number in range(40):
            await reply(str(number))

    async with open_kit(settings=small(publishes_per_s=5)) as kit:
        alice, running = await kit.person("alice"), await kit.bot(bot)
        began = trio.current_time()
        await alice.say(running, "go")
        assert [await alice.hears() for _ in range(40)] == [str(number) for number in range(40)]
        assert trio.current_time() - began > 4  # it did wait
        await alice.hears_nothing()
    (line,) = [line for line in lines(caplog, logging.WARNING) if "asks to wait" in line]
    assert "messages wait in the vault" in line
