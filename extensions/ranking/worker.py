"""The ranking worker: reads what is public from the shard logs, what is said in circles that admitted it, and what
readers tell it in their own conversations.

    chappe up --with ranking

One process has the ranker (``single``), others stand by. What was read of a shard log and what it meant are written in
one transaction, and so are a reader's message and its answer: see ``shop``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec
import trio

from clients.connection import Link, LinkDown
from clients.engine import Engine
from clients.events import AnyEvent, Removed
from clients.feed.entries import Entry
from clients.feed.reading import Reader
from clients.records import Status, Work
from clients.shelf import Shelf
from clients.tasks import open_tasks
from extensions.errors import WorkerError
from extensions.host import Process
from extensions.jobs import Batch, Job
from extensions.ranking import circle as circle_rows
from extensions.ranking import events as E
from extensions.ranking.answers import Answers, Outcome, refused
from extensions.ranking.circles import LEARNS, Circles
from extensions.ranking.lag import Lag
from extensions.ranking.public import events_of
from extensions.ranking.ranker import Statistics
from extensions.ranking.shadow import FILE, Configuration, ShadowStatistics
from extensions.ranking.shipments import Shipments
from extensions.ranking.shop import TABLES, Shop, Write
from extensions.store import WorkerVault
from extensions.worker import Worker
from protocol.codec import decode_struct
from protocol.errors import Code, RemoteProtocolError
from protocol.feeds import Pointer
from protocol.identity import SigningKey
from protocol.ids import feed_topic, pair_topic, shard_topic
from protocol.limits import FEED_GET_MAX, FEED_SHARDS
from protocol.messages import feed as F
from protocol.messages import rank as K
from protocol.messages.rank import RefusedCode
from protocol.requests import FeedEntry

NAME: Final = "ranking"
POLL_S: Final = 0.25  # how often the heads of the shard logs are asked for: one small question
TICK_MS: Final = 60_000  # between fits of what bridges, which take a part of a second
JUDGED_MS: Final = 2_000  # where notes or ratings have come meanwhile
_READERS: Final = "readers"  # as a source of what is to be learned, beside the shards
_NO_CIRCLE: Final = "there is no such circle of which both you and this ranker are members; a member admits the ranker"
_NOT_HERE: Final = "ask in your own conversation with this ranker: here everybody would see what you read"
_FULL: Final = "this ranker has no room for another circle, and leaves; nothing of what is said here was kept"
_SHARDS: Final = tuple(shard_topic(number) for number in range(FEED_SHARDS))


@dataclass(frozen=True, slots=True)
class RankingStatistics:
    """``lag_ms``: age of the oldest thing said that is not learned; at rest, of the last look at the shard logs.

    ``circles``: of those that admitted the ranker, how many are in memory.
    """

    ranker: Statistics
    lag_ms: int
    shadow: ShadowStatistics | None
    circles: int


class Ranking:
    """What one process has in memory: the shop, once its tables are read."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._answers: dict[object, Answers] = {}
        self._opened = trio.Event()
        self.shop: Shop | None = None
        self._busy = False  # a batch is applied and not written yet: no snapshot may hold it
        self._ticked_ms = 0
        self._shipments = Shipments()
        self.lag = Lag()
        self._judged = False  # notes or ratings came since the last tick
        self._circles: WeakKeyDictionary[Engine, Circles] = WeakKeyDictionary()  # a process may hear of some at once

    def circles(self, process: Process) -> Circles:
        """The circles of a process."""
        found = self._circles.get(process.engine)
        if found is None:
            found = self._circles[process.engine] = Circles(process.engine.shelf.vault.query)
        return found

    def witness(self, process: Process, event: AnyEvent) -> Sequence[Write]:
        """What happens to groups, in the transaction in which it does."""
        writes = self.circles(process).witness(process.engine.shelf, event)
        if isinstance(event, Removed):
            process.items.drop(event.topic)
        return writes

    # -- readers -------------------------------------------------------------------------------------------------------
    async def take(self, batch: Batch) -> None:
        """The taker: deal with readers' messages, each with what it writes and what is answered, as one."""
        while batch.engine not in self._answers:
            await self._opened.wait()
        shop, circles = self.shop, self._circles[batch.engine]
        assert shop is not None
        if shop.stale:
            await trio.to_thread.run_sync(shop.load)
        self._busy = True
        self.lag.waits(_READERS, min(job.item.ts for job in batch.jobs))
        circles.begin()
        try:
            for job in batch.jobs:
                outcome = await self._deal(batch.engine, job, shop, circles)
                for write in outcome.writes:
                    batch.write(write)
                for body in outcome.says:
                    batch.reply(job, body)
            await batch.commit()
            self.lag.done(_READERS)
        finally:
            self._busy = False
            shop.stale = not batch.is_committed  # then memory is ahead of the tables: they are read anew first
            circles.settle(written=batch.is_committed)

    async def _deal(self, engine: Engine, job: Job[Any], shop: Shop, circles: Circles) -> Outcome:
        """Decide on one message."""
        body, shelf = job.body, engine.shelf
        is_ours = job.topic == pair_topic(shelf.account, job.account)
        if isinstance(body, LEARNS):
            return Outcome(writes=[] if is_ours else await circles.hear(shelf, job.item, body))
        if not is_ours:
            return Outcome([] if isinstance(body, K.Signals) else [refused(_NOT_HERE, RefusedCode.NOT_HERE)])
        if isinstance(body, K.Ship):
            self._shipments.want(job.topic, job.id)
            return Outcome()
        answers = self._answers[engine]
        if not body.circle:
            return answers.answer(job.account, job.item.ts, body, shop)
        circle = await circles.asked(shelf, body.circle, job.account)
        if circle is None:
            return Outcome([] if isinstance(body, K.Signals) else [refused(_NO_CIRCLE, RefusedCode.NO_CIRCLE)])
        writes = circle.tick(shelf.clock_ms())
        outcome = answers.answer(job.account, job.item.ts, body, circle)
        return Outcome(outcome.says, writes + outcome.writes)

    # -- what is public ------------------------------------------------------------------------------------------------
    async def run(self, process: Process) -> None:
        """The companion: read the tables, then the shard logs for ever."""
        shelf = process.engine.shelf
        if shelf.identity.root_seed is None:
            raise WorkerError("this worker's database does not hold its root key, with which it signs pages")
        shop = self.shop = await trio.to_thread.run_sync(self._open, shelf.vault)
        key = SigningKey(shelf.identity.root_seed)
        circles = self.circles(process)
        self._answers[process.engine] = Answers(key, shelf.clock_ms)
        self._opened.set()
        self._opened = trio.Event()
        reader = Reader(process.engine.directory, _linked(process))
        try:
            await _look_around(process, circles, reader)
            async with open_tasks((LinkDown,)) as nursery:
                nursery.start_soon(self._shipments.run, process, self._still, key, _linked(process))
                while True:
                    await self._round(process, shop, reader)
                    await self._tick(process, shop)
                    await _tidy(process, circles)
                    await trio.sleep(POLL_S)
        finally:
            self._answers.pop(process.engine, None)
            self._circles.pop(process.engine, None)
            self.shop = None

    def _open(self, vault: WorkerVault) -> Shop:
        """The shop, with a shadow if there is a file that describes one. Blocks on the disk."""
        wanted, path = None, vault.path.parent / FILE
        if path.is_file():
            try:
                wanted = msgspec.json.decode(path.read_bytes(), type=Configuration)
            except (msgspec.DecodeError, OSError) as error:
                self._worker.log.error("%s describes no shadow, so there is none: %s", path, error)
        return Shop(vault.query, beside=wanted)

    def statistics(self, now_ms: int) -> RankingStatistics:
        """Counters, sizes and the lag. Raises ``LookupError``: the tables are not read yet."""
        shop = self.shop
        if shop is None:
            raise LookupError("the ranker has not read its tables yet")
        shadow = None if shop.shadow is None else shop.shadow.statistics()
        loaded = sum(circles.loaded for circles in self._circles.values())
        return RankingStatistics(shop.ranker.statistics(), self.lag.age_ms(now_ms), shadow, loaded)

    def _still(self) -> Shop | None:
        """The shop, when everything that it knows is written or about to be."""
        return None if self._busy or self.shop is None or self.shop.stale else self.shop

    async def _round(self, process: Process, shop: Shop, reader: Reader) -> None:
        asked_ms = process.engine.shelf.clock_ms()
        heads = await reader.heads(_SHARDS)
        for shard, head in enumerate(heads):
            generation, place = shop.shards.get(shard, (head.generation, 0))
            if generation != head.generation:
                place = min(place, head.head)  # restored from a backup: go on where it is now, learn nothing twice
            while not head.code and place < head.head:
                page = await reader.page(_SHARDS[shard], place, FEED_GET_MAX)
                self.lag.waits(shard, min((entry.ts for entry in page.entries), default=asked_ms))
                entries = await _entries(reader, page.entries)
                await _write(process, learned(shop, entries) + shop.passed(shard, page.generation, page.next))
                self._judged = self._judged or any(isinstance(entry.body, F.Note | F.Rating) for entry in entries)
                if page.next <= place:
                    break
                place = page.next
            self.lag.done(shard)
        self.lag.looked(asked_ms)

    async def _tick(self, process: Process, shop: Shop) -> None:
        """What is done now and then: bridging is fitted anew, and a snapshot is taken."""
        now_ms = process.engine.shelf.clock_ms()
        if self._busy or shop.stale or now_ms - self._ticked_ms < (JUDGED_MS if self._judged else TICK_MS):
            return
        self._ticked_ms, self._judged = now_ms, False
        await _write(process, shop.apply([E.Tick(now_ms)]) + shop.snapshot())
        self._worker.log.info("%s", self.statistics(now_ms))


async def _write(process: Process, writes: list[Write]) -> None:
    effects = process.effects()
    effects.writes += writes
    effects.commit(())
    await process.engine.shelf.journal.flushed()


async def _look_around(process: Process, circles: Circles, reader: Reader) -> None:
    """Ask which of our circles we are still in: we may have been put out of one while nobody was here."""
    shelf = process.engine.shelf
    before = {topic: _standing(shelf, topic) for topic in await circles.topics()}
    for topic, head in zip(before, await reader.heads(list(before)), strict=True):
        if head.code == Code.NOT_FOUND and _standing(shelf, topic) == before[topic]:
            process.engine.shut_out(topic)
    await shelf.journal.flushed()


def _standing(shelf: Shelf, topic: bytes) -> tuple[int, int, int] | None:
    talk = shelf.conversations.get(topic)
    return None if talk is None else (talk.status, talk.group, talk.fence)


async def _tidy(process: Process, circles: Circles) -> None:
    """Leave groups for which there was no room, and have the file hold nothing of circles that are gone."""
    while circles.doubtful:
        topic = circles.doubtful.pop()
        talk = process.engine.shelf.conversations.get(topic)
        going = any(row.work == Work.LEAVE for row in process.engine.outbox.lane(topic).rows)
        if talk is None or talk.status != Status.ACTIVE or going:
            continue
        if await circles.is_homeless(topic):
            effects = process.effects()
            effects.say(topic, refused(_FULL, RefusedCode.FULL), None)
            effects.commit(())
            process.engine.leave(talk)
            await process.engine.shelf.journal.flushed()
    await circles.scrub(process.engine.shelf.vault)


async def _entries(reader: Reader, pointers: Sequence[FeedEntry]) -> list[Entry]:
    """What pointers point to, as far as it is there and is what it says, in their order."""
    places = []
    for pointer in pointers:
        try:
            places.append((feed_topic(pointer.account), decode_struct(pointer.body, Pointer).offset))
        except RemoteProtocolError:
            continue
    raws = [raw for raw in await reader.raw(places) if raw is not None] if places else []
    return [entry for entry in await reader.checked(raws) if entry is not None]


def learned(shop: Shop, entries: Sequence[Entry]) -> list[Write]:
    """Learn from public entries; what to write."""
    events = [event for entry in entries for event in events_of(entry)]
    posts = {event.id for event in events if isinstance(event, E.Post | E.Note)}
    places = {entry.key: (entry.account, entry.offset) for entry in entries if entry.key in posts}
    gone = [event.post for event in events if isinstance(event, E.Deleted)]
    changed = [(e.about_key, e.offset) for e in entries if isinstance(e.body, F.Edit) and not e.doubt]
    return shop.apply(events) + shop.placed(places, gone) + shop.edited(changed)


def _linked(process: Process) -> Callable[[], Awaitable[Link]]:
    async def wait_connected() -> Link:
        while process.engine.link is None:
            await process.keeper.link_changed.wait()
        return process.engine.link

    return wait_connected


def make_worker() -> Worker:
    """The worker, with nothing in memory yet."""
    made = Worker(
        NAME,
        consumes=(
            "rank.consent",
            "rank.signal",
            "rank.request",
            "rank.whynot",
            "rank.forget",
            "rank.export",
            "rank.ship",
            *(body.TYPE for body in LEARNS),
        ),
        produces=("rank.page", "rank.brief", "rank.because", "rank.known", "rank.refused", "rank.model"),
        keeps="what is public, and of readers who opted in what they did with which post, until they say forget; of a "
        "circle that made it a member the same, apart from all else and until it is put out",
        trust="that it learns only from what it was told, and tells nobody else; every page shows the sum of each "
        "score, signed",
        tables=f"{TABLES};{circle_rows.TABLES}",
        single=True,
    )
    ranking = Ranking(made)
    made.taker(ranking.take)
    made.beside(ranking.run)
    made.watches(ranking.witness)
    return made


worker = make_worker()
