"""The test kit, by its own means."""

from __future__ import annotations

from pathlib import Path

import trio

from clients.bot import load_bots
from clients.testing import open_kit

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


async def test_the_ten_lines(autojump_clock: trio.testing.MockClock) -> None:
    (bot,) = load_bots(EXAMPLES / "echo.py")
    async with open_kit() as kit:
        alice, echo = await kit.person("alice"), await kit.bot(bot)
        await alice.say(echo, "hi")
        assert await alice.hears() == "hi"
        await kit.pass_time(hours=24)
        await alice.say(echo, "good morning")
        assert await alice.hears() == "good morning"
