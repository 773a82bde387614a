"""The test kit, by its own means."""

from __future__ import annotations

import time
from importlib.metadata import EntryPoint
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from clients import testing
from clients.bot import Bot, BotError
from clients.bot.home import open_home
from clients.events import Disconnected
from clients.testing import open_kit, relay_opener
from clients.vault import VaultError
from protocol.messages.chat import Poll, Text


def echo_bot() -> Bot:
    """Says it again."""
    bot = Bot("echo")

    @bot.on(Text)
    async def echo(message: Any, reply: Any) -> None:
        await reply(message.text)

    return bot


async def test_people_and_bots_talk(autojump_clock: MockClock) -> None:
    async with open_kit() as kit:
        alice, bob, echo = await kit.person("alice"), await kit.person("bob"), await kit.bot(echo_bot())
        await alice.say(echo, "hi")
        assert await alice.hears() == "hi"
        await bob.say(alice, Poll(question="tea?", options=("yes", "no")), ttl_ms=1000)
        heard = await alice.hears_message()
        assert isinstance(heard.body, Poll)
        assert (heard.account, heard.text) == (bob.account, "tea?")
        group = await alice.group("room", [bob, echo])
        await bob.client.wait_connected()
        await alice.say(group, "all of you")
        assert await bob.hears() == "all of you"
        assert [await alice.hears(), await bob.hears()] == ["all of you"] * 2
        await bob.hears_nothing()
        await bob.say(alice, "psst")
        await kit.settle()
        with pytest.raises(AssertionError, match=r"alice heard \['psst'\]"):
            await alice.hears_nothing()


async def test_silence_is_an_error_after_a_while_of_virtual_time(autojump_clock: MockClock) -> None:
    async with open_kit() as kit:
        alice = await kit.person("alice")
        began, really = trio.current_time(), time.monotonic()
        with pytest.raises(AssertionError, match="waited 60 s in vain for alice to hear something"):
            await alice.hears()
        assert 50 < trio.current_time() - began <= 60
        assert time.monotonic() - really < 5


async def test_time_stands_still_unless_it_is_moved(autojump_clock: MockClock) -> None:
    async with open_kit() as kit:
        alice, echo = await kit.person("alice"), await kit.bot(echo_bot())
        before = trio.current_time()
        await alice.say(echo, "hi")
        await kit.settle()
        assert trio.current_time() == before
        clock_ms = kit.relay.clock_ms()
        await kit.pass_time(days=1, hours=2, minutes=3, seconds=4)
        assert trio.current_time() - before == pytest.approx(93_784)
        assert kit.relay.clock_ms() - clock_ms == pytest.approx(93_784_000, abs=2)
        await echo.stop()
        await kit.pass_time(minutes=1)
    assert autojump_clock.autojump_threshold == 0


async def test_hops_may_be_short(autojump_clock: MockClock) -> None:
    woken: list[float] = []

    async def hourly() -> None:
        while True:
            await trio.sleep(3600)
            woken.append(trio.current_time())

    async with open_kit() as kit, trio.open_nursery() as nursery:
        nursery.start_soon(hourly)
        await kit.pass_time(hours=5)
        assert len(woken) == 1  # a machine that slept
        await kit.pass_time(hours=5, hop_s=3600)
        assert len(woken) == 6
        nursery.cancel_scope.cancel()


async def test_cables_can_be_pulled(autojump_clock: MockClock) -> None:
    async with open_kit() as kit:
        alice, echo = await kit.person("alice"), await kit.bot(echo_bot())
        await alice.say(echo, "before")
        assert await alice.hears() == "before"
        lost: list[str] = []
        async with alice.client.notices() as notices:
            kit.network.is_down = True
            kit.network.cut()
            await kit.settle()
            assert not alice.client.connected
            await alice.say(echo, "during")
            await kit.pass_time(minutes=5)
            await alice.hears_nothing()
            kit.network.is_down = False
            assert await alice.hears() == "during"
            while (notices.statistics().current_buffer_used) > 0:
                notice = notices.receive_nowait()
                lost += [notice.reason] if isinstance(notice, Disconnected) else []
        assert lost


async def test_a_bot_that_does_not_start_says_why_and_one_that_fails_later_too(autojump_clock: MockClock) -> None:
    async with open_kit() as kit:
        await kit.person("echo")
        with pytest.raises(BotError, match="cannot be taken"):
            await kit.bot(echo_bot())
        running = await kit.bot(Bot("other"))
        with pytest.raises(VaultError, match="open in another process"):
            await kit.bot(Bot("other"))
        await running.kill()
        assert running.refused is None
        with open_home(running.data, "other", now_ms=kit.relay.clock_ms) as home:
            assert home.account == running.account


async def test_two_relays_do_not_know_each_other(autojump_clock: MockClock) -> None:
    async with open_kit() as kit:
        other = await kit.open_relay()
        here, there = await kit.person("alice"), await kit.person("alice", relay=other)
        assert here.account != there.account
        echo = await kit.bot(echo_bot(), relay=other)
        await there.say(echo, "hi")
        assert await there.hears() == "hi"


async def test_a_mock_clock_is_needed() -> None:
    with pytest.raises(LookupError, match="run it under trio's MockClock"):
        async with open_kit():
            pass


def test_a_relay_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hasattr(relay_opener(), "open_relay")
    found: list[EntryPoint] = []
    monkeypatch.setattr(testing, "entry_points", lambda group: found)
    with pytest.raises(LookupError, match=r"install the extra: chappe\[relay\]"):
        relay_opener()
