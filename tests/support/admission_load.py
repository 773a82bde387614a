"""Load for proofs of the relay's defence: people at the level of frames, readers that never read, and floods.

``python -m tests.support.admission_load URL COUNT SECONDS`` runs floods from a process of their own, with a low
priority, so that what they cost the machine is the relay's work and not the measuring process's.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError

from protocol import frames as F
from protocol.codec import encode_batch
from protocol.errors import Close
from relay.demo.judge import percentile
from tests.support.people import Person, group, message
from tests.support.wire import Wire, open_wire

BATCH = 128  # frames in one message of a flood


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def rss_bytes(pid: int) -> int:
    """Memory that a process holds now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise LookupError("no VmRSS")


@dataclass
class Pair:
    """Two people who talk to each other; times from PUB to MSG."""

    speaker: Wire
    listener: Wire
    sender: Person
    topic: bytes
    milliseconds: list[float] = field(default_factory=list)

    async def measure(self, count: int, pause_s: float = 0.01) -> float:
        """p99 in ms of ``count`` messages, one at a time."""
        taken: list[float] = []
        for number in range(count):
            body = b"%d" % number
            began = trio.current_time()
            await self.speaker.send(message(self.sender, self.topic, body))
            while True:
                frame = await self.listener.receive()
                if isinstance(frame, F.Ping):
                    await self.listener.send(F.Pong(frame.t))
                if isinstance(frame, F.Msg) and frame.body == body:
                    break
            taken.append((trio.current_time() - began) * 1000)
            self.listener.heard.clear()
            await trio.sleep(pause_s)
        return percentile(taken, 0.99)


async def open_pair(stack: AsyncExitStack, url: str) -> Pair:
    """Two people in a group of their own, live."""
    ann, bob = Person("healthy ann", now_ms()), Person("healthy bob", now_ms())
    a, b = [await stack.enter_async_context(open_wire(url)) for _ in range(2)]
    await a.register(ann)
    await b.register(bob)
    founding = group(ann, bob)
    await a.ok(founding, F.PubResult)
    await b.subscribe(F.Subscription(founding.topic))
    return Pair(a, b, ann, founding.topic)


async def open_audience(stack: AsyncExitStack, url: str, count: int) -> tuple[Wire, Person, bytes, list[Person]]:
    """A speaker and a group of ``count`` registered members, none of them connected."""
    members = [Person(f"never reads {number}", now_ms()) for number in range(count)]
    for member in members:
        async with open_wire(url) as wire:
            await wire.register(member)
    speaker = Person("speaker", now_ms())
    wire = await stack.enter_async_context(open_wire(url))
    await wire.register(speaker)
    first, rest = members[:100], members[100:]
    founding = group(speaker, *first)
    await wire.ok(founding, F.PubResult)
    return wire, speaker, founding.topic, [*first, *rest]


async def never_read(stack: AsyncExitStack, url: str, people: list[Person], topic: bytes) -> list[Wire]:
    """Each logs in, subscribes, and reads nothing from then on."""
    wires = []
    for person in people:
        options = {"message_queue_size": 0, "receive_buffer_size": 4096, "disconnect_timeout_s": 0.01}
        wire = await stack.enter_async_context(open_wire(url, **options))
        await wire.login(person)
        await wire.subscribe(F.Subscription(topic))
        wires.append(wire)
    return wires


async def speak(wire: Wire, speaker: Person, topic: bytes, size: int, pause_s: float) -> None:
    """Publish to the audience until cancelled."""
    while True:
        await wire.send(message(speaker, topic, bytes(size)))
        await trio.sleep(pause_s)


@dataclass
class Floods:
    """What the floods were told."""

    messages: int = 0
    cut_off: int = 0  # by BYE 4007
    refused: int = 0  # connections that did not come about or ended otherwise


async def flood(url: str, number: int, until: float, told: Floods) -> None:
    """Publish as fast as the socket takes it, read nothing, come back at once when cut off."""
    person = Person(f"flood {number}", now_ms())
    is_known = False
    while trio.current_time() < until:
        try:
            async with open_wire(url, disconnect_timeout_s=1) as wire:
                if is_known:
                    await wire.login(person)
                else:
                    await wire.register(person)
                    is_known = True
                # Those that want answers and do not read them are stopped by their own unread answers.
                frames = [message(person, bytes(32), bytes(64), rid=number % 2) for _ in range(BATCH)]
                data = encode_batch(list(frames))
                while trio.current_time() < until:
                    with trio.move_on_after(until - trio.current_time()):
                        await wire.websocket.send_message(data)
                        told.messages += BATCH
        except ConnectionClosed as closed:
            code = closed.reason.code if closed.reason else 1006
            told.cut_off += code == Close.FLOOD
            told.refused += code != Close.FLOOD
        except (ConnectionRejected, HandshakeError, OSError, AssertionError):
            told.refused += 1
        await trio.sleep(0.2)


async def _floods(url: str, count: int, seconds: float) -> Floods:
    told = Floods()
    until = trio.current_time() + seconds
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(flood, url, number, until, told)
    return told


if __name__ == "__main__":
    os.nice(10)
    result = trio.run(_floods, sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
    print(f"{result.messages} {result.cut_off} {result.refused}")
