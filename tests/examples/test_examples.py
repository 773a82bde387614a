"""Every example runs: each in the kit with people who use it, the first one as a process too."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from clients.bot import Bot, load_bots
from clients.client import Client, open_client
from clients.connection import Refusal
from clients.conversations import Conversation
from clients.directory import CannotAdd
from clients.events import Changed, Received, decode_event
from clients.testing import Kit, Person, RunningBot, open_kit
from clients.vault import Secret, Vault
from protocol.content import Reference
from protocol.frames import Role
from protocol.messages import Body, parse
from protocol.messages.chat import Poll, Text, Vote
from relay.testing import open_relay

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def load(name: str) -> Bot:
    """The bot of an example."""
    (bot,) = load_bots(ROOT / "examples" / f"{name}.py")
    return bot


def test_every_example_is_short_and_run_here() -> None:
    others = (Path(__file__).with_name(name).read_text() for name in ("test_workers.py", "test_player.py"))
    text = Path(__file__).read_text() + "".join(others)
    for path in EXAMPLES:
        assert len(path.read_text().splitlines()) <= 60, path
        assert f'"{path.stem}' in text, f"no test runs {path.name}"


@pytest.mark.parametrize("document", ["clients/README.md"])
def test_the_ten_lines_of_the_guide_are_the_example(document: str) -> None:
    assert f"```python\n{(ROOT / 'examples' / 'echo.py').read_text()}```" in (ROOT / document).read_text()


async def ask(person: Person, talk: Conversation, text: str | Body, **options: Any) -> str:
    """Say something; what comes back."""
    await person.say(talk, text, **options)
    return await person.hears()


async def test_echo(autojump_clock: MockClock) -> None:
    async with open_kit() as kit:
        alice, running = await kit.person("alice"), await kit.bot(load("echo"))
        assert await ask(alice, await alice.pair(running), "hi") == "hi"


async def test_reminder_keeps_its_word_through_a_restart(autojump_clock: MockClock) -> None:
    async with open_kit() as kit:
        alice, running = await kit.person("alice"), await kit.bot(load("reminder"))
        talk = await alice.pair(running)
        assert await ask(alice, talk, "/remind me") == "say /remind MINUTES WHAT"
        assert await ask(alice, talk, "/list") == "nothing to remind of"
        for number, (minutes, what) in enumerate([(60, "tea"), (120, "a walk"), (180, "the cat")], 1):
            said = f"/remind {minutes} {what}"
            assert await ask(alice, talk, said) == f"{number}: {what}, in {minutes} minutes"
        assert await ask(alice, talk, "/forget 2") == "forgot a walk"
        assert await ask(alice, talk, "/forget 2") == "there is no such reminder"
        await kit.pass_time(minutes=60)
        assert await alice.hears() == "tea"
        await running.kill()
        await kit.pass_time(minutes=60)
        await kit.bot(load("reminder"))
        assert await ask(alice, talk, "/list") == "3: the cat"
        await kit.pass_time(minutes=60)
        assert await alice.hears() == "the cat"
        await kit.pass_time(hours=24)
        await alice.hears_nothing()


async def test_poll_asks_and_counts(autojump_clock: MockClock) -> None:
    async with open_kit() as kit:
        alice, bob, running = await kit.person("alice"), await kit.person("bob"), await kit.bot(load("poll"))
        group = await alice.group("tea club", [bob, running])
        there = await mirrored(kit, bob, group)
        assert await ask(alice, group, "/result") == "There is no poll; /poll begins one."
        assert await ask(alice, group, "/poll") == "What is the question?"
        await bob.say(there, "what is going on?")  # is no part of alice's dialog
        assert await ask(alice, group, "Which tea?") == "what is going on?"
        assert await alice.hears() == "What are the options? Separate them by commas."
        assert await ask(alice, group, "green") == "A poll has 2 to 20 options. Separate them by commas."
        await alice.say(group, "green, black, none at all")
        poll = await alice.hears_message()
        assert isinstance(poll.body, Poll)
        assert poll.body.options == ("green", "black", "none at all")
        for voter, talk, choice in ((alice, group, 0), (bob, there, 0), (bob, there, 1), (alice, group, 9)):
            await voter.say(talk, Vote(choices=(choice,)), re=Reference(poll.id))
        await kit.settle()
        await alice.say(group, Vote(choices=(0,)), re=Reference(poll.id))
        await alice.say(group, "/result")
        results = [await alice.hears() for _ in range(3)]
        assert results[-1] == "Which tea?\ngreen: 1\nblack: 1\nnone at all: 0"


async def mirrored(kit: Kit, person: Person | RunningBot, talk: Conversation) -> Conversation:
    """A conversation as somebody else has it."""
    await kit.until(lambda: talk.topic in person.client.conversations, "the invitation")
    return person.client.conversation(talk.topic)


async def test_moderation_warns_and_puts_out(autojump_clock: MockClock) -> None:
    async with open_kit() as kit:
        alice, bob, running = await kit.person("alice"), await kit.person("bob"), await kit.bot(load("moderation"))
        group = await alice.group("room", [bob])
        await kit.drive(lambda: group.add([running.account], role=Role.ADMIN))
        there = await mirrored(kit, bob, group)
        await mirrored(kit, running, group)
        assert await ask(alice, group, "/forbid Coffee") == "forbidden here: coffee"
        assert await ask(alice, group, "/forbid") == "forbidden here: coffee"
        assert [await bob.hears() for _ in range(4)][-1] == "forbidden here: coffee"
        await bob.say(there, "/pardon")  # is no admin
        await bob.say(there, "tea is fine")
        await kit.settle()
        assert await ask(bob, there, "a COFFEE, please!") == "not here, please (warning 1 of 2)"
        assert await ask(bob, there, "coffee") == "not here, please (warning 2 of 2)"
        await bob.say(there, "coffee!")
        await kit.until(lambda: bob.account not in group.members, "bob to be put out")
        heard = [await alice.hears() for _ in range(8)]
        assert heard[-1] == "somebody was put out, after two warnings"
        assert await ask(alice, group, "/allow coffee") == "forbidden here: nothing"
        assert await ask(alice, group, "/pardon") == "forbidden here: nothing"
        assert any(isinstance(event, Changed) and event.removed for event in await group.history())


async def test_bridge_carries_both_ways_and_each_message_once(autojump_clock: MockClock) -> None:
    names = runpy.run_path(str(ROOT / "examples" / "bridge.py"))
    async with open_kit() as kit:
        other = await kit.open_relay()
        alice, bob = await kit.person("alice"), await kit.person("bob", relay=other)
        left, right = await kit.bot(names["left"]), await kit.bot(names["right"], relay=other)
        here, there = await alice.group("bridge", [left]), await bob.group("bridge", [right])
        await mirrored(kit, left, here)
        await mirrored(kit, right, there)
        await alice.say(here, "is anybody there?")
        assert await bob.hears() == f"{alice.account.hex()[:8]}: is anybody there?"
        await kit.drive(left.client.add_contact, alice.account, "Alice")
        assert await ask_over(alice, here, bob, "and now?") == "Alice: and now?"
        assert await ask_over(bob, there, alice, "yes") == f"{bob.account.hex()[:8]}: yes"
        await right.stop()
        await alice.say(here, "the other side is away")
        await kit.pass_time(minutes=5)
        await kit.bot(names["right"], relay=other)
        assert await bob.hears() == "Alice: the other side is away"
        await alice.hears_nothing()
        await bob.hears_nothing()


async def ask_over(sender: Person, talk: Conversation, hearer: Person, text: str) -> str:
    """Say something on one side; what is heard on the other."""
    await sender.say(talk, text)
    return await hearer.hears()


async def test_the_bridge_is_a_program_of_two_bots(autojump_clock: MockClock) -> None:
    names = runpy.run_path(str(ROOT / "examples" / "bridge.py"))
    async with open_kit() as kit, trio.open_nursery() as nursery:
        nursery.start_soon(names["main"], kit.relay.url, (await kit.open_relay()).url, str(kit.folder))
        await kit.until(lambda: all(names[side].is_running for side in ("left", "right")), "both to run")
        for side in ("left", "right"):
            names[side].stop()
        await kit.until(lambda: not any(names[side].is_running for side in ("left", "right")), "both to end")


async def test_echo_as_a_process_killed_and_started_again(tmp_path: Path) -> None:
    """Real sockets, a real process, `kill -9` in the middle, SIGTERM at the end."""
    with trio.fail_after(60):
        async with open_relay(data=tmp_path / "relay") as relay:
            vault = Vault(tmp_path / "alice" / "vault.db", Secret.key_file(tmp_path / "alice" / "vault.key"))
            async with open_client(relay.url, vault) as alice:
                first = await start_echo(relay.url, tmp_path)
                talk = await pair_with(alice, "echo")
                account = talk.peer
                assert account is not None
                for number in range(100):
                    await talk.send(str(number))
                await heard(alice, account, 5)
                first.send_signal(signal.SIGKILL)
                await first.wait()
                second = await start_echo(relay.url, tmp_path)
                await talk.send("last")
                assert await heard(alice, account, 101) == [*map(str, range(100)), "last"]
                second.send_signal(signal.SIGTERM)
                assert await second.wait() == 0
            vault.close()


async def start_echo(url: str, folder: Path) -> trio.Process:
    """`python examples/echo.py`, with its address and data from the environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CHAPPE_")}
    environment = {**clean, "CHAPPE_URL": url, "CHAPPE_DATA": str(folder / "echo")}
    with (folder / "echo.log").open("ab") as log:
        return await trio.lowlevel.open_process(
            [sys.executable, str(ROOT / "examples" / "echo.py")], env=environment, stderr=log, stdin=subprocess.DEVNULL
        )


async def pair_with(client: Client, handle: str) -> Conversation:
    """The conversation with whoever has a handle, as soon as somebody has it and can be added."""
    while True:
        try:
            return await client.pair(await client.find(handle))
        except (Refusal, CannotAdd):
            await trio.sleep(0.02)


async def heard(client: Client, account: bytes, count: int) -> list[str]:
    """The first texts of somebody."""
    while True:
        rows = client.engine.shelf.vault.events(0, 1000)
        events = [event for event in (decode_event(value, seq) for seq, value in rows) if isinstance(event, Received)]
        bodies = [parse(event.content).body for event in events if event.account == account]
        if len(bodies) >= count:
            return [body.text for body in bodies if isinstance(body, Text)]
        await client.wait_news()
