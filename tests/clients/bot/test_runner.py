"""How tasks end: dealt with, tried again, set aside; and that each is dealt with once, wherever the power fails."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from clients.bot import Bot, command
from clients.bot.memory import DEAD
from clients.events import Changed, Failed, Joined
from clients.testing import Kit, Person, RunningBot, open_kit
from clients.vault import Batch, VaultError
from protocol.messages.chat import Text


def echo_bot(name: str = "echo", **options: Any) -> Bot:
    """Says it again."""
    bot = Bot(name, **options)

    @bot.on(Text)
    async def echo(message: Any, reply: Any) -> None:
        await reply(message.text)

    return bot


class PowerCut:
    """Lets the vault of a running bot fail at its nth transaction from now, before or after it is written."""

    def __init__(self, running: RunningBot, at: int, *, written: bool) -> None:
        self.left = at
        self.written = written
        vault = running.client.engine.shelf.vault
        self._commit = vault.commit
        vault.commit = self.commit  # type: ignore[method-assign]

    def commit(self, batches: Sequence[Batch]) -> None:
        self.left -= 1
        if self.left > 0 or (self.left == 0 and self.written):
            self._commit(batches)
        if self.left <= 0:
            raise VaultError("the power is cut")


@pytest.mark.parametrize("written", [False, True], ids=["before the write", "after the write"])
async def test_wherever_the_power_fails_each_message_is_answered_once(written: bool, autojump_clock: MockClock) -> None:
    async with open_kit() as kit:
        alice = await kit.person("alice")
        for at in range(1, 7):
            name = f"echo{at}"
            running = await kit.bot(echo_bot(name))
            talk = await alice.pair(running)
            await alice.say(talk, "first")
            assert await alice.hears() == "first"
            cut = PowerCut(running, at, written=written)
            for number in range(4):
                await talk.send(f"{name} {number}")
            await kit.until(lambda cut=cut: cut.left <= 0, "the power to fail")  # type: ignore[misc]
            await kit.until(running.ended.is_set, "the bot to end")
            assert isinstance(running.refused, VaultError)
            again = await kit.bot(echo_bot(name))
            assert [await alice.hears() for _ in range(4)] == [f"{name} {number}" for number in range(4)]
            await alice.hears_nothing()
            await again.stop()


async def test_a_slow_conversation_holds_up_nobody_else(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    bot = Bot("slow", slow_s=60)

    @bot.on(Text, command("/sleep"))
    async def sleep(args: Any, reply: Any) -> None:
        await trio.sleep(float(args))
        await reply("awake")

    @bot.on(Text)
    async def echo(message: Any, reply: Any) -> None:
        await reply(message.text)

    async with open_kit() as kit:
        alice, bob, running = await kit.person("alice"), await kit.person("bob"), await kit.bot(bot)
        said = await alice.say(running, "/sleep 100")
        await alice.say(running, "me")
        await bob.say(running, "and me")
        assert await bob.hears() == "and me"
        await alice.hears_nothing()
        assert (bot.statistics().running, bot.statistics().lanes.lanes) == (1, 1)
        assert [await alice.hears(within_s=120), await alice.hears()] == ["awake", "me"]
        assert bot.statistics().handled == 3
    (line,) = [line for line in caplog.messages if "has been at" in line]
    assert f"sleep has been at message {said.hex()} for 60 s; its conversation waits" in line


async def test_no_more_handlers_at_once_than_allowed(autojump_clock: MockClock) -> None:
    bot, at_once = Bot("two", parallel=2), [0, 0]

    @bot.on(Text)
    async def work(reply: Any) -> None:
        at_once[0] += 1
        at_once[1] = max(at_once)
        await trio.sleep(5)
        at_once[0] -= 1
        await reply("done")

    async with open_kit() as kit:
        people = [await kit.person(name) for name in ("p1", "p2", "p3")]
        running = await kit.bot(bot)
        for person in people:
            await person.say(running, "go")
        assert [await person.hears() for person in people] == ["done"] * 3
    assert at_once[1] == 2


async def test_what_runs_at_the_stop_may_end_and_the_rest_waits(autojump_clock: MockClock) -> None:
    def make() -> Bot:
        bot = Bot("stopping", stop_s=30)

        @bot.on(Text)
        async def work(message: Any, reply: Any) -> None:
            await trio.sleep(20)
            await reply(message.text)

        return bot

    async with open_kit() as kit:
        alice, running = await kit.person("alice"), await kit.bot(make())
        for text in ("1", "2"):
            await alice.say(running, text)
        began = trio.current_time()
        await running.stop()
        assert 10 < trio.current_time() - began <= 20
        assert await alice.hears() == "1"
        await alice.hears_nothing()
        await kit.bot(make())
        assert await alice.hears() == "2"
        await alice.hears_nothing()


async def test_the_stop_has_a_deadline(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    bot = Bot("endless", stop_s=7)

    @bot.on(Text)
    async def work() -> None:
        await trio.sleep_forever()

    async with open_kit() as kit:
        alice, running = await kit.person("alice"), await kit.bot(bot)
        await alice.say(running, "go")
        began = trio.current_time()
        await running.stop()
        assert 7 <= trio.current_time() - began < 10
        assert not bot.is_running
    assert any("stopped in the middle of 1 handlers after 7 s" in line for line in caplog.messages)


async def test_a_stop_in_back_off_keeps_the_attempts(autojump_clock: MockClock) -> None:
    attempts = []

    def make() -> Bot:
        bot = Bot("failing", attempts=3, back_off_s=(20,))

        @bot.on(Text)
        async def fail(message: Any) -> None:
            attempts.append(trio.current_time())
            raise OSError("no")

        return bot

    async with open_kit() as kit:
        alice, running = await kit.person("alice"), await kit.bot(make())
        await alice.say(running, "go")
        await kit.pass_time(seconds=1)
        await running.stop()
        bot = make()
        await kit.bot(bot)
        await kit.until(lambda: bot.dead_letters.list(), "it to be set aside")
        assert [round(b - a) for a, b in pairwise(attempts)] == [20, 20]


async def dead_letter(kit: Kit, alice: Person, bot: Bot) -> RunningBot:
    """A bot with a dead letter of alice's."""
    running = await kit.bot(bot)
    await alice.say(running, "fragile")
    await kit.until(lambda: bot.dead_letters.list(), "it to be set aside")
    return running


def fragile_bot(broken: list[bool]) -> Bot:
    """Fails as long as it is broken."""
    bot = Bot("fragile", attempts=1)

    @bot.on(Text)
    async def handle(message: Any, reply: Any) -> None:
        if broken[0]:
            raise RuntimeError("broken")
        await reply(f"mended: {message.text}")

    return bot


async def test_dead_letters_are_replayed_and_skipped(autojump_clock: MockClock) -> None:
    broken = [True]
    bot = fragile_bot(broken)
    async with open_kit() as kit:
        alice = await kit.person("alice")
        await dead_letter(kit, alice, bot)
        bot.dead_letters.replay(1)
        await kit.settle()
        assert [letter.attempts for letter in bot.dead_letters.list()] == [2]
        broken[0] = False
        bot.dead_letters.replay(1)
        bot.dead_letters.replay(1)  # twice: the second finds nothing to do
        assert await alice.hears() == "mended: fragile"
        await alice.hears_nothing()
        assert bot.dead_letters.list() == []


async def test_a_letter_that_was_marked_is_replayed_at_the_next_start(autojump_clock: MockClock) -> None:
    broken = [True]
    bot = fragile_bot(broken)
    async with open_kit() as kit:
        alice = await kit.person("alice")
        running = await dead_letter(kit, alice, bot)
        (letter,) = bot.dead_letters.list()
        marked = msgspec.structs.replace(letter, replay=True)
        bot.runner.memory.put(DEAD, letter.key, marked)
        await running.stop()
        broken[0] = False
        await kit.bot(bot)
        assert await alice.hears() == "mended: fragile"
        assert bot.dead_letters.list() == []


async def test_timers_ring_once_across_restarts_and_fail_as_messages_do(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def make(*, with_ring: bool = True) -> Bot:
        bot = Bot("timers", attempts=2, back_off_s=(1,))

        @bot.on(Text)
        async def remember(message: Any, later: Any, reply: Any) -> None:
            later("ring", hours=1, data=message.text)
            await reply("noted")

        async def ring(data: Any, send: Any) -> None:
            await send(f"ring {1 // len(data.removeprefix('bad'))} {data}")

        if with_ring:
            bot.on_timer("ring")(ring)
        return bot

    async with open_kit() as kit:
        alice, running = await kit.person("alice"), await kit.bot(make())
        for text in ("x", "bad"):
            await alice.say(running, text)
            assert await alice.hears() == "noted"
        await running.stop()
        await kit.pass_time(hours=2)  # it comes due while nobody is running
        bot = make()
        running = await kit.bot(bot)
        assert await alice.hears() == "ring 1 x"
        await kit.until(lambda: bot.dead_letters.list(), "the bad one to be set aside")
        (letter,) = bot.dead_letters.list()
        assert (letter.seq, letter.attempts) == (0, 2)
        assert letter.timer is not None
        bot.dead_letters.replay(letter.number)
        await kit.settle()
        assert [one.attempts for one in bot.dead_letters.list()] == [3]
        await running.stop()
        stranger = make(with_ring=False)  # the code has changed, and nobody knows the timer any more
        stranger_running = await kit.bot(stranger)
        stranger.dead_letters.replay(letter.number)
        await kit.settle()
        assert "no @bot.on_timer('ring') is there any more" in stranger.dead_letters.list()[0].error
        assert stranger_running.account == running.account
    assert any("failed on timer 'ring' (attempt 1 of 2; again in 1 s)" in line for line in caplog.messages)


async def test_a_timer_that_is_cancelled_in_time_does_not_ring(autojump_clock: MockClock) -> None:
    bot = Bot("cancelling")

    @bot.on(Text)
    async def plan(later: Any, local: Any, reply: Any) -> None:
        if "timer" in local:
            later.cancel(local["timer"])
        local["timer"] = later("ring", minutes=1)
        await trio.sleep(0 if len(bot.runner.memory.timers) == 0 else 100)  # while the first comes due
        await reply("planned")

    @bot.on_timer("ring")
    async def ring(send: Any) -> None:
        await send("ring")

    async with open_kit() as kit:
        alice, running = await kit.person("alice"), await kit.bot(bot)
        for _ in range(2):
            await alice.say(running, "go")
            assert await alice.hears(within_s=200) == "planned"
        assert await alice.hears(within_s=200) == "ring"
        await kit.pass_time(hours=1)
        await alice.hears_nothing()


async def test_events_have_handlers_too(autojump_clock: MockClock) -> None:
    bot, seen = Bot("greeter"), []

    @bot.on(Joined, lambda event: not event.again)
    async def hello(event: Any, send: Any, talk: Any) -> None:
        await send(f"hello {len(event.members)} of {talk.title}")

    @bot.on(Changed, Failed)
    async def changed(event: Any, send: Any) -> None:
        seen.append(type(event))
        if isinstance(event, Changed) and event.added:
            await send("welcome")

    async with open_kit() as kit:
        alice, bob, running = await kit.person("alice"), await kit.person("bob"), await kit.bot(bot)
        group = await alice.group("room", [running])
        assert await alice.hears() == "hello 2 of room"
        await kit.drive(group.add, [bob.account])
        assert await alice.hears() == "welcome"
        await kit.settle()
        assert seen == [Changed]


async def test_nothing_is_answered_where_the_bot_is_not_any_more(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chappe")
    bot = Bot("guest", attempts=5)

    @bot.on(Text)
    async def answer(message: Any, talk: Any, later: Any, reply: Any) -> None:
        later("ring", minutes=10)
        if message.text == "wait":
            await trio.sleep(30)
        await reply("here")

    @bot.on_timer("ring")
    async def ring(send: Any) -> None:
        raise AssertionError("it is not there any more")

    async with open_kit() as kit:
        alice, running = await kit.person("alice"), await kit.bot(bot)
        group = await alice.group("room", [running])
        await alice.say(group, "hello")
        assert await alice.hears() == "here"
        await alice.say(group, "wait")
        await alice.say(group, "not any more")
        await kit.drive(group.remove, [running.account])
        await kit.pass_time(hours=1)
        await kit.settle()
        await alice.hears_nothing()
        assert bot.dead_letters.list() == []
        assert bot.statistics().memory.timers == 0
    assert sum("is not in its conversation any more" in line for line in caplog.messages) == 3
    assert any("NotActive" in line for line in caplog.messages)


async def test_own_messages_and_those_that_nobody_wants_pass(autojump_clock: MockClock) -> None:
    bot = Bot("picky")

    @bot.on(Text, command("/go"))
    async def go(reply: Any, send: Any) -> None:
        await reply("/go")
        await send("there")

    async with open_kit() as kit:
        alice, running = await kit.person("alice"), await kit.bot(bot)
        for text in ("hello", "/go", "bye"):
            await alice.say(running, text)
        assert [await alice.hears(), await alice.hears()] == ["/go", "there"]
        await kit.settle()
        await alice.hears_nothing()
        assert bot.statistics().handled == 1
        memory = bot.runner.memory
        assert memory.floor == bot.statistics().lanes.read_seq
