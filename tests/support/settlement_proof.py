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

from clients.client import now_ms
from extensions.settlement.books import open_books
from protocol.messages.pay import State
from storage.ledger import open_ledger
from storage.sqlite import unix_ms
from tests.bench import ledger as ledger_bench
from tests.bench import payments as payments_bench
from tests.bench import workers as workers_bench
from tests.support import ledger_kill
from tests.support import settlement_cases as cases
from tests.support import settlement_trouble as trouble
from tests.support.ledger_random import compare, owner
from tests.support.proof import ROOT, check
from tests.support.settlement import Bank, open_bank
from tests.support.spine.talks import open_person, open_relay_process
from tests.support.workers_proof import find

GOAL_PER_S = 2000
RESTART_S = 5.0
PAIR_BYTES = 8192
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
            return {"cases": len(found), **await _sound(bank, 15_000)}


async def oracle(seed: int, operations: int) -> dict[str, Any]:
    """Random operations, asked of the ledger and of an oracle written from the document: same codes, same balances."""
    size = min(operations, 10_000)
    codes: set[str] = set()
    for number in range(max(1, operations // size)):
        codes |= (await trio.to_thread.run_sync(compare, seed + number, size)).keys()
    return {"operations": max(1, operations // size) * size, "codes seen": len(codes)}


async def kills(seed: int, rounds: int = 200) -> dict[str, Any]:
    """The process that writes the books is killed with signal 9, again and again; see ``ledger_kill``."""
    outcome = await trio.to_thread.run_sync(ledger_kill.run, rounds, seed)
    return {"outcome": outcome.line()}


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
    """The books alone, the best of three runs each: one transaction each, batches, one hot account."""
    many = 20_000
    sizes = {"1": (1, 500, False), "100": (100, many, False), "1000": (1000, many, False), "hot": (1000, many, True)}
    best = dict.fromkeys(sizes, 0.0)
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        folder, load = Path(temporary), ledger_bench.Load()
        bare = await trio.to_thread.run_sync(ledger_bench.naive, folder, 500)
        async with (
            open_ledger(folder / "ledger.db", clock_ms=unix_ms) as file,
            open_books(file, ledger_bench.LOG) as books,
        ):
            await ledger_bench.found(books)
            for _ in range(3):
                for name, (size, count, hot) in sizes.items():
                    speed = await ledger_bench.measure(books, load.batches(count, size, hot))
                    best[name] = max(best[name], speed)
    times = {name: best[name] / best["1"] for name in ("100", "1000")} | {"hot": best["hot"] / best["1000"]}
    goals = {"100": 25.0, "1000": 40.0, "hot": ledger_bench.HOT_GOAL}
    missed = [f"{name}: {times[name]:.2f} of {goal}" for name, goal in goals.items() if times[name] < goal]
    figures = {
        "a transaction each /s": round(best["1"]), "batches of 100": f"{best['100']:.0f} ({times['100']:.0f} ×)",
        "batches of 1,000": f"{best['1000']:.0f} ({times['1000']:.0f} ×)",
        "one hot account": f"{best['hot']:.0f} ({times['hot']:.2f} × uniform)", "a bare table": round(bare),
    }  # fmt: skip
    check(not missed, f"goals of 25, 40 and 0.9 × missed: {', '.join(missed)}; {figures}")
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
    figures = {
        "worker and relay alone, answered /s": f"{short['answered /s']} (of {short['transfers']} at once), "
        f"{long['answered /s']} (of {long['transfers']})",
        "with 16 payers on the same cores /s": live["answered /s"],
        "cpu ms a payment": f"worker {long['worker cpu ms']} (main thread {long['of it main thread ms']}), relay "
        f"{long['relay cpu ms']}, payers {live['payers cpu ms']}",
        "the worker's main thread, ms a payment": parts,
    }  # fmt: skip
    check(long["answered /s"] >= GOAL_PER_S, f"goal of {GOAL_PER_S}/s missed: {figures}")
    return figures


async def restart_1m(seed: int) -> dict[str, Any]:
    """Books with a million records, a snapshot and a tail are open again within seconds, and what an account takes."""
    goal = ledger_bench.ROWS + ledger_bench.TAIL
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        folder, load = Path(temporary), ledger_bench.Load()
        async with (
            open_ledger(folder / "ledger.db", clock_ms=unix_ms) as file,
            open_books(file, ledger_bench.LOG) as books,
        ):
            await ledger_bench.found(books)
            while books.sequence < goal or (await file.head()).snapshot > books.sequence - ledger_bench.TAIL // 2:
                await ledger_bench.measure(books, load.batches(5000, 1000))
            before = {who: books.account("EUR", owner(who)) for who in range(0, ledger_bench.PEOPLE, 1000)}
        began = time.perf_counter()
        async with (
            open_ledger(folder / "ledger.db", clock_ms=unix_ms) as file,
            open_books(file, ledger_bench.LOG) as books,
        ):
            seconds, head = time.perf_counter() - began, await file.head()
            tail = head.sequence - head.snapshot
            check(head.snapshot > 0 and tail > 0, f"snapshot at {head.snapshot} of {head.sequence}: nothing to replay")
            check(seconds < RESTART_S, f"a restart took {seconds:.1f} s")
            for who, account in before.items():
                check(books.account("EUR", owner(who)) == account, f"account {who} is another one after the restart")
        return {
            "records": head.sequence, "snapshot at": head.snapshot, "replayed": tail, "s": round(seconds, 2),
            "bytes of memory an account": round(await trio.to_thread.run_sync(ledger_bench.account_bytes)),
        }  # fmt: skip


async def many_pairs(seed: int, pairs: int = workers_bench.PAIRS) -> dict[str, Any]:
    """A worker with 100,000 conversations: on disk, a restart, the first message of one that is cold."""
    found = await workers_bench.measure(pairs)
    check(found.restart_s <= workers_bench.GOAL_RESTART_S, f"a restart took {found.restart_s:.1f} s")
    check(found.cold_ms_p50 <= workers_bench.GOAL_COLD_MS, f"a cold pair took {found.cold_ms_p50:.1f} ms")
    check(found.bytes_a_pair <= PAIR_BYTES, f"a pair takes {found.bytes_a_pair:.0f} bytes")
    return {
        "pairs": found.pairs, "bytes a pair": round(found.bytes_a_pair), "restart s": round(found.restart_s, 2),
        "cold pair ms": f"{found.cold_ms_p50:.2f} (max {found.cold_ms_max:.2f})",
    }  # fmt: skip


async def troubles(seed: int) -> dict[str, Any]:
    """A revoked device, an account closed with an open pending, the clock going back: one outcome each."""
    clock = trouble.Clock(now_ms)
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with open_bank(home, clock_ms=clock) as bank:
            alice, bob = await bank.person("alice", 10_000), await bank.person("bob")
            dora, emil = [await bank.person(name, wallet=False) for name in ("dora", "emil")]
            found = await trouble.revoked_device(bank, home, alice, bob)
            found |= await trouble.closed_account(bank, alice, dora)
            found |= await trouble.clock_back(bank, clock, alice, bob, emil)
            return {**found, **await _sound(bank, 10_000)}


async def poison(seed: int, count: int = 1000) -> dict[str, Any]:
    """One item at which the program raises, among a thousand at the desk."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        async with open_bank(Path(temporary)) as bank:
            payers = [await bank.person(f"p{n}", 1000) for n in range(4)]
            payee = await bank.person("payee")
            found = await trouble.poison(bank, payers, payee, count)
            return {**found, **await _sound(bank, 4000)}


async def other_answer(seed: int) -> dict[str, Any]:
    """A worker that answers for another payment: what the payer sees, and that nobody else suffers."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        async with open_bank(Path(temporary)) as bank:
            alice, bob = await bank.person("alice", 1000), await bank.person("bob", 10)
            found = await trouble.other_answer(bank, alice, bob)
            return {**found, **await _sound(bank, 1010)}


async def two_histories(seed: int) -> dict[str, Any]:
    """People show each other the checkpoints that they have: a worker with a log for each is caught."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        async with open_bank(Path(temporary)) as bank:
            alice, bob = await bank.person("alice", 1000), await bank.person("bob")
            return await trouble.two_histories(bank, alice, bob)


async def _sound(bank: Bank, money: int) -> dict[str, Any]:
    check(bank.sum() == money, f"the sum is {bank.sum()}, and was {money}")
    problems = await bank.audit()
    check(not problems, f"the audit says {problems}")
    return {"sum": bank.sum(), "problems": 0}
