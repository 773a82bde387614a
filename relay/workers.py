"""Workers beside the relay: processes of their own, started again when they die, but not for ever.

Rule 1.  A worker is another program with its own keys. The relay starts and ends it, and shares nothing with it but the
         address: what a worker reads, the relay still cannot.
Rule 2.  One that dies ``WORKER_RESTARTS_MAX`` times within ``WORKER_RESTARTS_S`` stays down, and so does one that says
         that it cannot run (exit code 2). The log, ``/readyz`` and ``chappe doctor`` say so.
Rule 3.  A worker ends with the relay, however that ends: its standard input is a pipe that nobody else holds.
"""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from relay import log
from relay.bounds import WORKER_BACK_OFF_S, WORKER_RESTARTS_MAX, WORKER_RESTARTS_S, WORKER_STOP_S

EXIT_REFUSED: Final = 2
_SAID_CHARS: Final = 300


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker beside the relay. ``down``: why it is not started any more; empty while it is."""

    name: str
    pid: int
    restarts: int
    down: str


@dataclass(slots=True)
class _Child:
    name: str
    process: trio.Process | None = None
    restarts: int = 0
    down: str = ""


def command_of(name: str, url: str, data: Path) -> list[str]:
    """How a worker is started: by the command that is installed beside this interpreter."""
    script = Path(sys.executable).with_name("chappe")
    program = str(script) if script.exists() else "chappe"
    return [program, "worker", "run", name, "--relay", url, "--data", str(data / "workers"), "--beside"]


class Workers:
    """All of them. ``run`` them, then ``stop``."""

    def __init__(self, names: Sequence[str], url: str, data: Path) -> None:
        self._children = [_Child(name) for name in dict.fromkeys(names)]
        self._url = url
        self._data = data
        self._stopping = trio.Event()

    def states(self) -> tuple[WorkerState, ...]:
        """How they are."""
        return tuple(
            WorkerState(child.name, 0 if child.process is None else child.process.pid, child.restarts, child.down)
            for child in self._children
        )

    async def run(self) -> None:
        """Keep them running, until cancelled; then they are ended."""
        async with trio.open_nursery() as nursery:
            for child in self._children:
                nursery.start_soon(self._keep, child)

    async def stop(self) -> None:
        """Ask all of them to end, and wait a while for what they are doing."""
        self._stopping.set()
        with trio.move_on_after(WORKER_STOP_S):
            for child in self._children:
                if child.process is not None:
                    child.process.terminate()
            for child in self._children:
                if child.process is not None:
                    await child.process.wait()

    async def _keep(self, child: _Child) -> None:
        deaths: deque[float] = deque()
        while not self._stopping.is_set():
            code = await self._run_once(child)
            if self._stopping.is_set():
                return
            now = trio.current_time()
            deaths.append(now)
            while deaths[0] < now - WORKER_RESTARTS_S:
                deaths.popleft()
            if code == EXIT_REFUSED:
                child.down = "it says that it cannot run; its own words are in the log above"
            elif len(deaths) >= WORKER_RESTARTS_MAX:
                child.down = f"it died {len(deaths)} times within {WORKER_RESTARTS_S:.0f} s, the last time with {code}"
            if child.down:
                log.warning("worker-down", worker=child.name, why=child.down)
                return
            child.restarts += 1
            log.warning("worker-died", worker=child.name, code=code, restarts=child.restarts)
            await trio.sleep(WORKER_BACK_OFF_S)

    async def _run_once(self, child: _Child) -> int:
        command = command_of(child.name, self._url, self._data)
        try:
            process = child.process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE)
        except OSError as error:
            log.warning("worker-not-started", worker=child.name, why=str(error)[:_SAID_CHARS])
            return EXIT_REFUSED
        log.info("worker-started", worker=child.name, pid=process.pid)
        try:
            return await process.wait()
        finally:
            child.process = None
            with trio.CancelScope(shield=True):
                if process.stdin is not None:
                    await process.stdin.aclose()
                if process.returncode is None:
                    process.kill()
                    await process.wait()
