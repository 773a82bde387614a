"""``chappe worker``: run workers, see how they are, and decide about what they could not deal with."""

from __future__ import annotations

import json as json_module
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

if TYPE_CHECKING:
    from extensions.rows import Dead
    from extensions.worker import Worker

command = cyclopts.App(name="worker", help="Run extension workers, and look after them.")
dead = cyclopts.App(name="dead", help="Messages that no attempt could deal with: list, show, replay, skip.")
command.command(dead)
GROUP = "chappe.workers"
DEFAULT_URL = "ws://127.0.0.1:8790/ws"
DEFAULT_DATA = Path("~/.local/share/chappe/workers")
EXIT_REFUSED = 2
Data = Annotated[Path, Parameter(help="Directory of all workers; each has one of its own in it, by its name.")]
Name = Annotated[str, Parameter(help="Name of the worker.")]
Number = Annotated[int, Parameter(help="Of the dead letter, as `dead list` shows it.")]


def load(name: str) -> Worker:
    """A worker by name, as ``module:attribute``, or in a file. Raises ``WorkerError``."""
    import importlib
    import runpy
    from importlib.metadata import entry_points

    from extensions.errors import WorkerError
    from extensions.worker import Worker

    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    module, colon, attribute = name.partition(":")
    try:
        if name in known:
            found = known[name].load()
        elif module.endswith(".py"):
            found = runpy.run_path(module).get(attribute or "worker")
        elif colon:
            found = getattr(importlib.import_module(module), attribute)
        else:
            names = ", ".join(sorted(known)) or "none"
            raise WorkerError(f"no worker is called {name!r}; installed: {names}; or give MODULE:ATTRIBUTE, or FILE.py")
    except (ImportError, AttributeError, OSError) as error:
        raise WorkerError(f"the worker {name!r} cannot be loaded: {error}") from None
    if not isinstance(found, Worker):
        raise WorkerError(f"{name!r} is no worker, but {type(found).__name__}")
    return found


@contextmanager
def _refusing() -> Iterator[None]:
    from clients.vault import VaultError
    from extensions.errors import WorkerError

    try:
        yield
    except (WorkerError, VaultError) as error:
        print(f"chappe worker: {error}", file=sys.stderr)
        raise SystemExit(EXIT_REFUSED) from None


@command.command
def run(
    name: Annotated[str, Parameter(help="An installed worker, MODULE:ATTRIBUTE, or FILE.py.")],
    *,
    relay: Annotated[str, Parameter(help="Address of the relay, as `chappe up` prints it.")] = DEFAULT_URL,
    data: Data = DEFAULT_DATA,
    key_file: Annotated[Path | None, Parameter(help="File with the key that seals its database.")] = None,
    beside: Annotated[bool, Parameter(help="End when standard input ends: for supervisors.", negative="")] = False,
) -> int:
    """Run a worker until SIGTERM or Ctrl-C. Further processes with the same data share its work."""
    from extensions.program import run_worker

    with _refusing():
        worker = load(name)
        return run_worker(worker, relay, data.expanduser() / worker.name, key_file, beside=beside)


@command.command(name="list")
def list_workers(
    *,
    data: Data = DEFAULT_DATA,
    json: Annotated[bool, Parameter(negative="", help="One line of JSON for each.")] = False,
) -> int:
    """The workers that have run here: how much waits, for how long, and what was set aside."""
    from dataclasses import asdict

    from extensions.letters import look, names

    with _refusing():
        directory = data.expanduser()
        for name in names(directory):
            seen = look(directory, name)
            if json:
                print(json_module.dumps(asdict(seen)))
                continue
            age_s = time.time() - seen.oldest_ms / 1000 if seen.oldest_ms else 0
            print(
                f"{seen.name}  {'running' if seen.running else 'stopped'}  account {seen.account[:16]}…  "
                f"{seen.depth} waiting (oldest {age_s:.0f} s)  {seen.retrying} retrying ({seen.attempts} attempts)  "
                f"{seen.dead} dead"
            )
    return 0


@dead.command(name="list")
def list_dead(name: Name, *, data: Data = DEFAULT_DATA) -> int:
    """One line for each dead letter of a worker."""
    from extensions.letters import letters, opened

    with _refusing(), opened(data.expanduser(), name) as vault:
        for letter in letters(vault):
            print(_line(letter))
    return 0


@dead.command
def show(name: Name, number: Number, *, data: Data = DEFAULT_DATA) -> int:
    """A dead letter with what the message says: in clear, since this is where it may be read."""
    from extensions.letters import content_of, find, opened

    with _refusing(), opened(data.expanduser(), name) as vault:
        letter = find(vault, number)
        print(_line(letter))
        print(f"from {letter.item.account.hex()} in {letter.item.topic.hex()} at offset {letter.item.offset}")
        print(content_of(letter))
    return 0


@dead.command
def replay(name: Name, number: Number, *, data: Data = DEFAULT_DATA) -> int:
    """Run its handler again: within a second where the worker runs, else at its next start."""
    return _decide(name, number, data, skip=False)


@dead.command
def skip(name: Name, number: Number, *, data: Data = DEFAULT_DATA) -> int:
    """Forget it."""
    return _decide(name, number, data, skip=True)


def _decide(name: str, number: int, data: Path, *, skip: bool) -> int:
    from extensions.letters import decide, opened

    with _refusing(), opened(data.expanduser(), name) as vault:
        decide(vault, number, skip=skip)
        print(f"dead letter {number}: {'is forgotten' if skip else 'is run again'}")
    return 0


def _line(letter: Dead) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(letter.at_ms / 1000))
    item = letter.item
    said = f"message {item.id.hex()}  {item.attempts} attempts  {letter.error}"
    return f"{item.number}  {when} UTC  {letter.handler}  {said}"
