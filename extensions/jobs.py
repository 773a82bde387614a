"""What a handler is given: a job, and a batch of them. What it does is noted, and done in one transaction.

Rule 1.  Replies, changes of the worker's own tables, and the fact that the job is done become durable together, or none
         of them. A handler that raises leaves nothing behind.
Rule 2.  What a handler does elsewhere may happen again after a crash: ``Job.key`` tells the other side so.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import trio

from clients.engine import Engine
from clients.records import Status
from extensions import bounds as B
from extensions.errors import WorkerError
from extensions.items import Items
from extensions.rows import Item
from extensions.shelf import WorkerShelf
from extensions.store import Write
from protocol.content import Reference
from protocol.ids import slot_of
from protocol.messages import Body, compose

T = TypeVar("T", bound=Body)


@dataclass(slots=True)
class Effects:
    """What is to be said and written, of one job or one batch."""

    engine: Engine
    shelf: WorkerShelf
    items: Items
    says: list[tuple[bytes, Body, bytes | None]] = field(default_factory=list)  # topic, body, id that it answers
    writes: list[Write] = field(default_factory=list)

    def say(self, topic: bytes, body: Body, re: bytes | None) -> None:
        """Note a message. Raises ``WorkerError``."""
        if len(self.says) >= B.SENDS_MAX:
            raise WorkerError(f"one job says at most {B.SENDS_MAX} messages")
        if slot_of(topic) not in self.shelf.vault.held:
            raise WorkerError(
                "that conversation is in a slot of another process; answer where you were asked, or run this worker "
                "with single=True"
            )
        self.says.append((topic, body, re))

    async def check(self) -> None:
        """Try the writes. Raises what they raise."""
        if self.writes:
            await trio.to_thread.run_sync(self.shelf.vault.rehearse, self.writes)

    def commit(self, done: Sequence[Item]) -> bool:
        """Note all of it, in one step. False: the slot of a job is not ours any more, so nothing was noted."""
        held = self.shelf.vault.held
        if not all(slot_of(item.topic) in held for item in done):
            return False
        for item in done:
            self.items.done(item)
        if self.writes:
            self.shelf.journal.write(self.writes)
        for topic, body, re in self.says:
            talk = self.shelf.conversations.get(topic)
            if talk is not None and talk.status not in (Status.REMOVED, Status.LEFT):
                reference = None if re is None else Reference(re)
                self.engine.say(talk, compose(body, re=reference, seen=self.engine.seen(talk)), quiet=True)
        return True


class _Writer:
    """What a job and a batch have in common."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects

    def execute(self, sql: str, *values: object) -> None:
        """Change the worker's own tables when the job is done, in the transaction that says so."""
        self._effects.writes.append(lambda db: db.execute(sql, values))

    def write(self, write: Callable[[sqlite3.Connection], object]) -> None:
        """The same for many statements; it runs twice, first in a transaction that is undone."""
        self._effects.writes.append(write)

    async def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the worker's own tables, without what this job has noted so far."""
        return await trio.to_thread.run_sync(self._effects.shelf.vault.query, sql, values)


class Job(_Writer, Generic[T]):
    """One message to deal with. ``attempt``: 1 at the first run."""

    def __init__(self, item: Item, body: T, effects: Effects) -> None:
        super().__init__(effects)
        self.item = item
        self.body = body
        self.attempt = item.attempts + 1

    @property
    def topic(self) -> bytes:
        """The conversation it came in."""
        return self.item.topic

    @property
    def account(self) -> bytes:
        """Who asks."""
        return self.item.account

    @property
    def id(self) -> bytes:
        """The message's id: the idempotency key of whoever asks."""
        return self.item.id

    @property
    def key(self) -> bytes:
        """32 bytes that are the same at each run of this job, and of no other job: an idempotency key for elsewhere."""
        return hashlib.sha256(self.item.topic + self.item.device + self.item.id).digest()

    async def reply(self, body: Body) -> None:
        """Answer it. It goes out when the handler has ended well."""
        await trio.lowlevel.checkpoint()
        self._effects.say(self.topic, body, self.id)

    async def say(self, body: Body, *, topic: bytes | None = None) -> None:
        """Say something in its conversation, or in another one of this process's slots."""
        await trio.lowlevel.checkpoint()
        self._effects.say(topic or self.topic, body, None)

    def __repr__(self) -> str:
        return f"Job({type(self.body).__name__} {self.id.hex()}, attempt {self.attempt})"


class Batch(_Writer):
    """Several jobs that a *taker* deals with together; see ``Worker.taker``."""

    def __init__(self, jobs: Sequence[Job[Any]], effects: Effects, flush: Callable[[], Any]) -> None:
        super().__init__(effects)
        self.jobs = tuple(jobs)
        self.is_committed = False
        self._flush = flush

    def reply(self, job: Job[Any], body: Body) -> None:
        """Answer one of the jobs."""
        self._effects.say(job.topic, body, job.id)

    def say(self, topic: bytes, body: Body) -> None:
        """Say something in a conversation."""
        self._effects.say(topic, body, None)

    async def commit(self) -> None:
        """Books, inbox progress and outbox in one transaction; durable on return. Once a batch.

        Raises ``sqlite3.Error`` where a write of the worker's own fails, ``Fenced`` where another process has taken
        over: then nothing was written.
        """
        if self.is_committed:
            raise WorkerError("this batch was committed already")
        await self._effects.check()
        await self._flush()
        self.is_committed = True
