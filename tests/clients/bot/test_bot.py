"""The bot's own face: registration, what it offers while it runs, and being loaded by a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from clients.bot import Bot, BotError, in_group, load_bots
from clients.client import open_client
from clients.testing import open_kit
from clients.vault import Secret, Vault
from protocol.messages.chat import Text


def test_what_makes_no_sense_is_refused() -> None:
    nonsense: list[dict[str, Any]] = [{"attempts": 0}, {"parallel": 0}, {"back_off_s": ()}]
    for options in nonsense:
        with pytest.raises(BotError, match="at least one attempt"):
            Bot("x", **options)
    bot = Bot("x")

    async def ring() -> None: ...

    assert bot.on_timer("ring")(ring) is ring
    with pytest.raises(BotError, match="two handlers for the timer 'ring'"):
        bot.on_timer("ring")(ring)
    assert bot.on(Text)(ring) is ring


def test_what_needs_a_running_bot_says_so() -> None:
    bot = Bot("idle", handle="sleepy")
    assert (bot.name, bot.handle, bot.is_running, repr(bot)) == ("idle", "sleepy", False, "Bot('idle')")
    for ask in (lambda: bot.client, lambda: bot.dead_letters, bot.statistics, bot.stop):
        with pytest.raises(BotError, match="the bot idle is not running"):
            ask()


async def test_posting_of_ones_own_accord_once_per_key(autojump_clock: MockClock) -> None:
    bot = Bot("herald")
    async with open_kit() as kit:
        alice, running = await kit.person("alice"), await kit.bot(bot)
        talk = await kit.drive(running.client.pair, alice.account)
        ids = [await bot.post(talk, "news", key=b"today") for _ in range(3)]
        assert ids[0] is not None
        assert ids[1:] == [None, None]
        await bot.post(talk, Text(text="more"))
        assert [await alice.hears(), await alice.hears()] == ["news", "more"]
        await running.stop()
        running = await kit.bot(bot)
        assert await bot.post(running.client.conversation(talk.topic), "news", key=b"today") is None
        await alice.hears_nothing()


async def test_a_vault_that_was_somebodys_before_is_not_answered_in_arrears(autojump_clock: MockClock) -> None:
    bot = Bot("heir")

    @bot.on(Text)
    async def echo(message: Any, reply: Any) -> None:
        await reply(message.text)

    async with open_kit() as kit:
        alice, place = await kit.person("alice"), kit.folder / "heir"
        vault = Vault(place / "vault.db", Secret.key_file(place / "vault.key"))
        async with open_client(kit.relay.url, vault, clock_ms=kit.relay.clock_ms) as before:
            talk = await kit.drive(before.pair, alice.account)
            await kit.settle()
            await alice.say(alice.client.conversation(talk.topic), "for the one before")
            await kit.settle()
        vault.close()
        await kit.bot(bot, data=place)
        await alice.say(alice.client.conversation(talk.topic), "for the heir")
        assert await alice.hears() == "for the heir"
        await alice.hears_nothing()


async def test_what_was_said_last_still_goes_out_at_the_stop(autojump_clock: MockClock) -> None:
    bot = Bot("last")

    @bot.on(Text)
    async def say_and_stop(reply: Any) -> None:
        await reply("good bye")
        bot.stop()

    async with open_kit() as kit:
        alice, running = await kit.person("alice"), await kit.bot(bot)
        await alice.say(running, "go")
        assert await alice.hears() == "good bye"
        await kit.until(running.ended.is_set, "the bot to end")
        assert not bot.is_running


async def test_several_bots_in_one_program(autojump_clock: MockClock) -> None:
    bots = [Bot("one"), Bot("two")]
    for bot in bots:

        @bot.on(Text, in_group)
        async def name(reply: Any, bot: Any) -> None:
            await reply(f"I am {bot.name}")

    async with open_kit() as kit, trio.open_nursery() as nursery:
        alice = await kit.person("alice")
        for bot in bots:
            nursery.start_soon(bot.run_at, kit.relay.url, kit.folder / bot.name)
        accounts = [await kit.drive(alice.client.find, bot.name) for bot in bots if await ready(kit, bot)]
        group = await kit.drive(alice.client.group, accounts, "room")
        await alice.say(group, "who is there?")
        assert {await alice.hears(), await alice.hears()} == {"I am one", "I am two"}
        await alice.hears_nothing()  # they do not answer each other
        for bot in bots:
            bot.stop()
        await kit.until(lambda: not any(bot.is_running for bot in bots), "both to end")


async def ready(kit: Any, bot: Bot) -> bool:
    """Wait until a bot has its handle."""
    await kit.until(
        lambda: bot.is_running and bot.client.engine.shelf.identity.handle == bot.handle, f"{bot.name} to be ready"
    )
    return True


def test_a_program_is_loaded_without_running_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from clients.bot import Bot\na = Bot('a')\nb = Bot('b')\na.run()\nb.run()\n")
    assert [bot.name for bot in load_bots(file)] == ["a", "b"]
    file.write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        load_bots(file)


def test_run_ends_the_process_with_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bot = Bot("x")
    with pytest.raises(SystemExit) as raised:
        bot.run(["--data", str(tmp_path), "dead", "list"])
    assert raised.value.code == 0
    with pytest.raises(SystemExit) as raised:
        bot.run(["--data", str(tmp_path), "dead", "skip", "1"])
    assert raised.value.code == 2
    assert "x: there is no dead letter 1" in capsys.readouterr().err
