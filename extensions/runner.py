"""Running jobs: one conversation's one after the other, conversations in parallel; or all of them through a taker.

Retries, back-off and dead letters are those of bots (``clients.bot.retry``), and so is the watchdog that names a
handler which blocks. What differs is where jobs come from: rows of slots that come and go, not a history that stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

import trio

from clients.bot.retry import back_off_s, said_of, trace_of
from clients.bot.watchdog import Watchdog
from clients.records import Status
from clients.tasks import open_tasks
from extensions.engine import WorkerEngine
from extensions.errors import Fenced
from extensions.items import Items, Waiting
from extensions.jobs import Batch, Effects, Job
from extensions.rows import Item
from extensions.worker import Taker, Worker
from protocol.ids import slot_of
from protocol.messages import Body

_OWN = ("extensions.", "clients.")


@dataclass(frozen=True, slots=True)
class RunnerStatistics:
    """Since the process got its slots."""

    handled: int
    failed: int
    running: int


class Runner:
    """The jobs of one process of a worker. ``items`` is set by whoever makes both."""

    items: Items

    def __init__(self, worker: Worker, engine: WorkerEngine) -> None:
        self._worker = worker
        self._engine = engine
        self._policy = worker.policy
        self._limiter = trio.CapacityLimiter(worker.policy.parallel)
        self._watchdog = Watchdog(worker.log)
        self._nursery: trio.Nursery | None = None
        self._lanes: dict[bytes, deque[Waiting]] = {}
        self._queue: deque[Waiting] = deque()  # of a taker
        self._alone: deque[Waiting] = deque()  # jobs of a batch that failed
        self._news = trio.Event()
        self._idle = trio.Event()
        self._busy = 0
        self._handled = self._failed = 0
        self.stopping = trio.Event()

    def statistics(self) -> RunnerStatistics:
        """Figures of now."""
        return RunnerStatistics(self._handled, self._failed, self._busy)

    def ready(self, waiting: Waiting) -> None:
        """A job may run: it is durable."""
        if self._worker.take is not None:
            self._queue.append(waiting)
            self._news.set()
            return
        lane = self._lanes.get(waiting.topic)
        if lane is None:
            lane = self._lanes[waiting.topic] = deque()
            lane.append(waiting)
            if self._nursery is not None and not self.stopping.is_set():
                self._nursery.start_soon(self._serve, waiting.topic, lane)
        else:
            lane.append(waiting)

    def forget(self, slots: Collection[int]) -> None:
        """Slots are given away; what runs in them is not noted any more."""
        for topic, lane in self._lanes.items():
            if slot_of(topic) in slots:
                lane.clear()

    async def run(self) -> None:
        """Run jobs until cancelled."""
        with self._watchdog.running():
            async with open_tasks() as nursery:
                self._nursery = nursery
                if self._worker.take is not None:
                    nursery.start_soon(self._take_all, self._worker.take)
                for topic, lane in list(self._lanes.items()):
                    nursery.start_soon(self._serve, topic, lane)
                await trio.sleep_forever()

    async def stop(self) -> None:
        """Begin nothing more, and wait until what runs has ended."""
        self.stopping.set()
        self._news.set()
        while self._busy:
            self._idle = trio.Event()
            await self._idle.wait()

    # -- handlers ------------------------------------------------------------------------------------------------------
    async def _serve(self, topic: bytes, lane: deque[Waiting]) -> None:
        while lane:
            waiting = lane[0]
            if self.items.is_ours(waiting) and not await self._deal(waiting):
                return  # stopping
            if lane and lane[0] is waiting:
                lane.popleft()
        if self._lanes.get(topic) is lane:
            del self._lanes[topic]

    async def _deal(self, waiting: Waiting) -> bool:
        """Run a job until it is done or set aside. False: the worker stops."""
        while self.items.is_ours(waiting):
            item = self.items.read(waiting)
            if not await self._may_begin(item):
                return False
            body = self.items.body(waiting, item)
            handler = self._worker.handlers.get(type(body)) if isinstance(body, Body) else None
            if handler is None or self._is_moot(item):
                self.items.done(item)  # written by a version that consumed it; or nobody is there any more
                return True
            assert isinstance(body, Body)
            effects = Effects(self._engine, self._engine.shelf, self.items)
            job = Job(item, body, effects)
            async with self._limiter:
                if self.stopping.is_set():
                    return False
                error = await self._attempt(handler.__name__, handler(job), effects)
            if not self.items.is_ours(waiting):
                return True
            if error is None:
                self._handled += 1
                effects.commit([item])
                if effects.writes:  # the next job of this conversation reads what this one wrote
                    await self._engine.shelf.journal.flushed()
            else:
                self._give_up(waiting, item, handler.__name__, error)
        return True

    async def _may_begin(self, item: Item) -> bool:
        wait_ms = item.retry_at_ms - self._engine.shelf.clock_ms() if item.retry_at_ms else 0
        if wait_ms > 0:
            with trio.move_on_after(wait_ms / 1000):
                await self.stopping.wait()
        return not self.stopping.is_set()

    def _is_moot(self, item: Item) -> bool:
        """Whether nobody is there any more whom it could be answered."""
        talk = self._engine.shelf.conversations.get(item.topic)
        return talk is None or talk.status in (Status.REMOVED, Status.LEFT)

    async def _attempt(self, name: str, running: object, effects: Effects) -> Exception | None:
        self._busy += 1
        try:
            await self._watchdog.watch(name, running)  # type: ignore[arg-type]
            await effects.check()
        except Fenced:
            raise
        except Exception as error:  # noqa: BLE001 - a handler is other people's code: whatever it raises is its failure
            self._failed += 1
            return error
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()
        return None

    def _give_up(self, waiting: Waiting, item: Item, handler: str, error: Exception) -> bool:
        """Say what happened; True if the job was set aside, False if it is tried again."""
        count, now_ms = item.attempts + 1, self._engine.shelf.clock_ms()
        wait_s = back_off_s(count, self._policy.attempts, self._policy.back_off_s)
        if wait_s is not None:
            self.items.retry(waiting, item, count, now_ms + int(wait_s * 1000))
            outcome = f"attempt {count} of {self._policy.attempts}; again in {wait_s:g} s"
        else:
            self.items.bury(item, handler, count, said_of(error), now_ms)
            outcome = f"set aside as dead letter {item.number}, after {count} attempts"
        text = "the handler %s failed on message %s (%s)\n%s"
        self._worker.log.error(text, handler, item.id.hex(), outcome, trace_of(error, _OWN))
        return wait_s is None

    # -- a taker -------------------------------------------------------------------------------------------------------
    async def _take_all(self, take: Taker) -> None:
        while not self.stopping.is_set():
            taken = self._next_batch()
            if not taken:
                self._news = trio.Event()
                await self._news.wait()
                continue
            error = await self._take(take, taken)
            left = [waiting for waiting in taken if self.items.is_ours(waiting)]
            if error is None:
                continue
            if len(left) > 1:
                self._alone.extend(left)
            elif left:
                self._failed_alone(left[0], take.__name__, error)

    def _next_batch(self) -> list[Waiting]:
        if self._alone:
            return [self._alone.popleft()]
        taken = [self._queue.popleft() for _ in range(min(len(self._queue), self._policy.batch_items))]
        return [waiting for waiting in taken if self.items.is_ours(waiting)]

    async def _take(self, take: Taker, taken: list[Waiting]) -> Exception | None:
        read = [(waiting, self.items.read(waiting)) for waiting in taken if self.items.is_ours(waiting)]
        items = [item for _, item in read]
        effects = Effects(self._engine, self._engine.shelf, self.items)

        async def flush() -> None:
            if not effects.commit(items):
                raise Fenced("the slots of this batch are another process's by now")
            await self._engine.shelf.journal.flushed()

        bodies = [(item, self.items.body(waiting, item)) for waiting, item in read]
        jobs = [Job(item, body, effects) for item, body in bodies if isinstance(body, Body)]
        batch = Batch(jobs, effects, flush)
        error = await self._attempt(take.__name__, take(batch), Effects(self._engine, self._engine.shelf, self.items))
        if error is None and not batch.is_committed:
            try:
                await batch.commit()
            except Fenced:
                raise
            except Exception as failure:  # noqa: BLE001 - likewise: the worker's own SQL
                return failure
        self._handled += len(jobs) if error is None else 0
        return error

    def _failed_alone(self, waiting: Waiting, name: str, error: Exception) -> None:
        item = self.items.read(waiting)
        if not self._give_up(waiting, item, name, error) and self._nursery is not None:
            self._nursery.start_soon(self._again, waiting)

    async def _again(self, waiting: Waiting) -> None:
        if await self._may_begin(self.items.read(waiting)):
            self._alone.append(waiting)
            self._news.set()
