"""``chappe up``: a relay on this machine, with one command and one directory."""

from __future__ import annotations

import json as json_module
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from relay.run import Running

command = App(name="up", help="Run a relay on this machine.")
EXIT_REFUSED = 2  # the relay did not start, for a reason that the operator can change


@command.default
def up(
    *,
    data: Annotated[Path | None, Parameter(help="Directory of the database; made where there is none.")] = None,
    host: Annotated[str | None, Parameter(help="Address that clients connect to.")] = None,
    port: Annotated[int | None, Parameter(help="Port that clients connect to; 0 takes a free one.")] = None,
    ops_port: Annotated[int | None, Parameter(help="Port of health and metrics; 0 takes a free one.")] = None,
    config: Annotated[Path | None, Parameter(help="TOML file with settings; see `chappe check-config`.")] = None,
    with_: Annotated[
        str, Parameter(name="--with", help="Workers to run beside it, by name, MODULE:ATTRIBUTE or FILE.py: A,B,…")
    ] = "",
    json: Annotated[bool, Parameter(negative="", help="Print the ready line as one line of JSON.")] = False,
) -> int:
    """Run a relay until SIGTERM or Ctrl-C, then drain it: nothing that was acknowledged is lost."""
    import trio

    from relay.config import ConfigError, load
    from relay.run import run_until_signal
    from storage.base import StoreUnusable

    overrides = {"data": None if data is None else str(data), "host": host, "port": port, "ops_port": ops_port}
    sentences: list[str] = []
    try:
        settings = load(config, os.environ, overrides)
        beside = [name.strip() for name in with_.split(",") if name.strip()]
        trio.run(run_until_signal, settings, partial(_say_ready, as_json=json), beside)
    except* (ConfigError, StoreUnusable) as group:
        sentences = [str(error) for error in _leaves(group)]
    for sentence in sentences:
        print(f"chappe up: {sentence}", file=sys.stderr)
    return EXIT_REFUSED if sentences else 0


def _say_ready(running: Running, *, as_json: bool) -> None:
    """One line for people, or for programs."""
    if as_json:
        line = json_module.dumps(
            {"ready": True, "url": running.url, "ops": running.ops_url, "data": str(running.data), "pid": os.getpid()}
        )
    else:
        line = (
            f"Chappe is ready: clients connect to {running.url} · data in {running.data} · "
            f"health and metrics at {running.ops_url} · Ctrl-C ends it"
        )
    print(line, flush=True)


def _leaves(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    found: list[Exception] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
