"""What ``make prove-settlement`` shows: the promises about money, on real processes where that matters."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from extensions.settlement import operations as ops
from extensions.settlement.books import open_books
from protocol.messages.pay import State
from storage.ledger import open_ledger
from storage.sqlite import unix_ms
from tests.bench import ledger as ledger_bench
from tests.bench import payments as payments_bench
from tests.support import ledger_kill
from tests.support import settlement_cases as cases
from tests.support.proof import ROOT, check
from tests.support.settlement import open_bank
from tests.support.spine.talks import open_person, open_relay_process
from tests.support.workers_proof import find

GOAL_PER_S = 2000
CHAPPE = str(Path(sys.executable).with_name("chappe"))


async def bad_input(seed: int) -> dict[str, Any]:
    """Every bad payment of the list, sent through the relay: one outcome each, and the sums as they were."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        async with open_bank(Path(temporary)) as bank:
            alice, bob = await bank.person("alice", 10_000), await bank.person("bob")
            carol = await bank.person("carol", 5_000)
            found = await cases.bad_fields(bank, alice, bob)
            found |= await cases.replays(bank, alice, bob)
            found |= await cases.requests(bank, alice, bob, carol)
            found |= await cases.refunds(alice, bob)
            check(bank.sum() == 15_000, f"the sum is {bank.sum()}, and was 15000")
            problems = await bank.audit()
            check(not problems, f"the audit says {problems}")
            return {"cases": len(found), "sum": bank.sum(), "problems": 0}


async def kills(seed: int, rounds: int = 200) -> dict[str, Any]:
    """The process that writes the books is killed with signal 9, again and again; see ``ledger_kill``."""
    outcome = await trio.to_thread.run_sync(ledger_kill.run, rounds, seed)
    return {"rounds": rounds, "outcome": str(outcome)}


async def c8_killed_payer(seed: int) -> dict[str, Any]:
    """``kill -9`` of the payer between authorizing and hearing; started again it asks 20 times: one payment."""
    chance = random.Random(seed)
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with (
            open_relay_process(home, "--with", "settlement") as relay,
            open_person(home, "bob", relay.url) as bob,
        ):
            worker = await find(bob, "settlement")
            workers = relay.data / "workers"
            await ledger("open", "EUR", workers=workers)
            await bob.wallet.open("EUR", worker=worker)
            async with open_person(home, "alice", relay.url) as alice:
                await alice.wallet.open("EUR", worker=worker)
                await ledger("issue", alice.account.hex(), "100.00", "EUR", workers=workers)
                await alice.pair(bob.account)
                await alice.settled()
                account = alice.account
            wait_ms = chance.randrange(0, 60)
            child = await _payer(home, relay.url, bob.account, wait_ms)
            check(child == -signal.SIGKILL, f"the payer ended with {child} before it was killed")
            async with open_person(home, "alice", relay.url) as alice:
                (paid,) = [p for p in alice.wallet.payments if p.payer == account]
                for _ in range(20):
                    paid = await alice.wallet.ask_again(paid.operation)
                check(paid.state == State.SETTLED, f"after 20 questions: {paid}")
                free = (await alice.wallet.balance())["EUR"][1]
                check(free == 8750, f"{free} left of 10000 after one payment of 1250")
            code = await ledger("check", workers=workers)
            check(code == 0, "chappe ledger check found something wrong")
            return {"killed after ms": wait_ms, "asked": 20, "settled": 1, "left": free}


async def _payer(home: Path, url: str, payee: bytes, wait_ms: int) -> int:
    """A payer as a process of its own, killed some ms after it has said that the payment is on its way."""
    command = [sys.executable, "-m", "tests.support.settlement_payer", str(home / "alice"), url, payee.hex()]
    process = await trio.lowlevel.open_process(
        command, stdout=-1, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )  # fmt: skip
    assert process.stdout is not None
    await process.stdout.receive_some(16)
    await trio.sleep(wait_ms / 1000)
    process.send_signal(signal.SIGKILL)
    return await process.wait()


async def ledger(*words: str, workers: Path) -> int:
    """Run ``chappe ledger``."""
    done = await trio.run_process([CHAPPE, "ledger", *words, "--data", str(workers)], capture_stdout=True, check=False)
    return done.returncode


# -- speed -------------------------------------------------------------------------------------------------------------
async def throughput(seed: int) -> dict[str, Any]:
    """The books alone: one transaction each, batches, one hot account."""
    figures: dict[str, Any] = {}
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        folder, load = Path(temporary), ledger_bench.Load()
        figures["bare table /s"] = round(await trio.to_thread.run_sync(ledger_bench.naive, folder, 500))
        async with (
            open_ledger(folder / "ledger.db", clock_ms=unix_ms) as books_file,
            open_books(books_file, ledger_bench.LOG) as books,
        ):
            await ledger_bench.found(books)
            for name, size, hot in (("1", 1, False), ("100", 100, False), ("1000", 1000, False), ("hot", 1000, True)):
                count = 500 if size == 1 else 20_000
                figures[f"books {name} /s"] = round(await ledger_bench.measure(books, load.batches(count, size, hot)))
    return figures


async def end_to_end(seed: int, transfers: int = 4800) -> dict[str, Any]:
    """Signed, sealed, through the relay, settled, answered: the service alone, a burst three times as long, and live.

    The processor's time per payment is the figure: the wall clock tells who else uses the machine.
    """
    short = await payments_bench.measure(transfers // 3, live=False)
    long = await payments_bench.measure(transfers, live=False)
    live = await payments_bench.measure(transfers // 3, live=True)
    cost = {name: run["worker cpu ms"] for name, run in (("short", short), ("long", long))}
    check(cost["long"] < 1.5 * cost["short"], f"a payment costs more in a longer burst: {cost}")
    parts = ", ".join(f"{name} {ms}" for name, ms in long["parts"].items())
    return {
        "worker and relay alone, answered /s": f"{short['answered /s']} (of {short['transfers']} at once), "
        f"{long['answered /s']} (of {long['transfers']})",
        "with 16 payers on the same cores /s": live["answered /s"],
        "cpu ms a payment": f"worker {long['worker cpu ms']} (main thread {long['of it main thread ms']}), relay "
        f"{long['relay cpu ms']}, payers {live['payers cpu ms']}",
        "goal of 2000 /s": "met" if long["answered /s"] >= GOAL_PER_S else "missed",
        "the worker's main thread, ms a payment": parts,
    }  # fmt: skip


async def restart_1m(seed: int) -> dict[str, Any]:
    """Books with a million records are open again within seconds."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        folder, load = Path(temporary), ledger_bench.Load()
        async with (
            open_ledger(folder / "ledger.db", clock_ms=unix_ms) as file,
            open_books(file, ledger_bench.LOG) as books,
        ):
            await ledger_bench.found(books)
            while books.sequence < 1_000_000:
                await ledger_bench.measure(books, load.batches(20_000, 1000))
        began = time.perf_counter()
        async with (
            open_ledger(folder / "ledger.db", clock_ms=unix_ms) as file,
            open_books(file, ledger_bench.LOG) as books,
        ):
            seconds = time.perf_counter() - began
            check(seconds < 10, f"a restart took {seconds:.1f} s")
            return {"records": books.sequence, "s": round(seconds, 2)}


async def two_processes(seed: int) -> dict[str, Any]:
    """Two processes on one file of books: only the later one writes; see ``ledger_kill.standoff``."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        file = Path(temporary) / "ledger.db"
        async with (
            open_ledger(file, clock_ms=unix_ms) as one,
            open_books(one, ledger_bench.LOG) as first,
            open_ledger(file, clock_ms=unix_ms) as two,
        ):
            await first.submit(ops.OpenLedger(b"l", "EUR", 2))
            async with open_books(two, ledger_bench.LOG) as second:
                await second.submit(ops.Open(b"a", b"a" * 32, "EUR"))
                refused = ""
                try:
                    await first.submit(ops.Open(b"b", b"b" * 32, "EUR"))
                except Exception as error:  # noqa: BLE001 - whatever it is, its name is shown
                    refused = type(error).__name__
                check(refused == "Fenced", f"the earlier process got {refused or 'through'}")
                check(second.sequence == 2, f"{second.sequence} records instead of 2")
                return {"earlier process": refused, "records": second.sequence}
