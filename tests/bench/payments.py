"""Payments per second end to end: each signed, sealed, stored by the relay, opened, settled, and answered.

``python -m tests.bench.payments [TRANSFERS]``: relay, worker and payers are a process each.

*drain*: the payments wait at the relay when the worker starts, so nothing but relay and worker is at work. *live*:
payers send as fast as they can, on the same cores. A timer looks at what the worker's main thread is doing every few
milliseconds: that is the profile which says what the ceiling is.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, Final

import msgspec
import trio

from clients.client import Client
from clients.records import META, Identity
from extensions.host import Process, open_database, serve
from extensions.letters import opened
from extensions.program import prepare_process
from extensions.settlement import operations as ops
from extensions.settlement.operations import decode_record
from extensions.settlement.orders import Order, carry_out
from extensions.settlement.worker import FILE, make_worker, open_the_books
from protocol.ids import pair_topic
from protocol.messages import pay as P
from storage.ledger_base import JournalRow
from storage.sqlite import unix_ms
from tests.support.money import fields, sign
from tests.support.proof import ROOT, check
from tests.support.spine.talks import open_person, open_relay_process
from tests.support.workers_proof import find

PAYERS: Final = 16
TRANSFERS: Final = 4000
LOOK_S: Final = 0.003
WAIT_S: Final = 300
CONFIG: Final = "publishes_per_s = 1000000\nbytes_per_s = 1000000000\n"
# The innermost frame whose file ends like this says what a sample is; what is above has the first word.
PARTS: Final = (
    ("opening messages (MLS)", "clients/receive.py:_message"), ("sealing answers (MLS)", "clients/outbox.py:_seal"),
    ("the vault's rows", "clients/journal.py:commit"), ("receipts", "settlement/voice.py:speak"),
    ("judging", "settlement/desk.py:"), ("books", "settlement/books.py:"), ("jobs", "extensions/runner.py:"),
    ("jobs", "extensions/items.py:"), ("log and chain", "clients/receive.py:"), ("outbox", "clients/outbox.py:"),
    ("frames", "protocol/codec.py:"), ("frames", "clients/connection.py:"), ("frames", "extensions/keeper.py:"),
    ("websocket", "/wsproto/"), ("websocket", "/trio_websocket/"), ("idle", "_io_epoll.py:get_events"),
)  # fmt: skip


# -- the worker's process ----------------------------------------------------------------------------------------------
class Sampler:
    """What the main thread was doing, sample by sample: a timer interrupts it."""

    def __init__(self) -> None:
        self.parts: Counter[str] = Counter()
        self.leaves: Counter[str] = Counter()

    def start(self) -> None:
        """Look from now on."""
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, LOOK_S, LOOK_S)

    def _look(self, number: int, frame: FrameType | None) -> None:
        stack = list(_names(frame))
        self.parts[part_of(stack)] += 1
        self.leaves[stack[0]] += 1

    def stop(self) -> None:
        """Look no more."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def shares(self) -> dict[str, float]:
        """Parts of the time, the largest first."""
        total = self.parts.total() or 1
        return {part: round(count / total, 3) for part, count in self.parts.most_common()}


def _names(frame: FrameType | None) -> Any:
    while frame is not None:
        yield f"{frame.f_code.co_filename}:{frame.f_code.co_name}"
        frame = frame.f_back


def part_of(stack: list[str]) -> str:
    """The part that a stack belongs to."""
    for part, mark in PARTS:
        if any(mark in name for name in stack):
            return part
    return "trio and the rest"


async def _when(condition: Callable[[], bool], every_s: float = 0.01) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await trio.sleep(every_s)


async def work(url: str, data: Path, wanted: int) -> dict[str, Any]:
    """Be the worker until so many payments are settled and all answers are stored; times and profile."""
    worker, stop, processes = make_worker(), trio.Event(), list[Process]()
    settlement = worker.take.__self__  # type: ignore[union-attr]
    sampler = Sampler()
    with open_database(worker, data) as vault:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(serve, worker, url, vault, stop, started=processes.append))
            await _when(lambda: settlement.books is not None)
            books, engine = settlement.books, processes[-1].engine
            first = books.sequence
            print("ready", flush=True)
            await _when(lambda: books.sequence > first, 0.002)
            sampler.start()
            began, cpu, main = time.perf_counter(), time.process_time(), time.thread_time()
            begun = books.sequence
            await _when(lambda: books.sequence >= first + wanted)
            settled_s = time.perf_counter() - began
            while await books.outbox(0, 1):  # noqa: ASYNC110 - likewise
                await trio.sleep(0.01)
            await _when(lambda: not engine.shelf.outgoing)
            answered_s = time.perf_counter() - began
            cpu_s, main_s = time.process_time() - cpu, time.thread_time() - main
            sampler.stop()
            stop.set()
    count = first + wanted - begun
    return {
        "settled /s": round(count / settled_s), "answered /s": round(count / answered_s),
        "worker cpu ms": round(cpu_s / count * 1000, 3), "of it main thread ms": round(main_s / count * 1000, 3),
        "wall ms": round(answered_s / count * 1000, 3),
        "parts": {part: round(share * answered_s / count * 1000, 3) for part, share in sampler.shares().items()},
        "leaves": sampler.leaves.most_common(40),
    }  # fmt: skip


# -- the others --------------------------------------------------------------------------------------------------------
@dataclass
class Town:
    """A relay, the directory of its worker, and people who have wallets."""

    home: Path
    url: str
    relay_pid: int

    @property
    def workers(self) -> Path:
        """The directory of all workers."""
        return self.home / "workers"

    @asynccontextmanager
    async def worker(self, wanted: int) -> AsyncIterator[trio.Process]:
        """The worker's process, once it has its books open."""
        data = str(self.workers / "settlement")
        command = [sys.executable, "-m", "tests.bench.payments", "work", self.url, data, str(wanted)]
        process = await trio.lowlevel.open_process(command, stdout=-1, env={**os.environ, "PYTHONPATH": str(ROOT)})
        try:
            await _line(process)
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    @asynccontextmanager
    async def people(self, count: int) -> AsyncIterator[list[Client]]:
        """The payee and so many payers."""
        async with AsyncExitStack() as stack:
            names = ["payee", *[f"payer{n}" for n in range(count)]]
            yield [await stack.enter_async_context(open_person(self.home, name, self.url)) for name in names]

    async def order(self, *asked: Order) -> None:
        """Orders of the operator, while no worker runs."""
        with opened(self.workers, "settlement") as vault:
            identity = msgspec.msgpack.decode(vault.get(META, b"identity") or b"", type=Identity)
            async with open_the_books(vault.path.with_name(FILE), identity, unix_ms) as books:
                for order in asked:
                    done = await carry_out(books, order)
                    check(done.code in (0, 31), done.text)


async def _line(process: trio.Process) -> bytes:
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        part = await process.stdout.receive_some(65536)
        check(bool(part), "the worker ended")
        line += part
    return line


async def found(town: Town, payers: int, money: int) -> None:
    """Wallets for all, and money for the payers."""
    async with town.worker(1 << 40):
        pass
    await town.order(Order("open", b"-", "EUR", 2))
    async with town.worker(1 << 40) as process, town.people(payers) as people:
        for client in people:
            await client.wallet.open("EUR", worker=await find(client, "settlement"))
        process.terminate()
        await process.wait()
        accounts = [client.account for client in people]
    await town.order(*[Order("issue", os.urandom(16), "EUR", 2, account, money) for account in accounts])


async def send(people: list[Client], share: int) -> None:
    """Every payer authorizes so many payments; returns when all are stored by the relay."""
    payee, *payers = people
    made = [[_authorize(payer, payee.account) for _ in range(share)] for payer in payers]
    async with trio.open_nursery() as nursery:
        for payer, bodies in zip(payers, made, strict=True):
            nursery.start_soon(_send_all, payer, bodies)


def _authorize(client: Client, payee: bytes) -> P.Authorize:
    return P.Authorize(signed=sign(fields(client, payee, 1), client.engine.shelf.device))


async def _send_all(client: Client, bodies: list[P.Authorize]) -> None:
    topic = pair_topic(client.account, client.wallet.home.worker)
    for number, body in enumerate(bodies):
        client.wallet.book.say(topic, body)
        if number % 64 == 63:
            await client.engine.shelf.journal.flushed()
    await _when(lambda: not client.engine.shelf.outgoing)


def _cpu_s(pid: int) -> float:
    """What a process has used so far, of all cores."""
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


async def measure(transfers: int, *, live: bool, payers: int = PAYERS) -> dict[str, Any]:
    """One run; see the module."""
    share = transfers // payers
    with TemporaryDirectory(prefix="chappe-bench-") as temporary:
        home = Path(temporary)
        (home / "relay.toml").write_text(CONFIG)
        async with open_relay_process(home, "--config", str(home / "relay.toml")) as relay:
            town = Town(home, relay.url, relay.pid)
            await found(town, payers, 10 * share)
            with trio.fail_after(WAIT_S):
                figures = await (_live if live else _drain)(town, payers, share)
            check(_audit(town) == share * payers, "not every payment is in the books once")
            return {"transfers": share * payers, **figures}


async def _drain(town: Town, payers: int, share: int) -> dict[str, Any]:
    began = time.perf_counter()
    async with town.people(payers) as people:
        await send(people, share)
    sent_s, relay_s = time.perf_counter() - began, _cpu_s(town.relay_pid)
    async with town.worker(share * payers) as process:
        figures: dict[str, Any] = json.loads(await _line(process))
    relay_ms = (_cpu_s(town.relay_pid) - relay_s) / (share * payers) * 1000
    return {"sent /s": round(share * payers / sent_s), **figures, "relay cpu ms": round(relay_ms, 3)}


async def _live(town: Town, payers: int, share: int) -> dict[str, Any]:
    async with town.worker(share * payers) as process, town.people(payers) as people:
        relay_s, own_s = _cpu_s(town.relay_pid), time.process_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, people, share)
            figures: dict[str, Any] = json.loads(await _line(process))
    count = share * payers
    return {
        **figures, "relay cpu ms": round((_cpu_s(town.relay_pid) - relay_s) / count * 1000, 3),
        "payers cpu ms": round((time.process_time() - own_s) / count * 1000, 3),
    }  # fmt: skip


def _audit(town: Town) -> int:
    """How many payments the books hold; the sums are right."""
    with sqlite3.connect(town.workers / "settlement" / FILE) as connection:
        rows = connection.execute("SELECT sequence, id, ends, body, leaf FROM ledger_journal ORDER BY sequence")
        journal = [JournalRow(*row) for row in rows]
    connection.close()
    records = [decode_record(row.body) for row in journal]
    check(not any(record.code for record in records), "a payment was refused")
    return sum(isinstance(record.operation, ops.Transfer) for record in records)


def main() -> None:
    """Both ways; or be the worker."""
    if sys.argv[1:2] == ["work"]:
        prepare_process()
        print(json.dumps(trio.run(work, sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))), flush=True)
        return
    transfers = int(sys.argv[1]) if len(sys.argv) > 1 else TRANSFERS
    for live in [word == "live" for word in sys.argv[2:] or ("drain", "live")]:
        figures = trio.run(partial(measure, transfers, live=live))
        print("live" if live else "drain", json.dumps({k: v for k, v in figures.items() if k != "leaves"}), flush=True)
        for leaf, count in figures["leaves"] if os.environ.get("LEAVES") else ():
            print(f"{count:6d} {leaf}")


if __name__ == "__main__":
    main()
