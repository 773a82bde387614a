"""A worker as a program: command line, environment, log, signals."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import trio

from clients.tasks import open_tasks
from clients.vault import VaultError
from extensions.errors import WorkerError
from extensions.host import open_database, serve
from extensions.store import WorkerVault
from extensions.worker import Worker

DEFAULT_URL: Final = "ws://127.0.0.1:8790/ws"
DEFAULT_DATA: Final = "~/.local/share/chappe/workers"
SWITCH_INTERVAL_S: Final = 0.0005  # a transaction's thread must not wait 5 ms for its turn after each statement
COLLECTOR: Final = (50_000, 20, 100)  # cycles are rare here; looking for them among jobs is not free
EXIT_REFUSED: Final = 2  # it did not start, or may not go on, for a reason that the operator can change


def parser_of(worker: Worker, environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """The command line of a worker."""
    parser = argparse.ArgumentParser(description=f"The worker {worker.name}; it runs until Ctrl-C or SIGTERM.")
    url = environment.get("CHAPPE_URL", DEFAULT_URL)
    parser.add_argument("--relay", default=url, help="address of the relay [CHAPPE_URL]: %(default)s")
    data = Path(environment.get("CHAPPE_DATA", f"{DEFAULT_DATA}/{worker.name}"))
    parser.add_argument("--data", type=Path, default=data, help="its database and key [CHAPPE_DATA]: %(default)s")
    key = environment.get("CHAPPE_KEY_FILE")
    parser.add_argument(
        "--key-file", type=Path, default=None if key is None else Path(key),
        help="file with the key that seals its database; made if missing [CHAPPE_KEY_FILE]: DATA/worker.key",
    )  # fmt: skip
    return parser


def main(worker: Worker, arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run a worker by its command line; the exit code."""
    options = parser_of(worker, os.environ if environment is None else environment).parse_args(arguments)
    return run_worker(worker, options.relay, options.data.expanduser(), options.key_file)


def run(worker: Worker, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a worker as a program of its own: ``python worker.py --relay URL --data DIR``. Ends the process."""
    raise SystemExit(main(worker, arguments))


def run_worker(
    worker: Worker, url: str, data: Path, key_file: Path | None = None, *, beside: bool = False
) -> int:  # fmt: skip
    """Run a worker until a signal ends it, or (``beside``) standard input does; the exit code."""
    set_up_log()
    prepare_process()
    try:
        with open_database(worker, data, key_file=key_file) as vault:
            trio.run(_run, worker, url, vault, beside)
    except (WorkerError, VaultError) as error:
        print(f"{worker.name}: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except KeyboardInterrupt:
        return 130  # a second Ctrl-C: the shell's code for it
    return 0


def prepare_process() -> None:
    """Settings of the whole process."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*COLLECTOR)


async def _run(worker: Worker, url: str, vault: WorkerVault, beside: bool) -> None:
    stop = trio.Event()
    async with open_tasks() as nursery:
        nursery.start_soon(stop_on_signal, stop, worker.log)
        if beside:
            nursery.start_soon(stop_at_end, stop)
        await serve(worker, url, vault, stop)
        nursery.cancel_scope.cancel()


async def stop_on_signal(stop: trio.Event, log: logging.Logger) -> None:
    """SIGTERM or Ctrl-C ends a worker in an orderly way; the second one at once."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            if stop.is_set():
                raise KeyboardInterrupt
            log.info("stopping: what runs may end; once more ends it at once")
            stop.set()


async def stop_at_end(stop: trio.Event) -> None:
    """Whoever started this process is gone: so is the other end of its standard input."""
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stream:
        async for _ in stream:
            pass
    stop.set()


class _UtcFormatter(logging.Formatter):
    converter: Any = staticmethod(time.gmtime)


def set_up_log() -> None:
    """Lines on stderr, unless the program has set up logging itself."""
    logger = logging.getLogger("chappe")
    if not logging.getLogger().handlers and not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(_UtcFormatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"))
        logger.addHandler(handler)
    if not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)
