"""Two processes of the settlement worker: the one at work is stopped and cut off, the other takes over."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from clients.client import Client
from extensions.settlement.worker import FILE
from protocol.ids import pair_topic
from protocol.messages import pay as P
from protocol.messages.pay import State
from protocol.receipts import open_checkpoint
from tests.support.money import fields, outcomes, sign
from tests.support.proof import ROOT, check
from tests.support.proxy import open_cable
from tests.support.spine.talks import open_person, open_relay_process
from tests.support.workers_proof import WorkerProcess, find

CHAPPE = str(Path(sys.executable).with_name("chappe"))
STOPPED_S = 10.0
BURST = 200
SETTLED = (State.SETTLED, 0)


@asynccontextmanager
async def open_settlement(home: Path, name: str, url: str) -> AsyncIterator[WorkerProcess]:
    """``chappe worker run settlement``; all processes share ``home``/workers."""
    log = home / f"{name}.log"
    command = [CHAPPE, "worker", "run", "settlement", "--relay", url, "--data", str(home / "workers")]
    with log.open("wb") as out:
        process = await trio.lowlevel.open_process(command, stderr=out, env={**os.environ, "PYTHONPATH": str(ROOT)})
    worker = WorkerProcess(process, log)
    try:
        yield worker
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            with trio.move_on_after(20, shield=True):
                await process.wait()
        if process.returncode is None:
            process.kill()


async def ledger(home: Path, *words: str) -> None:
    """``chappe ledger``. Raises ``Unproved`` unless it ends with 0."""
    command = [CHAPPE, "ledger", *words, "--data", str(home / "workers")]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    said = (done.stdout + done.stderr).decode()
    check(done.returncode == 0, f"chappe ledger {words[0]} ended with {done.returncode}: {said}")


def send(client: Client, payee: bytes, count: int) -> None:
    """So many payments of one minor unit, one after the other."""
    topic = pair_topic(client.account, client.wallet.home.worker)
    for _ in range(count):
        client.wallet.book.say(topic, P.Authorize(signed=sign(fields(client, payee, 1), client.engine.shelf.device)))


async def settled(client: Client, count: int, what: str) -> None:
    """Wait for so many answers, all of them *settled*."""
    deadline = trio.current_time() + 120
    while len(outcomes(client)) < count:
        check(trio.current_time() < deadline, f"{len(outcomes(client))} of {count} answers {what}")
        with trio.move_on_after(0.2):
            await client.wait_news()
    check(outcomes(client) == [SETTLED] * count, f"not every payment was settled once {what}")


def epochs(home: Path, worker: bytes) -> list[tuple[int, int]]:
    """(records, epoch of the writer) of every checkpoint, by records."""
    with sqlite3.connect(home / "workers" / "settlement" / FILE) as connection:
        rows = connection.execute("SELECT body FROM ledger_checkpoints ORDER BY size").fetchall()
    connection.close()
    opened = [open_checkpoint(body, worker, "settlement") for (body,) in rows]
    return [(checkpoint.size, checkpoint.epoch) for checkpoint in opened]


async def stopped(seed: int) -> dict[str, Any]:
    """The process at work is stopped for 10 s with payments before it, cut off, and continued: it writes nothing."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with (
            open_relay_process(home) as relay,
            open_cable(relay.port) as cable,
            open_person(home, "alice", relay.url) as alice,
            open_person(home, "bob", relay.url) as bob,
            open_settlement(home, "first", f"ws://127.0.0.1:{cable.port}/ws") as first,
        ):
            worker = await find(alice, "settlement")
            await first.until("256 slots granted")
            await ledger(home, "open", "EUR")
            for client in (alice, bob):
                await client.wallet.open("EUR", worker=worker)
            await ledger(home, "issue", alice.account.hex(), "100.00", "EUR")
            async with open_settlement(home, "second", relay.url) as second:
                send(alice, bob.account, BURST)
                await settled(alice, BURST, "before")
                await trio.sleep(0.5)  # receipts of delivery are read, too: it is stopped between two transactions
                first.process.send_signal(signal.SIGSTOP)
                began = trio.current_time()
                send(alice, bob.account, BURST)  # to the stopped process, which has them before it and acts on none
                await trio.sleep(1)
                cable.cut()
                await second.until("256 slots granted")
                taken_s = trio.current_time() - began
                await settled(alice, 2 * BURST, "while the other is stopped")
                await trio.sleep(max(0.0, began + STOPPED_S - trio.current_time()))
                (size, last), said = epochs(home, worker)[-1], len(first.said)
                first.process.send_signal(signal.SIGCONT)
                await first.until("beginning anew")
                send(alice, bob.account, BURST)
                await settled(alice, 3 * BURST, "afterwards")
                await ledger(home, "check")
                after = [epoch for records, epoch in epochs(home, worker) if records > size]
                check(set(after) == {last}, f"records after the take-over are of the epochs {Counter(after)}")
                lines = first.said[said:].splitlines()
                check(not any("slots granted" in line for line in lines), "the stopped process was given slots")
                free = (await alice.wallet.balance())["EUR"][1]
                check(free == 10_000 - 3 * BURST, f"{free} left after {3 * BURST} payments of 0.01")
                why = next((line.partition("settlement: ")[2] for line in lines if "beginning anew" in line), "")
            return {
                "payments": 3 * BURST, "taken over after s": round(taken_s, 1), "stopped s": STOPPED_S,
                "written by it afterwards": 0, "it says": why,
            }  # fmt: skip


__all__ = ["ledger", "open_settlement", "send", "settled", "stopped"]
