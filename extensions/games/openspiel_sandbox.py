"""A process that can be killed, around an engine that can crash, hang or eat memory.

Every request has its time. A process that does not answer in it, or that has died, is killed and thrown away; the next
request starts a new one. States are named by their history, so nothing is lost with it.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from typing import Any, Final, TypeVar

import msgspec

from extensions.games import bounds as B
from protocol.rules.base import IllegalAction

T = TypeVar("T")
_HEAD: Final = 4
_CHILD: Final = "extensions.games.openspiel_child"


class EngineFailed(IllegalAction):
    """The engine died, or did not answer in time. What was asked did not happen; asking again is right."""


class _Answer(msgspec.Struct, array_like=True):
    value: msgspec.Raw
    refused: str


class Sandbox:
    """One process at a time, started when it is needed. Threads take turns. Methods block."""

    def __init__(self, module: str = _CHILD) -> None:
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.started = 0  # processes so far

    def ask(self, type_: type[T], *request: Any, timeout_s: float = B.ENGINE_S) -> T:
        """The answer to a request. Raises ``IllegalAction`` (refused) and ``EngineFailed``."""
        with self._lock:
            before = self.started
            process = self._running()
            wait_s = timeout_s + B.ENGINE_START_S * (self.started - before)
            try:
                self._send(process, msgspec.msgpack.encode(request))
                data = self._receive(process, time.monotonic() + wait_s)
            except (OSError, EngineFailed) as error:
                self._end()
                raise EngineFailed(f"the engine of this game failed ({error}); try again") from None
        answer = msgspec.msgpack.decode(data, type=_Answer)
        if answer.refused:
            raise IllegalAction(answer.refused)
        return msgspec.msgpack.decode(answer.value, type=type_)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    @property
    def pid(self) -> int | None:
        """Of the present process."""
        return None if self._process is None else self._process.pid

    # -- inside --------------------------------------------------------------------------------------------------------
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            environment = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "LANG")}
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, env=environment, close_fds=True, bufsize=0,
            )  # fmt: skip
            self.started += 1
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _send(self, process: subprocess.Popen[bytes], body: bytes) -> None:
        assert process.stdin is not None
        process.stdin.write(len(body).to_bytes(_HEAD, "big") + body)

    def _receive(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        assert process.stdout is not None
        size = int.from_bytes(self._exactly(process.stdout.fileno(), _HEAD, deadline), "big")
        if size > B.ENGINE_MESSAGE_BYTES:
            raise EngineFailed("its answer is too long")
        return self._exactly(process.stdout.fileno(), size, deadline)

    def _exactly(self, descriptor: int, size: int, deadline: float) -> bytes:
        found = b""
        while len(found) < size:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise EngineFailed("it does not answer")
            part = os.read(descriptor, size - len(found))
            if not part:
                raise EngineFailed("it has died")
            found += part
        return found
