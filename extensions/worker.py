"""What a worker is: its name, what it consumes and produces, and its handlers. This is the whole API for its author.

::

    worker = Worker("dice", consumes=("ext.request",), produces=("ext.reply",))

    @worker.on(Request)
    async def roll(job: Job[Request]) -> None:
        await job.reply(Reply(result=…))

    if __name__ == "__main__":
        run(worker)  # extensions.program
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from clients.events import AnyEvent
from extensions import bounds as B
from extensions.errors import WorkerError
from extensions.jobs import Batch, Job
from extensions.store import Write
from protocol.messages import REGISTRY, Body
from protocol.messages.ext import Manifest

T = TypeVar("T", bound=Body)
Handler = Callable[[Job[T]], Awaitable[None]]
Taker = Callable[[Batch], Awaitable[None]]
Companion = Callable[[Any], Awaitable[None]]  # of an `extensions.host.Process`
Witness = Callable[[Any, AnyEvent], Sequence[Write]]  # likewise


@dataclass(frozen=True, slots=True)
class Policy:
    """How handlers are run. Times in seconds."""

    attempts: int = B.ATTEMPTS
    back_off_s: tuple[float, ...] = B.BACK_OFF_S
    parallel: int = B.PARALLEL
    batch_items: int = B.BATCH_ITEMS
    stop_s: float = B.STOP_S


class Worker:
    """An extension worker.

    ``name``: of its data directory and in the log, and its handle at the relay unless ``handle`` says otherwise.
    ``consumes`` and ``produces``: types of messages. ``keeps`` and ``trust``: sentences of the manifest, for people.
    ``single``: one process has all conversations and others stand by; otherwise they share them. ``tables``: SQL that
    makes tables of its own. ``attempts``, ``back_off_s``, ``parallel``: as of bots.
    """

    def __init__(
        self, name: str, *, consumes: Sequence[str], produces: Sequence[str] = (), keeps: str = "", trust: str = "",
        handle: str | None = None, single: bool = False, tables: str = "", attempts: int = B.ATTEMPTS,
        back_off_s: Sequence[float] = B.BACK_OFF_S, parallel: int = B.PARALLEL, batch_items: int = B.BATCH_ITEMS,
        stop_s: float = B.STOP_S,
    ) -> None:  # fmt: skip
        if attempts < 1 or parallel < 1 or batch_items < 1 or not back_off_s:
            raise WorkerError("a worker makes at least one attempt, one job at a time, and has one back-off")
        known = {name for name, _ in REGISTRY}
        unknown = sorted({*consumes, *produces} - known)
        if unknown:
            raise WorkerError(f"no message has the type {', '.join(unknown)}; import the module that registers it")
        self.name = name
        self.handle = handle or name
        self.single = single
        self.tables = tables
        self.consumes = tuple(consumes)
        self.produces = tuple(produces)
        self.keeps = keeps
        self.trust = trust
        self.policy = Policy(attempts, tuple(back_off_s), parallel, batch_items, stop_s)
        self.log = logging.getLogger(f"chappe.worker.{name}")
        self.handlers: dict[type[Body], Handler[Any]] = {}
        self.take: Taker | None = None
        self.companion: Companion | None = None  # runs beside the handlers as long as a process holds slots
        self.witness: Witness | None = None  # hears what happens to conversations

    def __repr__(self) -> str:
        return f"Worker({self.name!r})"

    @property
    def manifest(self) -> Manifest:
        """What it says of itself, not signed yet."""
        return Manifest(
            name=self.name, consumes=self.consumes, produces=self.produces, keeps=self.keeps, trust=self.trust
        )

    def on(self, *types: type[T]) -> Callable[[Handler[T]], Handler[T]]:
        """Decorator: what to do with messages of some types, all of them consumed. Raises ``WorkerError``."""

        def register(handler: Handler[T]) -> Handler[T]:
            if self.take is not None:
                raise WorkerError(f"{self.name} has a taker, which takes everything: no handlers beside it")
            for type_ in types:
                if type_.TYPE not in self.consumes:
                    raise WorkerError(f"{self.name} does not say that it consumes {type_.TYPE!r}; add it to consumes")
                if type_ in self.handlers:
                    raise WorkerError(f"two handlers for {type_.TYPE!r}; one type, one handler")
                self.handlers[type_] = handler
            return handler

        return register

    def taker(self, take: Taker) -> Taker:
        """Decorator: one function that takes everything consumed, many at a time, and commits itself.

        ::

            @worker.taker
            async def book(batch: Batch) -> None:
                for job in batch.jobs: ...      # decide; change nothing yet
                batch.write(lambda db: ...)     # books, in tables of the worker's own
                batch.reply(job, receipt)       # outbox
                await batch.commit()            # all of it and the inbox's progress in one transaction
                ...                             # now change what is in memory

        Batches come one after the other, in the order of arrival. One that raises is tried job by job, so that a bad
        one harms no other; a job that goes on failing is set aside. Raises ``WorkerError``.
        """
        if self.handlers or self.take is not None:
            raise WorkerError(f"{self.name} has handlers already; a taker takes everything")
        self.take = take
        return take

    def beside(self, companion: Companion) -> Companion:
        """Decorator: what runs beside the handlers, from a process's first slots until its connection ends.

        It is cancelled then, and begun anew with the next process: what it holds in memory goes with it. What it raises
        ends the process. It may say and write with ``process.effects()``.
        """
        self.companion = companion
        return companion

    def watches(self, witness: Witness) -> Witness:
        """Decorator: what hears of everything that happens to conversations but messages: joined, changed, removed, …

        It is called while the transaction in which it happened is open, before anybody else hears of it; what it
        returns is written to the worker's own tables in that very transaction. It neither blocks nor raises.
        """
        self.witness = witness
        return witness

    def consumed(self, body: object) -> bool:
        """Whether a message is for this worker."""
        if self.take is not None:
            return isinstance(body, Body) and body.TYPE in self.consumes
        return type(body) in self.handlers
