"""Who blocks: a thread looks at the handler that the event loop steps just now, and names it when it does not yield.

Nothing else can run meanwhile, so the session lives only as long as the relay is patient. The price is two clock reads
for each step of a handler; nothing ticks while no handler runs, so virtual time is free to jump.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from clients.bot import bounds as B


@dataclass(frozen=True, slots=True)
class Step:
    """One uninterrupted step of a handler. ``since``: by the watchdog's clock."""

    handler: str
    since: float
    number: int


class Watchdog:
    """Warns once about each step that holds the event loop for longer than ``bound_s``."""

    def __init__(
        self, log: logging.Logger, *, bound_s: float = B.BLOCKED_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._bound_s = bound_s
        self._clock = clock
        self._step: Step | None = None
        self._steps = 0
        self._warned = 0
        self._loop_thread = threading.get_ident()
        self._stop = threading.Event()

    # -- the event loop's side -----------------------------------------------------------------------------------------
    async def watch(self, handler: str, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine as ``await`` does, noting when each of its steps begins and ends."""
        await self._drive(handler, coroutine)

    @types.coroutine
    def _drive(self, handler: str, coroutine: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
        value: Any = None
        error: BaseException | None = None
        try:
            while True:
                self._steps += 1
                self._step = Step(handler, self._clock(), self._steps)
                try:
                    awaited = coroutine.send(value) if error is None else coroutine.throw(error)
                except StopIteration:
                    return
                finally:
                    self._step = None
                value, error = None, None
                try:
                    value = yield awaited
                except BaseException as thrown:  # noqa: BLE001 - handed on whole: it is what the coroutine awaits
                    error = thrown
        finally:
            coroutine.close()

    # -- the thread's side ---------------------------------------------------------------------------------------------
    def look(self) -> bool:
        """Look once; True if there was something to warn about."""
        step = self._step
        if step is None or step.number == self._warned or self._clock() - step.since < self._bound_s:
            return False
        self._warned = step.number
        frame = sys._current_frames().get(self._loop_thread)
        where = "".join(traceback.format_stack(frame, limit=3)).rstrip() if frame is not None else "?"
        self._log.warning(
            "the handler %s has blocked the event loop for %.1f s: nothing else can run, not even the connection; "
            "await, or use trio.to_thread.run_sync. It is here:\n%s",
            step.handler, self._clock() - step.since, where,
        )  # fmt: skip
        return True

    @contextmanager
    def running(self, sample_s: float = B.SAMPLE_S) -> Iterator[None]:
        """Look again and again, in a thread, as long as the block lasts."""
        self._loop_thread = threading.get_ident()

        def run() -> None:
            while not self._stop.wait(sample_s):
                self.look()

        thread = threading.Thread(target=run, name="chappe-watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
