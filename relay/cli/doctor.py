"""``chappe doctor``: is this installation sound, and does its relay do what it should?"""

from __future__ import annotations

import json as json_module
import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

command = App(name="doctor", help="Examine an installation and the relay that runs on it.")
EXIT_UNSOUND = 1
EXIT_REFUSED = 2


@command.default
def doctor(
    *,
    data: Annotated[Path | None, Parameter(help="Data directory of the relay.")] = None,
    config: Annotated[Path | None, Parameter(help="TOML file with settings, as for `chappe up`.")] = None,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object.")] = False,
) -> int:
    """Print what was looked at. Exit code 1: something fails; 2: the settings cannot be read; warnings are neither."""
    import trio

    from relay.config import ConfigError, load
    from relay.doctor import FAIL, WARN, examine_all

    try:
        settings = load(config, os.environ, {"data": None if data is None else str(data)})
    except ConfigError as error:
        print(f"chappe doctor: {error}", file=sys.stderr)
        return EXIT_REFUSED
    checks = trio.run(examine_all, settings)
    failed = sum(check.status == FAIL for check in checks)
    warned = sum(check.status == WARN for check in checks)
    if json:
        shown = [{"name": check.name, "status": check.status, "text": check.text} for check in checks]
        print(json_module.dumps({"ok": not failed, "failed": failed, "warnings": warned, "checks": shown}))
    else:
        for check in checks:
            print(f"{check.status:5} {check.name}: {check.text}")
        print(f"{failed} failed, {warned} warnings")
    return EXIT_UNSOUND if failed else 0
