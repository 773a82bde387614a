"""The referee worker: one process judges, others stand by.

    chappe up --with games

Messages and the passing of time become rounds (``round``), one after the other: tables, entries, answers and the
inbox's progress are one transaction of the worker's database, and only then are they memory. What was countersigned is
therefore in the log, whatever dies when. See ``DESIGN.md`` for the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from clients.presence import Presence, State
from clients.shelf import Shelf
from clients.tasks import open_tasks
from extensions.errors import WorkerError
from extensions.games import bounds as B
from extensions.games import rows
from extensions.games import table as T
from extensions.games.engines import Engines, make_engines
from extensions.games.hall import Hall
from extensions.games.pulse import Pulse, RefereeClock
from extensions.games.referee import Referee
from extensions.games.round import Asked, Round, match_of
from extensions.games.spectators import due_shows
from extensions.host import Process
from extensions.jobs import Batch
from extensions.worker import Worker
from protocol import limits as L
from protocol.identity import SigningKey
from protocol.ids import pair_topic
from protocol.messages import game as G

NAME: Final = "games"
FILE: Final = "games.pulse"
CONSUMES: Final = (
    "game.offer", "game.seek", "game.accept", "game.decline", "game.rematch", "game.fetch", "game.watch",
    *(body.TYPE for body in G.KIND_OF),
)  # fmt: skip
PRODUCES: Final = (
    "game.table", "game.start", "game.entry", "game.refused", "game.cheat", "game.result", "game.rating",
    "game.shown", "game.closed",
)  # fmt: skip


class Players(Presence):
    """Who of the players is here, as far as they let it be known."""

    def __init__(self, shelf: Shelf, hall: Hall) -> None:
        super().__init__(shelf)
        self._hall = hall

    def _wanted(self) -> tuple[bytes, ...]:
        return tuple(self._hall.playing()[: L.PRESENCE_ACCOUNTS_MAX])


class Refereeing:
    """What one process of the worker has in memory: the hall, once it is loaded."""

    def __init__(self, clock: RefereeClock | None, engines: Engines) -> None:
        self._clock = clock
        self._engines = engines
        self._halls: dict[object, Hall] = {}
        self._opened = trio.Event()
        self.hall: Hall | None = None

    # -- messages ------------------------------------------------------------------------------------------------------
    async def take(self, batch: Batch) -> None:
        """The taker: one round, in one transaction."""
        engine = batch.engine
        while engine not in self._halls:
            await self._opened.wait()
        hall = self._halls[engine]

        async with hall.lock:
            round_ = Round(hall, self._now_ms(), engine.shelf.entropy)
            for job in batch.jobs:
                match = match_of(job.body)
                if match is not None and match not in round_.tables:
                    await hall.find(match)
                if isinstance(job.body, G.Offer | G.Seek):
                    await self._engines.ensure(job.body.game)
                wanted = job.body.ply if isinstance(job.body, G.Fetch) else None
                entries = [] if wanted is None else await hall.entries(job.body.match, wanted)
                round_.take(Asked(job.account, job.item.device, job.body, job.id), entries)
            batch.write(round_.write)
            jobs = {job.id: job for job in batch.jobs if job.topic == pair_topic(engine.shelf.account, job.account)}
            for account, body, re in round_.says:
                if re in jobs and jobs[re].account == account:
                    batch.reply(jobs[re], body)
                else:
                    batch.say(pair_topic(engine.shelf.account, account), body)
            await batch.commit()
            round_.adopt()
        self.wake()

    def _now_ms(self) -> int:
        assert self._clock is not None
        return self._clock.now_ms()

    def wake(self) -> None:
        """Something has changed: see what is due, and when."""
        for hall in self._halls.values():
            hall.news.set()
            hall.news = trio.Event()

    # -- time ----------------------------------------------------------------------------------------------------------
    async def run(self, process: Process) -> None:
        """The companion: load the hall, let nobody pay for our absence, then let time pass."""
        shelf = process.engine.shelf
        if shelf.identity.root_seed is None:
            raise WorkerError("this worker's database does not hold its root key, with which it signs what it rules")
        if self._clock is None:
            self._clock = RefereeClock(shelf.clock_ms)
        referee = Referee(SigningKey(shelf.identity.root_seed), self._engines, self._engines.versions)
        hall = Hall(referee, shelf.vault.query, self._engines.ensure)
        pulse = Pulse(shelf.vault.path.with_name(FILE))
        try:
            await hall.load()
            await self._resume(process, hall, pulse.last_ms())
            self._halls[process.engine] = self.hall = hall
            self._opened.set()
            self._opened = trio.Event()
            async with open_tasks() as nursery:
                nursery.start_soon(self._beat, hall, pulse)
                nursery.start_soon(self._follow, process, hall)
                await self._pass_time(process, hall)
        finally:
            self._halls.pop(process.engine, None)
            self.hall = None
            pulse.close()
            self._engines.close()

    async def _resume(self, process: Process, hall: Hall, last_ms: int) -> None:
        """The time in which we were not there is nobody's thinking time."""
        away_ms = self._now_ms() - last_ms
        playing = [match for match, table in hall.tables.items() if table.phase is T.Phase.PLAYING]
        while last_ms and away_ms > 0 and playing:
            await self._round(process, hall, lambda r: _away(r, playing, away_ms))

    async def _pass_time(self, process: Process, hall: Hall) -> None:
        while True:
            news, at_ms = hall.news, hall.next_ms()
            wait_s = float("inf") if at_ms is None else max(0, at_ms - self._now_ms()) / 1000
            with trio.move_on_after(wait_s):
                await news.wait()
                continue
            async with hall.lock:
                await self._round(process, hall, _tick)
                await self._show(process, hall)

    async def _round(self, process: Process, hall: Hall, decide: Callable[[Round], object]) -> None:
        round_ = Round(hall, self._now_ms(), process.engine.shelf.entropy)
        decide(round_)
        if not round_.tables and not round_.says:
            return
        effects = process.effects()
        effects.writes.append(round_.write)
        for account, body, _ in round_.says:
            effects.say(pair_topic(process.engine.shelf.account, account), body, None)
        effects.commit(())
        await process.engine.shelf.journal.flushed()
        round_.adopt()

    async def _show(self, process: Process, hall: Hall) -> None:
        """Let spectators see what is old enough."""
        shown = due_shows(hall, self._now_ms())
        if not shown:
            return
        effects = process.effects()
        effects.writes.append(shown.write)
        for account, body in shown.says:
            effects.say(pair_topic(process.engine.shelf.account, account), body, None)
        effects.commit(())
        await process.engine.shelf.journal.flushed()
        shown.adopt(hall)

    async def _beat(self, hall: Hall, pulse: Pulse) -> None:
        while True:
            pulse.beat(self._now_ms())
            if hall.clocked:
                await trio.sleep(B.PULSE_S)
            else:
                news = hall.news
                with trio.move_on_after(B.REST_S):
                    await news.wait()

    # -- who is here ---------------------------------------------------------------------------------------------------
    async def _follow(self, process: Process, hall: Hall) -> None:
        """Notice players who go and come, among those who let it be known."""
        engine = process.engine
        players = engine.presence = Players(engine.shelf, hall)
        if engine.link is None:
            return  # this process is ending
        async with open_tasks() as nursery:
            nursery.start_soon(players.run, engine.link)
            nursery.start_soon(self._ask_anew, hall, players)
            here: set[bytes] = set()
            while True:
                changed = players.changed
                playing = hall.playing()
                now = {account for account in playing if players.of(account).state is not State.HIDDEN}
                gone = [T.Gone(account) for account in playing if account in here and account not in now]
                back = [T.Back(account) for account in sorted(now - here)]
                await self._came_and_went(process, hall, [*gone, *back])
                here = now
                await changed.wait()

    async def _came_and_went(self, process: Process, hall: Hall, events: list[T.Gone | T.Back]) -> None:
        for event in events:
            async with hall.lock:
                await self._round(process, hall, partial(_present, event=event))
            self.wake()

    async def _ask_anew(self, hall: Hall, players: Players) -> None:
        """Watch those who play, whenever they are others than before."""
        before: list[bytes] = []
        while True:
            news, playing = hall.news, hall.playing()
            if playing != before:
                before = playing
                players.follow()
            await news.wait()


def _tick(round_: Round) -> None:
    """Whatever time does."""
    round_.tick(round_.hall.due(round_.now_ms))
    if round_.now_ms >= round_.hall.pair_ms and len(round_.hall.seekers) > 1:
        round_.pair()


def _away(round_: Round, matches: list[bytes], away_ms: int) -> None:
    """Tell matches of our absence, as many as one transaction holds; they are taken off the list."""
    while matches and not round_.is_full:
        round_.happens(round_.hall.tables[matches.pop()], T.Away(away_ms))


def _present(round_: Round, event: T.Gone | T.Back) -> None:
    for match in sorted(round_.hall.sits.get(event.account, ())):
        table = round_.hall.tables[match]
        away = event.account in (
            player.account for player, at in zip(table.players, table.gone, strict=False) if at is not None
        )
        if table.phase is T.Phase.PLAYING and away is isinstance(event, T.Back):
            round_.happens(table, event)


def make_worker(clock: RefereeClock | None = None, engines: Engines | None = None) -> Worker:
    """The worker, with nothing in memory yet; ``engines`` None: with all that is installed."""
    made = Worker(
        NAME,
        consumes=CONSUMES,
        produces=PRODUCES,
        keeps="every match with its players, moves and times, and ratings, for good",
        trust="for its clock, for who left, and to tell nobody what is hidden; all else its signed log shows",
        tables=rows.TABLES,
        single=True,
        batch_items=B.BATCH_JOBS,
    )
    refereeing = Refereeing(clock, make_engines() if engines is None else engines)
    made.taker(refereeing.take)
    made.beside(refereeing.run)
    return made


worker = make_worker()
