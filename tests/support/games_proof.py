"""What ``make prove-games`` shows on real processes: matches through a relay, the cable, a killed referee, and load."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import trio

from clients.client import Client
from clients.connection import Refusal
from clients.directory import CannotAdd
from clients.games.following import HOLDS
from clients.games.notation import pgn
from clients.games.records import State
from protocol.judging import Verdict, verify
from protocol.plies import Fault, Kind
from protocol.rules.games import GAMES
from protocol.transcript import Ruling, from_bytes, open_signed, to_bytes
from tests.support.proof import ROOT, check
from tests.support.proxy import open_cable
from tests.support.spine.talks import open_person, open_relay_process
from tests.support.workers_proof import find

WORKER = "extensions.games.worker:worker"
#: Morphy against the Duke of Brunswick and Count Isouard, Paris 1858.
_MOVES: Final = (
    "e2e4 e7e5 g1f3 d7d6 d2d4 c8g4 d4e5 g4f3 d1f3 d6e5 f1c4 g8f6 f3b3 d8e7 b1c3 c7c6 c1g5 b7b5 c3b5 c6b5 c4b5 b8d7 "
    "e1c1 a8d8 d1d7 d8d7 h1d1 e7e6 b5d7 f6d7 b3b8 d7b8 d1d8"
)
OPERA: Final = tuple(_MOVES.split())
PULLED_AT = 9  # plies: white's fifth move


async def begin(one: Client, other: Client, game: str, **terms: Any) -> bytes:
    """A match in which ``one`` sits first."""
    await meet(one, other.account)
    match = await one.games.offer(game, other.account, **{"wish": 1, "timeout_s": 60.0, **terms})
    check(await other.games.until(lambda: match in other.games.book.records, 60), "the invitation did not come")
    await other.games.accept(match)
    for client in (one, other):
        check(await client.games.started(match, 60), "the match did not begin")
    return match


async def meet(one: Client, account: bytes) -> None:
    """A conversation of two, of whom the second may only just have arrived."""
    with trio.fail_after(60):
        while True:
            try:
                await one.pair(account)
                return
            except (Refusal, CannotAdd):
                await trio.sleep(0.02)


async def play(match: bytes, people: Sequence[Client], moves: Sequence[str]) -> None:
    """Moves in turns, each heard by all before the next."""
    for action in moves:
        plies = max(client.games.record(match).plies for client in people)
        for client in people:
            check(await client.games.until(partial(_has, client, match, plies), 60), "an entry did not come")
        seat = people[0].games.position(match).turn[0]
        mover = next(client for client in people if client.games.record(match).seat == seat)
        check(await mover.games.move(match, action, timeout_s=60), f"{action} was not countersigned")


def _has(client: Client, match: bytes, plies: int) -> bool:
    return client.games.record(match).plies >= plies


async def over(match: bytes, *people: Client) -> None:
    """Everybody has heard of the end, and has audited the match."""
    for client in people:
        done = await client.games.until(lambda c=client: c.games.record(match).state == State.OVER, 60)  # type: ignore[misc]
        check(done, "the result did not come")
        record = client.games.record(match)
        check(record.audit == HOLDS, f"the audit of a player says {record.audit or record.alarm}")


async def refused(client: Client, match: bytes, action: str) -> str:
    """Say a move past all checks of the client; the referee's fault."""
    record = client.games.record(match)
    client.games.book.sign_and_say(record, Kind.MOVE, action)
    check(await client.games.until(lambda: record.refused, 60), f"{action} was not refused")
    return record.refused.partition(":")[0]


async def verified(file: Path, data: bytes) -> tuple[int, str]:
    """``chappe game verify`` as a process of its own: exit code, and what it prints."""
    file.write_bytes(data)  # noqa: ASYNC240 - a few kilobytes
    command = [sys.executable, "-c", "import sys; from clients.cli.game import command; sys.exit(command())"]
    done = await trio.run_process(
        [*command, "verify", str(file)], capture_stdout=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    return done.returncode, done.stdout.decode()


def doctored(data: bytes, ply: int) -> bytes:
    """The same file with one clock changed in a ruling."""
    transcript = from_bytes(data)
    entry = transcript.entries[ply]
    body = bytearray(entry.ruling.body)
    body[len(body) // 2] ^= 1
    ruling = msgspec.structs.replace(entry.ruling, body=bytes(body))
    entries = list(transcript.entries)
    entries[ply] = msgspec.structs.replace(entry, ruling=ruling)
    return to_bytes(transcript.genesis, tuple(entries))


async def c9_chess(seed: int) -> dict[str, Any]:
    """Two people play chess through a relay; one's cable is pulled at move 5, for 3 s."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with (
            open_relay_process(home, "--with", WORKER) as relay,
            open_cable(relay.port) as cable,
            open_person(home, "alice", f"ws://127.0.0.1:{cable.port}/ws") as alice,
            open_person(home, "bob", relay.url) as bob,
        ):
            await find(alice, "games")
            match = await begin(alice, bob, "chess", clock="300+3")
            await play(match, (alice, bob), OPERA[:2])
            faults = [await refused(bob, match, "d7d6"), await refused(alice, match, "e4e6")]
            check(faults == [Fault.OUT_OF_TURN, Fault.ILLEGAL], f"refused as {faults}")
            await play(match, (alice, bob), OPERA[2 : PULLED_AT - 1])
            cable.is_out = True
            cable.cut()
            saying = partial(alice.games.move, match, OPERA[PULLED_AT - 1], timeout_s=60)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(saying)
                await trio.sleep(3)
                check(not alice.connected, "the cable was pulled, and alice is still connected")
                cable.is_out = False
            await play(match, (alice, bob), OPERA[PULLED_AT:])
            await over(match, alice, bob)
            text = pgn(alice.games.book.follow(alice.games.record(match)), ["alice", "bob"])
            print(text, flush=True)
            data = alice.games.transcript(match)
            check(data == bob.games.transcript(match), "the players have different transcripts")
            code, told = await verified(home / "good.game", data)
            check(code == 0 and "checkmate" in told, f"verify says {told}")
            ply = random.Random(seed).randrange(len(OPERA))
            code, told = await verified(home / "bad.game", doctored(data, ply))
            check(code == 1 and f"ply {ply}:" in told, f"doctored at {ply}, and verify says {told}")
            return {
                "plies": len(OPERA), "refused": ", ".join(faults), "away s": 3, "result": "1-0 checkmate",
                "doctored at": ply, "verify": told.splitlines()[0][:60],
            }  # fmt: skip


async def hidden(seed: int) -> dict[str, Any]:
    """Crazy eights through the relay: nobody is told another's hand, and the deal is audited with the revealed seed."""
    chance = random.Random(seed)
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with (
            open_relay_process(home, "--with", WORKER) as relay,
            open_person(home, "alice", relay.url) as alice,
            open_person(home, "bob", relay.url) as bob,
        ):
            await find(alice, "games")
            match = await begin(alice, bob, "eights")
            people = (alice, bob)
            hands = [client.games.position(match).seen.decode().split("/")[-1].split() for client in people]
            check(not set(hands[0]) & set(hands[1]), "two players hold the same card")
            check(verify(from_bytes(alice.games.transcript(match)), GAMES).fault is Fault.SEALED, "it was not sealed")
            while alice.games.record(match).state == State.PLAYING:
                plies = max(client.games.record(match).plies for client in people)
                for client in people:
                    await client.games.until(partial(_has, client, match, plies), 60)
                turn = alice.games.position(match).turn
                if not turn:
                    break
                mover = people[turn[0] != alice.games.record(match).seat]
                await mover.games.move(match, chance.choice(mover.games.position(match).legal), timeout_s=60)
            await over(match, *people)
            record = alice.games.record(match)
            return {"entries": record.plies, "hands": f"{hands[0]} {hands[1]}", "audit": record.audit}


# -- kill -9 -----------------------------------------------------------------------------------------------------------
@asynccontextmanager
async def referee_process(home: Path, url: str) -> AsyncIterator[list[trio.Process]]:
    """The worker as a process of its own; the last of the list is the present one."""
    processes: list[trio.Process] = []
    try:
        yield processes
    finally:
        for process in processes:
            if process.returncode is None:
                process.terminate()
                with trio.CancelScope(shield=True):
                    await process.wait()


async def start_referee(home: Path, url: str, processes: list[trio.Process]) -> None:
    """Start it (again) on the same directory."""
    command = [sys.executable, "-c", "import sys; from extensions.cli import command; sys.exit(command())"]
    with (home / "referee.log").open("ab") as log:
        processes.append(
            await trio.lowlevel.open_process(
                [*command, "run", WORKER, "--relay", url, "--data", str(home / "workers")],
                stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        )  # fmt: skip


async def killed(seed: int, rounds: int = 5) -> dict[str, Any]:
    """``kill -9`` of the referee in the middle of a match, again and again, once with a move on its way."""
    chance, errors, downs = random.Random(seed), list[int](), list[int]()
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with (
            open_relay_process(home) as relay,
            referee_process(home, relay.url) as processes,
            open_person(home, "alice", relay.url) as alice,
            open_person(home, "bob", relay.url) as bob,
        ):
            await start_referee(home, relay.url, processes)
            await find(alice, "games")
            people = (alice, bob)
            match = await begin(alice, bob, "chess", clock="300+0")
            await play(match, people, OPERA[:4])
            for number in range(rounds):
                await trio.sleep(chance.random() * 0.5)
                known = alice.games.transcript(match)
                dead_ms = await _kill(processes)
                plies = alice.games.record(match).plies
                await trio.sleep(0.5 + chance.random())
                await start_referee(home, relay.url, processes)
                check(await alice.games.until(partial(_has, alice, match, plies + 1), 60), "no pause was logged")
                entries = from_bytes(alice.games.transcript(match)).entries
                check(entries[: len(from_bytes(known).entries)] == from_bytes(known).entries, "a move is gone")
                ruling = open_signed(entries[plies].ruling, Ruling)
                check(ruling.kind == Kind.PAUSED, f"after the kill comes {Kind(ruling.kind).name}")
                errors.append(abs(ruling.at_ms - dead_ms - int(ruling.action)))
                downs.append(ruling.at_ms - dead_ms)
                await play(match, people, OPERA[4 + 2 * number : 6 + 2 * number])
            async with trio.open_nursery() as nursery:
                action = OPERA[4 + 2 * rounds]
                nursery.start_soon(partial(play, match, people, [action]))
                await trio.sleep(chance.random() * 0.02)
                await _kill(processes)
                await start_referee(home, relay.url, processes)
            await play(match, people, OPERA[5 + 2 * rounds :])
            await over(match, *people)
            verdict = verify(from_bytes(bob.games.transcript(match)), GAMES)
            check(verdict.ok and verdict.final, f"the transcript: {verdict.why}")
            check(_moves(verdict) == list(OPERA), "the moves of the log are not those that were played")
            check(max(errors) < 50, f"clocks were off by {max(errors)} ms")
            return {
                "kills": rounds + 1, "moves lost": 0, "away ms": f"{min(downs)} to {max(downs)}",
                "clocks off by ms, at most": max(errors), "pauses in the log": len(verdict.on_its_word),
            }  # fmt: skip


def _moves(verdict: Verdict) -> list[str]:
    return [act.action for act, _ in verdict.acts if act.kind is Kind.MOVE]


async def _kill(processes: list[trio.Process]) -> int:
    """kill -9; when that was, by this machine's clock."""
    processes[-1].send_signal(signal.SIGKILL)
    now_ms = time.time_ns() // 1_000_000
    await processes[-1].wait()
    return now_ms


# -- load --------------------------------------------------------------------------------------------------------------
async def live_games(
    seed: int, games: int = 500, pairs: int = 25, seconds: float = 20, per_s: float = 50
) -> dict[str, Any]:
    """So many matches that are on at once, with a move somewhere every ``1 / per_s`` seconds, timed to the countersign.

    Relay, referee and players share this machine; the players are clients of one process.
    """
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        config = home / "relay.toml"
        config.write_text("publishes_per_s = 100000\nrequests_per_s = 100000\nconnects_per_s = 100000\n")
        async with (
            open_relay_process(home, "--with", WORKER, "--config", str(config)) as relay,
            AsyncExitStack() as stack,
        ):
            people = [await stack.enter_async_context(open_person(home, f"p{n}", relay.url)) for n in range(2 * pairs)]
            judge = await find(people[0], "games")
            couples = list(zip(people[::2], people[1::2], strict=True))
            matches: list[tuple[bytes, Client, Client]] = []
            async with trio.open_nursery() as nursery:
                for couple in couples:
                    nursery.start_soon(_found, couple, judge, games // pairs, matches)
            check(len(matches) == games, f"{len(matches)} matches began")
            took = await _moves_at(matches, seconds, per_s, random.Random(seed))
            took.sort()
            return {
                "live games": games, "people": len(people), "moves": len(took),
                "moves /s": round(len(took) / seconds, 1),
                "p50 ms": round(took[len(took) // 2], 1), "p99 ms": round(took[len(took) * 99 // 100], 1),
            }  # fmt: skip


async def _found(
    couple: tuple[Client, Client], judge: bytes, count: int, matches: list[tuple[bytes, Client, Client]]
) -> None:
    one, other = couple
    await meet(one, judge)
    await meet(other, judge)
    for _ in range(count):
        matches.append((await begin(one, other, "connectfour", clock="600+5", referee=judge), one, other))


async def _moves_at(
    matches: list[tuple[bytes, Client, Client]], seconds: float, per_s: float, chance: random.Random
) -> list[float]:
    took: list[float] = []
    busy: set[bytes] = set()

    async def move(match: bytes, one: Client, other: Client) -> None:
        turn = one.games.position(match).turn
        mover = one if turn and one.games.record(match).seat == turn[0] else other
        legal = mover.games.position(match).legal
        if legal:
            began = time.perf_counter()
            check(await mover.games.move(match, chance.choice(legal), timeout_s=60), "a move was not countersigned")
            took.append((time.perf_counter() - began) * 1000)
        busy.discard(match)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        number = 0
        while trio.current_time() < began + seconds:
            match, one, other = matches[number % len(matches)]
            number += 1
            if match not in busy and one.games.record(match).state == State.PLAYING:
                busy.add(match)
                nursery.start_soon(move, match, one, other)
            await trio.sleep(max(0.0, began + number / per_s - trio.current_time()))
    return took
