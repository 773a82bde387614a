"""Checkpoint, then speak: nothing leaves a client before the state that produced it is durable.

The engine changes its state in memory and notes in the journal what to write and what to do afterwards. A loop takes
all that was noted, commits it to the vault in one transaction in a worker thread, and only then does the rest: frames
to the relay, events to the application. Meanwhile the engine may go on; what it notes belongs to the next transaction.
A crash at any point loses a suffix of which nobody has heard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import trio

from clients.events import AnyEvent, AnyNotice, Forked, Received
from clients.vault import Batch, Vault
from protocol.errors import ChappeError


@dataclass(frozen=True, slots=True)
class JournalStatistics:
    """How the journal is doing."""

    commits: int
    waiting: int
    events: int


class Journal:
    """One client's writes and what waits for them."""

    def __init__(self, vault: Vault, publish: Callable[[list[AnyEvent | AnyNotice]], None]) -> None:
        """``publish`` gets events and notices after the transaction they belong to."""
        self._vault = vault
        self._publish = publish
        self._batch = self._new_batch()
        self._after: list[Callable[[], None]] = []
        self._told: list[AnyEvent | AnyNotice] = []
        self._before: dict[object, Callable[[], None]] = {}
        self._kick = trio.Event()
        self._seq = vault.last_seq()
        self._commits = 0
        self._diverted: tuple[bytes, Callable[[AnyEvent], None]] | None = None
        self._flushed = trio.Event()
        self._hearers: list[Callable[[Received], None]] = []
        self._failure: ChappeError | None = None

    # -- what the engine notes -----------------------------------------------------------------------------------------
    def put(self, place: str, name: bytes, value: msgspec.Struct | bytes | None) -> None:
        """Set a row of the vault to a struct or bytes; None deletes it."""
        data = msgspec.msgpack.encode(value) if isinstance(value, msgspec.Struct) else value
        self._batch.put(place, name, data)
        self._kick.set()

    def put_late(self, key: object, write: Callable[[], None]) -> None:
        """Call ``write`` once when the batch is taken: for state that changes many times within one batch."""
        self._before[key] = write
        self._kick.set()

    def tell(self, event: AnyEvent | AnyNotice) -> None:
        """Tell the application after the commit; a durable event gets its number and is written."""
        if self._is_diverted(event):
            return
        if isinstance(event, Received):
            for hear in self._hearers:
                hear(event)
        if isinstance(event, AnyEvent):
            self._seq += 1
            event = msgspec.structs.replace(event, seq=self._seq)
            self._batch.events.append((self._seq, event.topic, msgspec.msgpack.encode(event)))
        self._told.append(event)
        self._kick.set()

    def listen(self, hear: Callable[[Received], None]) -> None:
        """``hear`` gets every message that is told, in the transaction in which it came: wallet, games, feeds."""
        self._hearers.append(hear)

    def divert(self, topic: bytes, to: Callable[[AnyEvent], None]) -> None:
        """What happens in a topic is no news to the application: ``to`` gets it, in the batch in which it happens.

        Only that the relay forged its history is told all the same.
        """
        self._diverted = (topic, to)

    def _is_diverted(self, event: AnyEvent | AnyNotice) -> bool:
        if self._diverted is None or getattr(event, "topic", b"") != self._diverted[0] or isinstance(event, Forked):
            return False
        if isinstance(event, AnyEvent):
            self._diverted[1](event)
        return True

    def after(self, action: Callable[[], None]) -> None:
        """Run ``action`` after the commit (sending frames, waking somebody)."""
        self._after.append(action)
        self._kick.set()

    @property
    def last_seq(self) -> int:
        """Number of the newest event that was told."""
        return self._seq

    async def flushed(self) -> None:
        """Wait until everything noted so far is durable and has been acted on."""
        done = trio.Event()
        self.after(done.set)
        await done.wait()

    def _new_batch(self) -> Batch:
        return Batch()

    # -- the loop ------------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Commit what is noted, for ever. Raises ``VaultError`` when the vault cannot be written: then stop."""
        while True:
            await self._kick.wait()
            await self.commit()

    async def commit(self) -> None:
        """One round: write, then act. Once a round has failed, all that follow do: nothing is written over a hole."""
        if self._failure is not None:
            raise self._failure
        self._kick = trio.Event()
        before, self._before = self._before, {}
        for write in before.values():
            write()
        batch, self._batch = self._batch, self._new_batch()
        after, self._after = self._after, []
        told, self._told = self._told, []
        if batch:
            # Not cancellable, not even before it starts: the batch was taken, and a stop that dropped it would leave a
            # hole under what is noted later.
            with trio.CancelScope(shield=True):
                try:
                    await trio.to_thread.run_sync(self._vault.commit, [batch])
                except ChappeError as error:
                    self._failure = error
                    raise
            self._commits += 1
        for action in after:
            action()
        if told:
            self._publish(told)

    def statistics(self) -> JournalStatistics:
        """Figures of now."""
        batch = self._batch
        waiting = len(batch.records) + len(batch.events) + len(self._after) + len(self._before)
        return JournalStatistics(self._commits, waiting, self._seq)
