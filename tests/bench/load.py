"""A load of stored messages over real websockets: a closed loop of pipelined PUBs, as a process of its own.

``python -m tests.bench.load URL SECONDS CONNECTIONS WAITING``; prints one JSON line. Each connection founds a topic of
its own and keeps WAITING/CONNECTIONS PUBs of 300 bytes unanswered, sent as batches of random bodies.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from dataclasses import dataclass

import msgspec
import trio

from protocol import frames as F
from protocol.codec import encode_batch, encode_struct
from protocol.ids import TopicKind, group_topic, new_id
from tests.support.people import Person
from tests.support.wire import Wire, open_wire

BODY_BYTES = 300
_OK, _ERR = 3, 4


@dataclass(frozen=True, slots=True)
class LoadFigures:
    """What the relay acknowledged. Latencies are from sending a PUB to its OK."""

    stored: int
    seconds: float
    per_second: float
    p50_ms: float
    p99_ms: float


class Publisher:
    """One connection in a closed loop."""

    def __init__(self, wire: Wire, person: Person, window: int) -> None:
        self._wire = wire
        self._person = person
        self._window = window
        self._sent: dict[int, float] = {}
        self._topic = b""
        self._body = os.urandom(BODY_BYTES)
        self._rid = 1 << 20
        self.latencies: list[float] = []

    async def found(self) -> None:
        """Register, and found a group of one."""
        await self._wire.register(self._person)
        nonce = os.urandom(16)
        self._topic = group_topic(self._person.account, nonce)
        header = encode_struct(F.AccessChange())
        await self._wire.ok(
            F.Pub(
                0, self._topic, new_id(time.time_ns() // 1_000_000, os.urandom), None, F.Flag.COMMIT | F.Flag.ACCESS,
                (1, 0), None, 0, header, b"commit", F.Bundle(F.Create(TopicKind.GROUP, nonce)),
            ),
            F.PubResult,
        )  # fmt: skip

    async def run(self, seconds: float) -> None:
        """Send and count for a while, then wait for what is still under way."""
        ends = time.perf_counter() + seconds
        await self._send(self._window)
        while self._sent:
            data = await self._wire.websocket.get_message()
            assert isinstance(data, bytes)
            frame = msgspec.msgpack.decode(data)
            if frame[0] == _OK:
                now = time.perf_counter()
                self.latencies.append(now - self._sent.pop(frame[1]))
                if now < ends and len(self._sent) <= self._window - min(64, self._window // 4):
                    await self._send(self._window - len(self._sent))
            elif frame[0] == _ERR:
                raise RuntimeError(f"the relay refused a PUB: {frame}")

    async def _send(self, count: int) -> None:
        now, now_ms = time.perf_counter(), time.time_ns() // 1_000_000
        pubs: list[F.Frame] = []
        for _ in range(count):
            self._rid += 1
            self._sent[self._rid] = now
            pubs.append(F.Pub(self._rid, self._topic, new_id(now_ms, os.urandom), epoch=(1, 1), body=self._body))
        for start in range(0, count, 256):
            await self._wire.websocket.send_message(encode_batch(pubs[start : start + 256]))


async def load(url: str, seconds: float, connections: int, waiting: int) -> LoadFigures:
    """Run the load against a relay."""
    latencies: list[float] = []
    async with trio.open_nursery() as nursery:
        publishers: list[Publisher] = []
        ready = trio.Event()
        done: list[float] = []

        async def one(number: int) -> None:
            person = Person(f"load-{number}-{os.getpid()}", time.time_ns() // 1_000_000)
            async with open_wire(url, message_queue_size=256) as wire:
                publisher = Publisher(wire, person, waiting // connections)
                await publisher.found()
                publishers.append(publisher)
                if len(publishers) == connections:
                    ready.set()
                await ready.wait()
                began = time.perf_counter()
                await publisher.run(seconds)
                done.append(time.perf_counter() - began)

        for number in range(connections):
            nursery.start_soon(one, number)
    for publisher in publishers:
        latencies += publisher.latencies
    quantiles = statistics.quantiles(latencies, n=100)
    took = max(done)
    return LoadFigures(len(latencies), took, len(latencies) / took, quantiles[49] * 1000, quantiles[98] * 1000)


if __name__ == "__main__":
    figures = trio.run(load, sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    print(json.dumps(msgspec.to_builtins(figures)))
