"""Frames per second of our websocket parser beside wsproto's in the same run, and what masking costs by size.

``python -m tests.bench.websocket [seconds a measurement]``. Figures are for comparing within one run.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage

from protocol.websocket import Accepted, Client, Connecting, Opening, Policy, Server, frame
from protocol.websocket.masking import HELPER, xor, xor_in_python

SECONDS = 0.3
FRAMES = 16  # in one chunk, as a busy socket gives them
SIZES = (0, 120, 128, 300, 1024, 16_384, 65_535)
GOAL_NS = 1500  # for a message of 128 bytes among 16
GOAL_SIZE = 128
IDLE_BYTES_GOAL = 300


@dataclass(frozen=True, slots=True)
class Row:
    """Nanoseconds a message of ``size`` bytes, by each parser."""

    what: str
    size: int
    ours_ns: float
    wsproto_ns: float

    def line(self) -> str:
        """For people."""
        ratio = self.wsproto_ns / self.ours_ns
        return (
            f"{self.what:<22} {self.size:>6} B   ours {self.ours_ns:>9,.0f} ns ({1e9 / self.ours_ns:>11,.0f}/s)"
            f"   wsproto {self.wsproto_ns:>9,.0f} ns   {ratio:5.1f} ×"
        )


def nanoseconds(call: Callable[[], object], seconds: float) -> float:
    """The time of one call: the best of five rounds, since the others were disturbed."""
    count, best = 1, float("inf")
    while True:
        began = time.perf_counter()
        for _ in range(count):
            call()
        took = time.perf_counter() - began
        if took > seconds / 10:
            break
        count *= 2
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(count):
            call()
        best = min(best, time.perf_counter() - began)
    return best / count * 1e9


def by_wsproto(theirs: Connection, data: bytes) -> int:
    """The same chunk through wsproto; how many messages ended in it."""
    theirs.receive_data(data)
    return sum(1 for event in theirs.events() if isinstance(event, BytesMessage) and event.message_finished)


def parsing(size: int, seconds: float) -> list[Row]:
    """A chunk of messages of one size, in both roles. wsproto's parsers live on, as ours do."""
    source = random.Random(size)
    client, server = Client(source.randbytes), Server()
    payloads = [source.randbytes(size) for _ in range(FRAMES)]
    up = b"".join(client.frame(payload) for payload in payloads)
    down = b"".join(map(frame, payloads))
    assert server.receive(up) == client.receive(down) == payloads
    rows = []
    for what, ours, role, data in (
        ("server, masked", server, ConnectionType.SERVER, up),
        ("client, not masked", client, ConnectionType.CLIENT, down),
    ):
        theirs = Connection(role)

        assert by_wsproto(theirs, data) == FRAMES
        mine = nanoseconds(partial(ours.receive, data), seconds)
        other = nanoseconds(partial(by_wsproto, theirs, data), seconds)
        rows.append(Row(what, size, mine / FRAMES, other / FRAMES))
    return rows


def masking(size: int, seconds: float) -> str:
    """One XOR of one payload, by what is used and by plain Python."""
    data, key = random.Random(size).randbytes(size), b"\x12\x34\x56\x78"
    used = nanoseconds(lambda: xor(data, key), seconds)
    line = f"masking                {size:>6} B   {used:>9,.0f} ns"
    if HELPER is None:
        return f"{line}   (Python; no helper in C is installed)"
    return f"{line}   in Python {nanoseconds(lambda: xor_in_python(data, key), seconds):>9,.0f} ns"


def handshake(seconds: float) -> float:
    """Nanoseconds to read a browser's request, to answer it, and to make the parser of the connection."""
    request = Connecting(b"relay.example", b"/ws", bytes(16), subprotocol="chappe.v1", origin=b"https://relay.example")
    more = b"\r\nUser-Agent: bench\r\nAccept-Language: en\r\nCache-Control: no-cache\r\nCookie: a=b\r\n\r\n"
    data = request.request()[:-4] + more
    policy = Policy(subprotocol="chappe.v1")

    def one() -> None:
        accepted = Opening(policy).receive(data)
        assert isinstance(accepted, Accepted)
        accepted.response()
        Server()

    return nanoseconds(one, seconds)


def main(seconds: float = SECONDS) -> int:
    """Print a line a measurement; the exit code is 1 if a goal is missed."""
    rows = [row for size in SIZES for row in parsing(size, seconds)]
    for row in rows:
        print(row.line())
    for size in SIZES[1:]:
        print(masking(size, seconds))
    print(f"handshake, server      {handshake(seconds) / 1000:>10,.1f} µs")
    idle = sys.getsizeof(Server())
    print(f"an idle parser         {idle:>6} B (goal: under {IDLE_BYTES_GOAL})")
    reached = next(row.ours_ns for row in rows if row.size == GOAL_SIZE)
    print(f"a {GOAL_SIZE}-byte message costs {reached:,.0f} ns of {GOAL_NS:,} allowed")
    return int(reached >= GOAL_NS or idle >= IDLE_BYTES_GOAL)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS))
