"""Games in the demo: chess over a cable that is pulled, and cards with hidden hands, at the same time.

They have a relay of their own beside the other acts, with the referee's worker. Everything is done by ``chappe chat
--json`` and ``chappe game verify``, as people would do it.
"""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from protocol.transcript import from_bytes, to_bytes
from relay.demo.processes import ANSWER_S, Bell, DemoFailed, Person, RelayProcess, chappe

WORKER: Final = "extensions.games.worker:worker"  # by its module, so that the demo does not need it installed
#: Morphy against the Duke of Brunswick and Count Isouard, Paris 1858.
MOVES: Final = (
    "e4 e5 Nf3 d6 d4 Bg4 dxe5 Bxf3 Qxf3 dxe5 Bc4 Nf6 Qb3 Qe7 Nc3 c6 Bg5 b5 Nxb5 cxb5 Bxb5+ Nbd7 O-O-O Rd8 Rxd7 Rxd7 "
    "Rd1 Qe6 Bxd7+ Nxd7 Qb8+ Nxb8 Rd8#"
)
PULLED_AT: Final = 8  # plies: before white's fifth move
AWAY_S: Final = 3.0
_LOOK_S: Final = 0.01
_BYTES: Final = 64 * 1024


class Cable:
    """A way to the relay that can be pulled out."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._scopes: set[trio.CancelScope] = set()
        self.is_out = False

    def pull(self) -> None:
        """Every connection breaks, and new ones get nowhere."""
        self.is_out = True
        for scope in self._scopes:
            scope.cancel()

    async def serve(self, near: trio.SocketStream) -> None:
        """Carry one connection."""
        gone = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
        with trio.CancelScope() as scope, suppress(*gone):
            async with near:
                if not self.is_out:
                    self._scopes.add(scope)
                    far = await trio.open_tcp_stream("127.0.0.1", self._target)
                    async with far, trio.open_nursery() as both:
                        both.start_soon(self._carry, near, far, scope)
                        both.start_soon(self._carry, far, near, scope)
        self._scopes.discard(scope)

    async def _carry(self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.receive_some(_BYTES):
                await sink.send_all(data)
        scope.cancel()


@asynccontextmanager
async def open_cable(port: int) -> AsyncIterator[tuple[Cable, str]]:
    """A cable to the relay at ``port``, and the address of its near end."""
    cable = Cable(port)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(partial(trio.serve_listeners, cable.serve, [listener]))
        yield cable, f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/ws"
        nursery.cancel_scope.cancel()


class Games:
    """The act. ``figures`` is what the summary shows; ``pgn`` the game that was played."""

    def __init__(self, directory: Path, tell: Callable[[str], None]) -> None:
        self._directory = directory
        self._tell = tell
        self._bell = Bell()
        self._relay = RelayProcess(directory / "relay", directory / "relay.log")
        self._people: list[Person] = []
        self.figures: dict[str, str] = {}
        self.pgn: list[str] = []

    async def run(self) -> None:
        """Play both games. Raises ``DemoFailed``."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._tell("alice and bob play chess, carol and dave cards; alice's cable is pulled at move 5")
        async with trio.open_nursery() as nursery:
            try:
                await self._relay.start(nursery, "--with", WORKER)
                async with open_cable(self._relay.port) as (cable, near), trio.open_nursery() as evening:
                    evening.start_soon(self._chess, nursery, cable, near)
                    evening.start_soon(self._cards, nursery)
            finally:
                with trio.CancelScope(shield=True):
                    for person in self._people:
                        await person.stop()
                    await self._relay.stop()
                nursery.cancel_scope.cancel()

    async def _arrive(self, nursery: trio.Nursery, name: str, url: str) -> Person:
        person = Person(name, self._directory / name, self._directory / f"{name}.log", self._bell)
        self._people.append(person)
        await person.start(nursery, url)
        await person.do("handle", name=name)
        return person

    async def _say(self, person: Person, verb: str, *words: str) -> list[str]:
        reply: dict[str, Any] = await person.do(verb, words=list(words))
        lines: list[str] = reply["lines"]
        return lines

    async def _until(self, person: Person, verb: str, wanted: Callable[[list[str]], bool]) -> list[str]:
        """Look again and again. Raises ``DemoFailed`` after a while."""
        with trio.move_on_after(ANSWER_S):
            while True:
                reply = await person.ask(verb, words=[])
                lines: list[str] = reply.get("lines", [])
                if wanted(lines):
                    return lines
                await trio.sleep(_LOOK_S)
        raise DemoFailed(f"{person.name} waited in vain with /{verb}; see {person.log}")

    async def _begin(self, one: Person, other: Person, game: str, *clock: str) -> None:
        """An offer that is taken; the referee may be starting."""
        with trio.move_on_after(ANSWER_S):
            while True:
                if "error" not in await one.ask("play", words=[game, other.name, *clock]):
                    break
                await trio.sleep(0.1)
        await self._until(other, "games", lambda lines: any("invited" in line for line in lines))
        await self._say(other, "accept-game")
        for person in (one, other):
            await self._until(person, "games", lambda lines: any("playing" in line for line in lines))

    # -- chess ---------------------------------------------------------------------------------------------------------
    async def _chess(self, nursery: trio.Nursery, cable: Cable, near: str) -> None:
        alice = await self._arrive(nursery, "alice", near)
        bob = await self._arrive(nursery, "bob", self._relay.url)
        await self._begin(alice, bob, "chess", "300+3")
        first, second = alice, bob
        if (await self._say(alice, "moves"))[0].startswith("it is not"):
            first, second = bob, alice
        refused = [(await one.ask("move", words=["e5"])).get("error", "") for one in (first, second)]
        if "not legal" not in refused[0] or "not your turn" not in refused[1]:
            raise DemoFailed(f"an illegal and an untimely move were answered by {refused}")
        self.figures["an illegal move, a move out of turn"] = "refused by the players' own clients, so never sent"
        for ply, move in enumerate(MOVES.split()):
            mover = (first, second)[ply % 2]
            if ply == PULLED_AT:
                await self._pull(alice, cable)
            await self._until(mover, "moves", lambda lines: lines != [] and not lines[0].startswith("it is not"))
            await self._say(mover, "move", move)
        await self._until(alice, "board", lambda lines: any(line == "audit: holds" for line in lines))
        self.pgn = await self._say(alice, "game", "pgn")
        self.figures["chess, cable pulled at move 5 for 3 s"] = "checkmate after 17 moves, audit holds"
        await self._verify(alice)

    async def _pull(self, alice: Person, cable: Cable) -> None:
        cable.pull()
        await alice.until(lambda: not alice.connected, "the end of the connection")
        await trio.sleep(AWAY_S)
        cable.is_out = False

    async def _verify(self, alice: Person) -> None:
        """The transcript holds; with one bit changed it does not, and the first bad entry is named."""
        file = self._directory / "chess.game"
        await self._say(alice, "game", "save", str(file))
        transcript = from_bytes(await trio.Path(file).read_bytes())
        ply = len(transcript.entries) // 2
        entry, entries = transcript.entries[ply], list(transcript.entries)
        body = bytearray(entry.ruling.body)
        body[len(body) // 2] ^= 1
        entries[ply] = msgspec.structs.replace(entry, ruling=msgspec.structs.replace(entry.ruling, body=bytes(body)))
        bad = self._directory / "doctored.game"
        await trio.Path(bad).write_bytes(to_bytes(transcript.genesis, tuple(entries)))
        for path, code, said in ((file, 0, "VERIFIED"), (bad, 1, f"NOT VERIFIED: ply {ply}:")):
            done = await trio.run_process(
                chappe("game", "verify", str(path)), capture_stdout=True, stderr=subprocess.DEVNULL, check=False
            )
            if done.returncode != code or not done.stdout.decode().startswith(said):
                raise DemoFailed(f"chappe game verify {path.name} says {done.stdout.decode()[:80]!r}")
        self.figures["its transcript, offline"] = f"verified; doctored at entry {ply}: refused there"

    # -- cards ---------------------------------------------------------------------------------------------------------
    async def _cards(self, nursery: trio.Nursery) -> None:
        carol = await self._arrive(nursery, "carol", self._relay.url)
        dave = await self._arrive(nursery, "dave", self._relay.url)
        await self._begin(carol, dave, "eights")
        hands = [(await self._say(person, "board"))[2] for person in (carol, dave)]
        if set(hands[0].split()[2:]) & set(hands[1].split()[2:]):
            raise DemoFailed("two players hold the same card")
        plies = 0
        while not any(line.startswith("audit:") for line in await self._say(carol, "board")):
            for person in (carol, dave):
                legal = (await self._say(person, "moves"))[0]
                if not legal.startswith("it is not"):
                    await self._say(person, "move", legal.split()[0])
                    plies += 1
            await trio.sleep(_LOOK_S)
        for person in (carol, dave):
            await self._until(person, "board", lambda lines: "audit: holds" in lines)
        self.figures["cards with hidden hands"] = f"{plies} turns; the deal was audited with the revealed seed: holds"
