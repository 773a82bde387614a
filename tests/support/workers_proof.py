"""Workers as real processes against a relay process: what the proof runs."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import trio

from clients.client import Client
from clients.connection import Refusal
from clients.events import AnyEvent, Received
from protocol import frames as F
from protocol import requests as R
from protocol.errors import Code
from protocol.ids import inbox_topic, slot_inbox, slot_of
from protocol.messages import Body, parse
from protocol.messages.ext import Reply, Request
from relay.ops_client import Ops
from tests.support.people import Person
from tests.support.proof import ROOT, check
from tests.support.spine.talks import open_person, open_relay_process, wait_for
from tests.support.wire import Wire, open_wire

DICE = ROOT / "examples" / "dice.py"
WAIT_S = 60
BROKEN = """
from extensions.worker import Worker
worker = Worker("broken", consumes=("ext.request",))
import os
os._exit(7)
"""


@dataclass(eq=False)
class WorkerProcess:
    """A worker as a program; its log is a file."""

    process: trio.Process
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    async def until(self, text: str, seconds: float = WAIT_S) -> None:
        """Wait until the log says something."""
        deadline = trio.current_time() + seconds
        while text not in self.said:
            check(trio.current_time() < deadline, f"the worker did not say {text!r}; see {self.log}")
            await trio.sleep(0.02)

    async def kill(self) -> int:
        """kill -9, and its return code."""
        self.process.send_signal(signal.SIGKILL)
        return await self.process.wait()


@asynccontextmanager
async def open_worker(home: Path, name: str, url: str, program: Path = DICE) -> AsyncIterator[WorkerProcess]:
    """A process of a worker; its processes share ``home``/worker."""
    log = home / f"{name}.log"
    command = [sys.executable, str(program), "--relay", url, "--data", str(home / "worker")]
    with log.open("wb") as out:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = await trio.lowlevel.open_process(command, stderr=out, env=environment)
    worker = WorkerProcess(process, log)
    try:
        yield worker
    finally:
        if process.returncode is None:
            process.terminate()
            with trio.move_on_after(20, shield=True):
                await process.wait()
        if process.returncode is None:
            process.kill()


async def find(client: Client, handle: str) -> bytes:
    """The account of a worker that is just starting."""
    deadline = trio.current_time() + WAIT_S
    while True:
        try:
            return await client.find(handle)
        except Refusal:
            check(trio.current_time() < deadline, f"nobody took the handle {handle}")
            await trio.sleep(0.1)


def request(**params: int) -> Request:
    """Ask the dice."""
    return Request(method="roll", params=msgspec.Raw(msgspec.msgpack.encode(params)))


def answers(events: list[AnyEvent]) -> dict[bytes, list[Body]]:
    """Replies by the id of what they answer."""
    found: dict[bytes, list[Body]] = {}
    for event in events:
        if isinstance(event, Received) and not event.mine:
            message = parse(event.content)
            if isinstance(message.body, Reply) and message.content.re is not None:
                found.setdefault(message.content.re.id, []).append(message.body)
    return found


async def history(client: Client, topic: bytes) -> list[AnyEvent]:
    """Everything that was told of a conversation."""
    return list(await client.conversation(topic).history(100_000))


async def answered(client: Client, topic: bytes, ids: list[bytes], seconds: float = WAIT_S) -> dict[bytes, list[Body]]:
    """Wait until all of these are answered."""
    with trio.move_on_after(seconds):
        while not set(ids) <= answers(await history(client, topic)).keys():
            with trio.move_on_after(0.2):
                await client.wait_news()
    found = answers(await history(client, topic))
    check(set(ids) <= found.keys(), f"{len(set(ids) - found.keys())} of {len(ids)} requests are not answered")
    return found


async def b8_worker_dies(seed: int, jobs: int = 8) -> dict[str, Any]:
    """kill -9 of a process in the middle of jobs: another one finishes them, each with exactly one result."""
    chance = random.Random(seed)
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with (
            open_relay_process(home) as relay,
            open_worker(home, "first", relay.url) as first,
            open_person(home, "alice", relay.url) as alice,
        ):
            account = await find(alice, "dice")
            await first.until("256 slots granted")
            async with open_worker(home, "second", relay.url) as second:
                await second.until("128 slots granted")
                topic = (await alice.pair(account)).topic
                talk = alice.conversation(topic)
                ids = [await talk.send(request(sides=6)) for _ in range(jobs)]
                await answered(alice, topic, ids)
                slow = await talk.send(request(sides=6, ms=1000 + chance.randrange(1000)))
                ids += [slow, *[await talk.send(request(sides=6)) for _ in range(jobs)]]
                both = {first: second, second: first}
                busy = await _who_is_at(list(both), jobs + 1)
                killed_at = trio.current_time()
                code = await busy.kill()
                check(code == -signal.SIGKILL, f"the worker ended with {code} before it was killed")
                found = await answered(alice, topic, ids)
                took_s = trio.current_time() - killed_at
                await trio.sleep(1)  # a second result would come by now
                found = answers(await history(alice, topic))
                twice = [bodies for bodies in found.values() if len(bodies) != 1]
                check(not twice, f"{len(twice)} requests have more than one result")
                check(both[busy].said.count("rolling for") >= jobs, "the other process did not take over")
            rolls = _rolls(home / "worker" / "worker.db")
            check(rolls == len(ids), f"{len(ids)} requests, and {rolls} rolls in the worker's own books")
            return {"requests": len(ids), "results": len(found), "books": rolls, "s to go on": round(took_s, 1)}


async def _who_is_at(workers: list[WorkerProcess], job: int) -> WorkerProcess:
    deadline = trio.current_time() + WAIT_S
    while True:
        for worker in workers:
            if worker.said.count("rolling for") >= job:
                return worker
        check(trio.current_time() < deadline, "no process has begun the slow job")
        await trio.sleep(0.02)


def _rolls(database: Path) -> int:
    with sqlite3.connect(database) as connection:
        count = connection.execute("SELECT coalesce(sum(count), 0) FROM rolls").fetchone()[0]
    connection.close()
    return int(count)


# -- B9 ----------------------------------------------------------------------------------------------------------------
async def b9_not_added(seed: int) -> dict[str, Any]:
    """A worker that was not added to a conversation gets nothing of it, however it asks."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with (
            open_relay_process(home) as relay,
            open_worker(home, "dice", relay.url),
            open_person(home, "alice", relay.url) as alice,
            open_person(home, "bob", relay.url) as bob,
        ):
            dice = await find(alice, "dice")
            spy = Person(f"spy {seed}", int(time.time() * 1000), service=True)
            async with open_wire(relay.url) as wire:
                await wire.register(spy)
            async with open_wire(relay.url) as wire:
                await wire.login(spy, features=(F.SLOTS_FEATURE,))
                await wire.ok(F.Sub(0, None, F.GROUP_SHARED), type(None))
                granted = await wire.expect(F.Evt, lambda evt: evt.name == "slots")
                tokens = dict(msgspec.msgpack.decode(granted.payload, type=R.SlotsChanged).granted)
                private = (await alice.pair(bob.account)).topic
                with_dice = (await alice.pair(dice)).topic
                secret = f"nobody but us {random.Random(seed).getrandbits(64):x}"
                await alice.conversation(private).send(secret)
                await alice.conversation(with_dice).send(request(sides=6))
                await wait_for(bob, lambda event: isinstance(event, Received), "alice's message")
                refused = [await _tries(wire, spy, topic, tokens) for topic in (private, with_dice)]
                others = [inbox_topic(alice.account), inbox_topic(dice), slot_inbox(dice, slot_of(with_dice))]
                refused.append(await _inboxes(wire, others))
                with trio.move_on_after(1):
                    while True:
                        await wire.receive()
                topics = _news(wire)
                check(topics <= _own(spy), f"the worker was told of {len(topics - _own(spy))} foreign topics")
                stray = [frame for frame in wire.heard if isinstance(frame, F.Msg) and frame.account != spy.account]
                check(not stray, f"{len(stray)} entries of others reached the worker")
                check(secret.encode() not in repr(wire.heard).encode(), "the secret was heard")
            return {"refusals": sum(refused), "entries heard": 0, "topics heard of": len(topics)}


async def _tries(wire: Wire, spy: Person, topic: bytes, tokens: dict[int, int]) -> int:
    (sub,) = await wire.subscribe(F.Subscription(topic, last=0))
    check((sub.tid, sub.code, sub.head) == (0, Code.NOT_FOUND, 0), f"SUB was answered {sub}")
    (head,) = await wire.request("topics.heads", R.GetHeads((topic,)), list[F.SubResult])
    check((head.code, head.head) == (Code.NOT_FOUND, 0), f"topics.heads was answered {head}")
    token = tokens[slot_of(topic)].to_bytes(8, "big")
    pub = F.Pub(0, topic, spy.id(), epoch=(1, 1), body=b"let me in", token=token)
    for frame in (pub, _req("topics.members", R.GetMembers(topic)), _req("topics.reserve", R.Reserve(topic))):
        refusal = await wire.err(frame)
        check(refusal.code == Code.NOT_FOUND, f"{type(frame).__name__} was answered {refusal.code}")
    await wire.send(F.Ack(1, 1, token), F.Ack(2, 1, token))
    return 5


async def _inboxes(wire: Wire, topics: list[bytes]) -> int:
    results = await wire.subscribe(*[F.Subscription(topic, last=0) for topic in topics])
    check(all(result.code == Code.NOT_FOUND for result in results), f"SUB of inboxes was answered {results}")
    return len(results)


def _req(method: str, params: R.Params) -> F.Req:
    return F.Req(0, method, msgspec.Raw(msgspec.msgpack.encode(params)))


def _news(wire: Wire) -> set[bytes]:
    events = [frame for frame in wire.heard if isinstance(frame, F.Evt) and frame.name == "topic"]
    return {msgspec.msgpack.decode(event.payload, type=R.TopicNews).topic for event in events}


def _own(person: Person) -> set[bytes]:
    return {inbox_topic(person.account)} | {slot_inbox(person.account, slot) for slot in range(256)}


# -- beside a relay ----------------------------------------------------------------------------------------------------
async def crash_loop(seed: int) -> dict[str, Any]:
    """A worker that dies at each start stays down after a few times, loudly, and the relay goes on."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        broken = home / "broken.py"
        broken.write_text(BROKEN)
        async with (
            open_relay_process(home, "--with", f"{broken},{DICE}") as relay,
            open_person(home, "alice", relay.url) as alice,
        ):
            began = trio.current_time()
            state: dict[str, Any] = {}
            while not state.get("down"):
                check(trio.current_time() - began < WAIT_S, "the broken worker was never given up")
                await trio.sleep(0.2)
                status, body = await trio.to_thread.run_sync(Ops(relay.ops, "").get, "/readyz")
                ready = json.loads(body)
                state, sound = ready["workers"]
            check(status == 200, "the relay is not ready because of a worker")
            check(any("is down" in reason for reason in ready["reasons"]), "readyz does not say why")
            check("worker-down" in (home / "relay.log").read_text(), "the log does not say it")
            doctor = await trio.run_process(
                [str(Path(sys.executable).with_name("chappe")), "doctor", "--data", str(relay.data)],
                capture_stdout=True, check=False,
            )  # fmt: skip
            check(b"down" in doctor.stdout, "the doctor does not say it")
            topic = (await alice.pair(await find(alice, "dice"))).topic
            await answered(alice, topic, [await alice.conversation(topic).send(request(sides=6))])
            pid = sound["pid"]
            check(pid and sound["restarts"] == 0, "the sound worker was disturbed")
            await relay.stop()
            check(not _lives(pid), "the worker outlived its relay")
            return {"starts": state["restarts"] + 1, "down after s": round(trio.current_time() - began, 1)}


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def never_answers(seed: int) -> dict[str, Any]:
    """A job that never ends holds up its own conversation only, is seen from outside, and ends with its process."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with (
            open_relay_process(home) as relay,
            open_worker(home, "dice", relay.url) as dice,
            open_person(home, "alice", relay.url) as alice,
            open_person(home, "bob", relay.url) as bob,
        ):
            account = await find(alice, "dice")
            stuck, free = (await alice.pair(account)).topic, (await bob.pair(account)).topic
            await alice.conversation(stuck).send(request(sides=6, ms=100_000_000))
            await dice.until("rolling for")
            behind = await alice.conversation(stuck).send(request(sides=6))
            began = trio.current_time()
            await answered(bob, free, [await bob.conversation(free).send(request(sides=6))])
            took_s = trio.current_time() - began
            check(behind not in answers(await history(alice, stuck)), "a conversation was answered out of order")
            (home / "all").mkdir()
            (home / "all" / "dice").symlink_to(home / "worker")
            command = [str(Path(sys.executable).with_name("chappe")), "worker", "list", "--data", str(home / "all")]
            seen = await trio.run_process([*command, "--json"], capture_stdout=True)
            figures = json.loads(seen.stdout)
            check(figures["depth"] == 2, f"worker list says {figures}")
            check(figures["running"], "worker list does not see that it runs")
            began = trio.current_time()
            dice.process.terminate()
            with trio.move_on_after(WAIT_S):
                await dice.process.wait()
            check(dice.process.returncode == 0, f"it ended with {dice.process.returncode}")
            return {
                "others answered in s": round(took_s, 2), "depth": figures["depth"],
                "ended in s": round(trio.current_time() - began, 1),
            }  # fmt: skip
