"""A process of a worker: it opens the worker's database, stays connected, and runs jobs as long as it holds slots.

After a connection ended, and after another process took a slot over (``Fenced``), it begins anew from the database:
nothing in memory outlives the leases under which it was read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import trio

from clients import account as accounts
from clients.client import now_ms
from clients.connection import LinkDown
from clients.events import AnyEvent, AnyNotice, Connected, Forked, Joined, Locked, Received, Unreadable, Voided
from clients.records import rows
from clients.tasks import leaves, open_tasks
from clients.vault import Secret
from extensions import bounds as B
from extensions.engine import WorkerEngine
from extensions.errors import Fenced, WorkerError
from extensions.items import Items
from extensions.jobs import Effects
from extensions.keeper import WorkerKeeper
from extensions.manifest import signed_manifest
from extensions.rows import ORDERS, Order
from extensions.runner import Runner
from extensions.store import WorkerVault, making
from extensions.worker import Worker
from protocol import limits as L
from protocol.errors import RemoteProtocolError
from protocol.frames import GROUP_SHARED, GROUP_SINGLE
from protocol.ids import Entropy
from protocol.messages import Body, compose, parse

DATABASE: Final = "worker.db"
KEY: Final = "worker.key"
_TOLD: Final = (Forked, Locked, Unreadable, Voided)


@contextmanager
def open_database(
    worker: Worker, data: Path, *, key_file: Path | None = None, clock_ms: Callable[[], int] = now_ms,
    entropy: Entropy = os.urandom,
) -> Iterator[WorkerVault]:  # fmt: skip
    """The worker's database in ``data``; made at the first start, with an account of its own. Blocks on the disk.

    Raises ``VaultError``, ``WorkerError``.
    """
    with making(data / DATABASE):
        secret = Secret.key_file(key_file or data / KEY, entropy)
        vault = WorkerVault(data / DATABASE, secret, tables=worker.tables, entropy=entropy)
        try:
            if not accounts.has_identity(vault):
                accounts.create_identity(vault, clock_ms(), entropy, service=True)
        except BaseException:
            vault.close()
            raise
    try:
        yield vault
    finally:
        vault.close()


class Process:
    """One connection's worth of a worker: everything that is in memory."""

    def __init__(
        self, worker: Worker, url: str, vault: WorkerVault, clock_ms: Callable[[], int], entropy: Entropy
    ) -> None:  # fmt: skip
        self.worker = worker
        self.url = url
        self.engine = WorkerEngine(vault, self._told, clock_ms, entropy)
        policy = GROUP_SINGLE if worker.single else GROUP_SHARED
        self.keeper = WorkerKeeper(url, self.engine, self._noticed, policy=policy, handle=worker.handle)
        self.runner = Runner(worker, self.engine)
        self.items = self.runner.items = Items(self.engine.shelf, self._wanted, self.runner.ready)
        self.keeper.granted, self.keeper.parting = self._granted, self._parting
        self.keeper.room = self.items.room
        self.keeper.handle_taken = lambda text: worker.log.error("the handle %r is not ours: %s", worker.handle, text)
        self._companions: trio.Nursery | None = None
        self._wrote = trio.Event()  # set, and replaced, after each transaction
        self.engine.shelf.journal.written = self._written
        self.engine.shelf.journal.witnessed = self._witnessed

    def _written(self) -> None:
        self.engine.shelf.trim()
        self._wrote.set()
        self._wrote = trio.Event()

    def _witnessed(self, event: AnyEvent) -> None:
        if self.worker.witness is not None:
            writes = list(self.worker.witness(self, event))
            if writes:
                self.engine.shelf.journal.write(writes)

    def _wanted(self, event: Received) -> Body | None:
        try:
            body = parse(event.content).body
        except RemoteProtocolError:
            return None
        return body if isinstance(body, Body) and self.worker.consumed(body) else None

    def _granted(self, slots: Collection[int]) -> None:
        self.items.load(slots)
        companion, nursery = self.worker.companion, self._companions
        if companion is not None and nursery is not None:
            self._companions = None
            nursery.start_soon(companion, self)
        self.worker.log.info("%d slots granted; %d jobs wait", len(slots), len(self.items))

    def _parting(self, slots: Collection[int]) -> None:
        self.runner.forget(slots)
        self.items.forget(slots)
        self.worker.log.info("%d slots given away", len(slots))

    def _told(self, told: list[AnyEvent | AnyNotice]) -> None:
        for event in told:
            if isinstance(event, Joined) and not event.again:
                self._introduce(event.topic)
            elif isinstance(event, _TOLD):
                self.worker.log.warning("%s in %s: %s", type(event).__name__, event.topic.hex()[:16], event)

    def _introduce(self, topic: bytes) -> None:
        shelf = self.engine.shelf
        talk = shelf.conversations.get(topic)
        manifest = signed_manifest(self.worker, shelf.identity, shelf.clock_ms())
        if talk is not None and manifest is not None:
            self.engine.say(talk, compose(manifest), quiet=True)

    def _noticed(self, notice: AnyNotice) -> None:
        if isinstance(notice, Connected):
            self.worker.log.info("connected to %s", notice.url)

    def effects(self) -> Effects:
        """For a companion: what it is to say and write; ``commit(())`` it, then wait for the journal."""
        return Effects(self.engine, self.engine.shelf, self.items)

    # -- running -------------------------------------------------------------------------------------------------------
    async def run(self, stop: trio.Event) -> None:
        """One connection; returns after ``stop``, else raises what ended it."""
        vault = self.engine.shelf.vault
        try:
            async with open_tasks((LinkDown,)) as nursery:
                self._companions = nursery
                nursery.start_soon(self.runner.run)
                nursery.start_soon(self._obey)
                nursery.start_soon(self._stop, stop, nursery.cancel_scope)
                await self.keeper.run()
        finally:
            with trio.CancelScope(shield=True), suppress(Fenced):
                await self.engine.shelf.journal.commit()
            vault.let_go(list(vault.held))

    async def _stop(self, stop: trio.Event, scope: trio.CancelScope) -> None:
        await stop.wait()
        with trio.move_on_after(self.worker.policy.stop_s):
            await self.runner.stop()
        with trio.move_on_after(B.FLUSH_S):
            await self.engine.shelf.journal.flushed()
            while self.engine.shelf.outgoing and self.engine.link is not None:
                await self._wrote.wait()
        scope.cancel()

    async def _obey(self) -> None:
        """Do what an operator decides about dead letters, for ever."""
        shelf = self.engine.shelf
        while True:
            for order in await trio.to_thread.run_sync(rows, shelf.vault, ORDERS, Order):
                if self.items.obey(order):
                    shelf.journal.put(ORDERS, order.number.to_bytes(8, "big"), None)
            await shelf.journal.flushed()
            await trio.sleep(B.ORDERS_S)


async def serve(
    worker: Worker, url: str, vault: WorkerVault, stop: trio.Event, *, clock_ms: Callable[[], int] = now_ms,
    entropy: Entropy = os.urandom, started: Callable[[Process], None] = lambda process: None,
) -> None:  # fmt: skip
    """Run a worker until ``stop``; ``started`` hears of each connection's process.

    Raises ``WorkerError`` where the relay will never let it in, ``VaultError`` where its database cannot be written.
    """
    tries = 0
    while not stop.is_set():
        began = trio.current_time()
        process = Process(worker, url, vault, clock_ms, entropy)
        started(process)
        wait_s = B.RESTART_S
        try:
            await process.run(stop)
        except (LinkDown, Fenced, BaseExceptionGroup) as error:
            causes = list(leaves(error))
            down = next((cause for cause in causes if isinstance(cause, LinkDown)), None)
            fenced = next((cause for cause in causes if isinstance(cause, Fenced)), None)
            if any(not isinstance(cause, (LinkDown, Fenced)) for cause in causes):
                raise
            if fenced is None and down is not None:
                if down.final:
                    raise WorkerError(f"the relay does not let this worker in: {down.reason}") from None
                tries = 0 if trio.current_time() - began > B.RESTART_S * 5 else tries + 1
                bound = min(L.RECONNECT_MS_MAX, L.RECONNECT_MS_MIN << min(tries, 10))
                wait_s = ((down.retry_ms or 0) + int.from_bytes(entropy(4), "big") * bound // 2**32) / 1000
            worker.log.warning("%s; beginning anew in %.1f s", fenced or down, wait_s)
            with trio.move_on_after(wait_s):
                await stop.wait()
