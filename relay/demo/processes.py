"""A relay and people as processes, driven through the command ``chappe`` as a script would drive it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trio

READY_S: Final = 20  # a process that says nothing for this long has failed
ANSWER_S: Final = 60  # the slowest command of a demo on a busy machine
_LINE_BYTES: Final = 64 * 1024


class DemoFailed(Exception):
    """Something did not happen; the text says what was waited for."""


def chappe(*arguments: str) -> list[str]:
    """The command line of a verb, as installed beside this interpreter."""
    script = Path(sys.executable).with_name("chappe")
    return [str(script) if script.exists() else "chappe", *arguments]


def clean_environment() -> dict[str, str]:
    """No settings of the caller leak into a demo."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CHAPPE_")}


@dataclass
class RelayProcess:
    """``chappe up`` on a directory."""

    data: Path
    log: Path
    port: int = 0
    ops_port: int = 0
    process: trio.Process | None = None
    url: str = ""
    ops: str = ""
    ready_ms: float = 0.0

    async def start(self, nursery: trio.Nursery, *extra: str) -> None:
        """Start it and wait for its ready line; the first start takes a free port, later ones the same."""
        began = trio.current_time()
        command = chappe(
            "up", "--data", str(self.data), "--port", str(self.port), "--ops-port", str(self.ops_port), "--json", *extra
        )
        with self.log.open("ab") as log:
            self.process = await trio.lowlevel.open_process(
                command, stdout=subprocess.PIPE, stderr=log, env=clean_environment()
            )
        assert self.process.stdout is not None
        line = b""
        with trio.move_on_after(READY_S):
            while not line.endswith(b"\n"):
                part = await self.process.stdout.receive_some(_LINE_BYTES)
                if not part:
                    break
                line += part
        if not line.endswith(b"\n"):
            raise DemoFailed(f"the relay did not start; see {self.log}")
        ready = json.loads(line)
        self.url, self.ops = ready["url"], ready["ops"]
        self.port = int(self.url.rsplit(":", 1)[1].partition("/")[0])
        self.ops_port = int(self.ops.rsplit(":", 1)[1].partition("/")[0])
        self.ready_ms = (trio.current_time() - began) * 1000

    @property
    def pid(self) -> int:
        """Process id of the running relay."""
        assert self.process is not None
        return self.process.pid

    async def kill(self) -> int:
        """kill -9, and its return code: -9 if it died of that."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        return await self.process.wait()

    async def stop(self) -> int | None:
        """SIGTERM; it drains and goes."""
        if self.process is None or self.process.returncode is not None:
            return None
        self.process.send_signal(signal.SIGTERM)
        with trio.move_on_after(READY_S, shield=True):
            return await self.process.wait()
        self.process.send_signal(signal.SIGKILL)
        return await self.process.wait()


@dataclass(frozen=True, slots=True)
class Line:
    """A message as one member's application was told it."""

    seq: int
    offset: int
    id: str
    sender: str
    text: str


class Bell:
    """Rings when anything came from any process; several tasks may wait for it."""

    def __init__(self) -> None:
        self._next = trio.Event()

    def ring(self) -> None:
        """Wake everybody who waits."""
        self._next.set()
        self._next = trio.Event()

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds; whether it does, after ``seconds`` at the latest."""
        with trio.move_on_after(seconds):
            while not condition():
                await self._next.wait()
        return condition()


@dataclass
class Person:
    """``chappe chat --json`` with a vault of its own."""

    name: str
    home: Path
    log: Path
    bell: Bell
    process: trio.Process | None = None
    seq: int = 0  # of the last event dealt with: what an application remembers
    events: list[dict[str, Any]] = field(default_factory=list)
    heard: dict[str, list[Line]] = field(default_factory=dict)  # topic -> messages
    heard_at: dict[str, float] = field(default_factory=dict)  # message id -> when
    stored: dict[str, int] = field(default_factory=dict)  # message id -> offset
    delivered: dict[str, dict[str, int]] = field(default_factory=dict)  # topic -> account -> offset
    caught_up: dict[str, int] = field(default_factory=dict)  # topic -> offset, since the last start
    connected: bool = False
    account: str = ""
    faults: list[str] = field(default_factory=list)
    _replies: dict[int, dict[str, Any]] = field(default_factory=dict)
    _tag: int = 0

    async def start(self, nursery: trio.Nursery, url: str) -> None:
        """Start the process and follow its events from the last one dealt with."""
        self.connected, self.caught_up = False, {}
        with self.log.open("ab") as log:
            self.process = await trio.lowlevel.open_process(
                chappe("chat", url, "--data", str(self.home), "--json"),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=clean_environment(),
            )  # fmt: skip
        nursery.start_soon(self._read, self.process)
        await self.do("events", after=self.seq)

    async def do(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Run a command. Raises ``DemoFailed`` if it is refused or not answered."""
        reply = await self.ask(verb, **arguments)
        if "error" in reply:
            raise DemoFailed(f"{self.name}: {verb}: {reply['error']}")
        return reply

    async def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Run a command; its reply, with ``error`` if it was refused."""
        self._tag += 1
        tag, process = self._tag, self.process
        assert process is not None
        assert process.stdin is not None
        line = json.dumps({"do": verb, "tag": tag, **arguments}) + "\n"
        try:
            await process.stdin.send_all(line.encode())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return {"error": "the client process is gone"}
        await self.until(lambda: tag in self._replies or process.returncode is not None, f"an answer to {verb}")
        return self._replies.pop(tag, {"error": "the client process is gone"})

    async def until(self, condition: Callable[[], bool], what: str, seconds: float = ANSWER_S) -> None:
        """Wait until something holds. Raises ``DemoFailed`` after ``seconds``."""
        if not await self.bell.until(condition, seconds):
            raise DemoFailed(f"{self.name} waited {seconds:.0f} s in vain for {what}; see {self.log}")

    async def kill(self) -> int:
        """kill -9, and its return code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        return await self.process.wait()

    async def stop(self) -> None:
        """End of input: the client writes what it has and goes."""
        if self.process is None or self.process.returncode is not None or self.process.stdin is None:
            return
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.process.stdin.aclose()
        with trio.move_on_after(READY_S, shield=True):
            await self.process.wait()
            return
        await self.kill()

    # -- what comes ----------------------------------------------------------------------------------------------------
    async def _read(self, process: trio.Process) -> None:
        assert process.stdout is not None
        rest = b""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for part in process.stdout:
                *lines, rest = (rest + part).split(b"\n")
                now = trio.current_time()
                for line in lines:
                    self._line(json.loads(line), now)
                self.bell.ring()
        await process.wait()
        self.connected = False
        self.bell.ring()

    def _line(self, record: dict[str, Any], now: float) -> None:
        if "reply" in record:
            self._replies[record["reply"]] = record
        elif "notice" in record:
            self._notice(record)
        elif "event" in record:
            self._event(record, now)

    def _notice(self, record: dict[str, Any]) -> None:
        if record["notice"] == "caughtup":
            self.caught_up[record["topic"]] = record["offset"]
        elif record["notice"] in ("connected", "disconnected"):
            self.connected = record["notice"] == "connected"

    def _event(self, record: dict[str, Any], now: float) -> None:
        if record["seq"] != self.seq + 1:
            self.faults.append(f"event {record['seq']} came after event {self.seq}")
        self.seq = record["seq"]
        self.events.append(record)
        kind, topic = record["event"], record["topic"]
        if kind == "received":
            line = Line(record["seq"], record["offset"], record["id"], record["account"], record["text"] or "")
            self.heard.setdefault(topic, []).append(line)
            self.heard_at[record["id"]] = now
        elif kind == "stored":
            self.stored[record["id"]] = record["offset"]
        elif kind == "delivered":
            self.delivered.setdefault(topic, {})[record["account"]] = record["offset"]
        elif kind in ("failed", "unreadable", "forked", "locked", "voided", "missing"):
            self.faults.append(f"{kind}: {record.get('reason') or record.get('text') or ''}")

    def lines(self, topic: str) -> list[Line]:
        """What was heard in a conversation so far."""
        return self.heard.get(topic, [])


@dataclass
class WorkerProcess:
    """``chappe worker run NAME``."""

    name: str
    data: Path
    log: Path
    process: trio.Process | None = None

    async def start(self, url: str) -> None:
        """Start it; it takes its handle when it is connected."""
        with self.log.open("ab") as log:
            self.process = await trio.lowlevel.open_process(
                chappe("worker", "run", self.name, "--relay", url, "--data", str(self.data)),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(),
            )  # fmt: skip

    def signal(self, number: int) -> None:
        """Stop it for a while, or let it go on."""
        assert self.process is not None
        self.process.send_signal(number)

    async def stop(self) -> None:
        """SIGTERM, after SIGCONT in case it was stopped."""
        if self.process is None or self.process.returncode is not None:
            return
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        with trio.move_on_after(READY_S, shield=True):
            await self.process.wait()
            return
        self.process.kill()
        await self.process.wait()
