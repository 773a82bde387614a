"""Running a bot over a client: tasks to handlers, handlers' effects into the vault, failures to their policy.

Rule 1.  What a handler says and notes, and the fact that its task is done, are noted in one step without waiting: they
         become durable in one transaction. So after a crash a task was either dealt with, with all its effects, or not.
Rule 2.  What handlers do elsewhere (a web request) may happen again after a crash: ``message.id`` is the key by which
         the other side can tell.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

import trio

from clients import events as E
from clients.bot import bounds as B
from clients.bot.alarms import Alarms
from clients.bot.dead_letters import DeadLetters
from clients.bot.effects import Effects, post_once
from clients.bot.handlers import EVENT, MESSAGE, Context, Handler
from clients.bot.incoming import Incoming
from clients.bot.lanes import Lanes, LanesStatistics
from clients.bot.memory import ATTEMPTS, TIMERS, Attempt, BotMemory, Dead, MemoryStatistics, Timer
from clients.bot.retry import back_off_s, said_of, trace_of
from clients.bot.tasks import Task
from clients.bot.watchdog import Watchdog
from clients.client import Client
from clients.conversations import Conversation
from clients.records import Status
from clients.tasks import open_tasks
from protocol.messages import Body, Unknown, parse

_OWN: Final = (f"{__package__}.",)  # packages whose frames above a handler are of no interest


@dataclass(frozen=True, slots=True)
class Policy:
    """How handlers are run. Times in seconds."""

    attempts: int = B.ATTEMPTS
    back_off_s: tuple[float, ...] = B.BACK_OFF_S
    parallel: int = B.PARALLEL
    blocked_s: float = B.BLOCKED_S
    slow_s: float = B.SLOW_S
    stop_s: float = B.STOP_S
    hears_bots: bool = False


@dataclass(frozen=True, slots=True)
class RunnerStatistics:
    """Figures of a running bot. ``handled`` and ``failed`` count runs of handlers since the start."""

    handled: int
    failed: int
    running: int
    lanes: LanesStatistics
    memory: MemoryStatistics


class Runner:
    """One bot at work."""

    def __init__(
        self, bot: Any, handlers: list[Handler], timers: dict[str, Handler], client: Client, memory: BotMemory,
        policy: Policy, log: logging.Logger,
    ) -> None:  # fmt: skip
        self.client = client
        self.memory = memory
        self._bot = bot
        self._handlers = handlers
        self._timers = timers
        self._policy = policy
        self._log = log
        self._limiter = trio.CapacityLimiter(policy.parallel)
        self._watchdog = Watchdog(log, bound_s=policy.blocked_s)
        self._nursery: trio.Nursery | None = None
        self._handled = self._failed = 0
        self._event_types = tuple(type_ for handler in handlers if handler.kind == EVENT for type_ in handler.types)
        self.lanes = Lanes(client, memory, self._deal, self._listens)
        clock_ms = client.engine.shelf.clock_ms
        self.alarms = Alarms(memory, clock_ms, lambda timer: self.lanes.add(Task(timer.topic, timer=timer)))
        self.dead_letters = DeadLetters(memory, lambda letter: self.lanes.add(Task(letter.topic, dead=letter)))

    def statistics(self) -> RunnerStatistics:
        """Figures of now."""
        lanes, memory = self.lanes.statistics(), self.memory.statistics()
        return RunnerStatistics(self._handled, self._failed, self._limiter.borrowed_tokens, lanes, memory)

    async def run(self) -> None:
        """Work until ``stop``, then until what runs has ended or its time is over."""
        for letter in self.dead_letters.list():
            if letter.replay:
                self.dead_letters.replay(letter.number)
        with self._watchdog.running():
            async with open_tasks() as nursery:
                self._nursery = nursery
                nursery.start_soon(self.alarms.run)
                nursery.start_soon(self._end_in_time, nursery.cancel_scope)
                await self.lanes.run()
                nursery.cancel_scope.cancel()
        self.memory.save_floor(self.lanes.floor)

    def stop(self) -> None:
        """Begin nothing more."""
        self.lanes.stop()

    async def _end_in_time(self, scope: trio.CancelScope) -> None:
        await self.lanes.stopping.wait()
        await trio.sleep(self._policy.stop_s)
        self._log.warning(
            "stopped in the middle of %d handlers after %g s; what they were doing is done again at the next start",
            self._limiter.borrowed_tokens, self._policy.stop_s,
        )  # fmt: skip
        scope.cancel()

    async def post(self, talk: Conversation, body: Body | str, key: bytes | None) -> bytes | None:
        """See ``Bot.post``."""
        await self.client.room_to_send()
        effects = Effects(self.client, self.memory)
        message_id = post_once(effects, talk, body, key)
        effects.commit()
        await self.client.engine.shelf.journal.flushed()
        return message_id

    # -- which handler -------------------------------------------------------------------------------------------------
    def _listens(self, event: E.AnyEvent) -> bool:
        """Whether a handler may be for this event."""
        if isinstance(event, E.Received):
            return not event.mine and event.account != self.client.account
        return isinstance(event, self._event_types)

    def _context(self, task: Task, effects: Effects) -> Context:
        context = Context(
            self._bot, self.client, effects, self._log, task.topic, frozenset(self._timers), event=task.event,
            timer=task.timer,
        )  # fmt: skip
        if isinstance(task.event, E.Received):
            shelf, account = self.client.engine.shelf, task.event.account
            dialog = self.memory.dialogs.get(task.topic + account)
            context.incoming = Incoming(
                task.event, parse(task.event.content), context.talk, self.client.account, shelf.contacts.get(account),
                None if dialog is None else dialog.name,
            )  # fmt: skip
        return context

    def _find(self, task: Task, context: Context) -> Handler | None:
        """The first handler that accepts it; None if it is nobody's. Raises ``LookupError`` for a timer."""
        if task.timer is not None:
            if task.timer.name not in self._timers:
                raise LookupError(f"no @bot.on_timer({task.timer.name!r}) is there any more")
            return self._timers[task.timer.name]
        subject = context.incoming or task.event
        if subject is None or (isinstance(subject, Incoming) and self._passes_by(subject)):
            return None
        kind = MESSAGE if isinstance(subject, Incoming) else EVENT
        return next((one for one in self._handlers if one.kind == kind and one.accepts(subject)), None)

    def _passes_by(self, message: Incoming) -> bool:
        """What no handler gets: bots' words, and (rule 2 of the registry) unknown types that are never acted on."""
        body = message.body
        return (message.by_bot and not self._policy.hears_bots) or (isinstance(body, Unknown) and body.must_answer)

    # -- dealing with a task -------------------------------------------------------------------------------------------
    async def _deal(self, task: Task) -> bool:
        """Settle a task; False: the bot stops before it was settled."""
        if task.dead is not None:
            task = await self._replayed(task.dead)
        while await self._may_begin(task):
            if self._is_moot(task):
                self._settle(task)
                return True
            effects = Effects(self.client, self.memory)
            async with self._limiter:
                if self.lanes.stopping.is_set():
                    return False
                failure = await self._attempt(task, effects)
            if failure is None:
                self._commit(task, effects)
                return True
            if self._give_up(task, *failure):
                return True
        return False

    async def _replayed(self, letter: Dead) -> Task:
        """The task that a dead letter was."""
        if not letter.seq:
            return Task(letter.topic, timer=letter.timer, dead=letter)
        rows = await trio.to_thread.run_sync(self.client.engine.shelf.vault.events, letter.seq - 1, 1)
        event = next((E.decode_event(value, seq) for seq, value in rows if seq == letter.seq), None)
        return Task(letter.topic, event, dead=letter)

    def _is_moot(self, task: Task) -> bool:
        """Whether nothing can or need be done: a cancelled timer, a letter that was skipped, a place we have left."""
        if task.dead is not None:
            return task.dead.key not in self.memory.dead or (task.event is None and task.timer is None)
        if task.timer is not None and task.timer.id not in self.memory.timers:
            return True
        talk = self.client.engine.shelf.conversations.get(task.topic)
        gone = talk is not None and talk.status in (Status.REMOVED, Status.LEFT)
        if gone and (task.timer is not None or isinstance(task.event, E.Received)):
            self._log.info("%s is not dealt with: this bot is not in its conversation any more", task.label)
            return True
        return False

    async def _may_begin(self, task: Task) -> bool:
        """Wait out the back-off. False: the bot stops."""
        waiting = self.memory.attempts.get(task.key)
        if waiting is not None and task.dead is None:
            with trio.move_on_after(max(waiting.retry_at_ms - self.client.engine.shelf.clock_ms(), 0) / 1000):
                await self.lanes.stopping.wait()
        return not self.lanes.stopping.is_set()

    async def _attempt(self, task: Task, effects: Effects) -> tuple[str, Exception] | None:
        """Run the handler. None if all went well, or nobody was interested; else its name and what it raised."""
        name = "?"
        try:
            context = self._context(task, effects)
            handler = self._find(task, context)
            if handler is not None:
                name = handler.name
                await self._run(handler, context, task)
                self._handled += 1
        except Exception as error:  # noqa: BLE001 - a handler is other people's code: whatever it raises is its failure
            self._failed += 1
            return name, error
        return None

    async def _run(self, handler: Handler, context: Context, task: Task) -> None:
        slow = trio.CancelScope()
        if self._nursery is not None:
            self._nursery.start_soon(self._warn_slow, slow, handler.name, task.label)
        try:
            await self._watchdog.watch(handler.name, handler.run(context))
        finally:
            slow.cancel()

    async def _warn_slow(self, scope: trio.CancelScope, handler: str, label: str) -> None:
        with scope:
            await trio.sleep(self._policy.slow_s)
            text = "the handler %s has been at %s for %g s; its conversation waits"
            self._log.warning(text, handler, label, self._policy.slow_s)

    # -- how it ended --------------------------------------------------------------------------------------------------
    def _settle(self, task: Task) -> None:
        task.done(self.memory)
        self.memory.save_floor(self.lanes.floor)

    def _commit(self, task: Task, effects: Effects) -> None:
        """Rule 1: nothing here waits."""
        effects.commit()
        self._settle(task)
        for (place, _), row in effects.rows.items():
            if place == TIMERS and isinstance(row, Timer):
                self.alarms.added(row)

    def _give_up(self, task: Task, handler: str, error: Exception) -> bool:
        """Say what happened; True if the task was set aside, False if it is tried again."""
        before = self.memory.attempts.get(task.key)
        count = 1 + (0 if before is None or task.dead is not None else before.count)
        now_ms = self.client.engine.shelf.clock_ms()
        wait_s = None if task.dead is not None else back_off_s(count, self._policy.attempts, self._policy.back_off_s)
        if wait_s is not None:
            self.memory.put(ATTEMPTS, task.key, Attempt(task.key, count, now_ms + int(wait_s * 1000)))
            outcome = f"attempt {count} of {self._policy.attempts}; again in {wait_s:g} s"
        else:
            letter = task.set_aside(self.memory, handler, count, said_of(error), now_ms)
            self.memory.save_floor(self.lanes.floor)
            outcome = f"set aside as dead letter {letter.number}, after {letter.attempts} attempts"
        self._log.error("the handler %s failed on %s (%s)\n%s", handler, task.label, outcome, trace_of(error, _OWN))
        return wait_s is None
