"""``chappe check-config``: what the settings come to, before a relay runs with them."""

from __future__ import annotations

import json as json_module
import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

command = App(name="check-config", help="Check a relay's settings and print what they come to.")
EXIT_REFUSED = 2


@command.default
def check_config(
    file: Annotated[Path | None, Parameter(help="TOML file; without it: defaults and environment.")] = None,
    *,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object instead of TOML.")] = False,
) -> int:
    """Print every setting with its value and meaning; the output is a valid file. Exit code 2 on a mistake."""
    from relay.config import FIELDS, ConfigError, load

    try:
        settings = load(file, os.environ)
    except ConfigError as error:
        print(f"chappe check-config: {error}", file=sys.stderr)
        return EXIT_REFUSED
    values, insecure = settings.as_dict(), settings.insecure()
    if json:
        print(json_module.dumps({"settings": values, "insecure": insecure}, indent=2))
    else:
        for name, value in values.items():
            print(f"{name} = {json_module.dumps(value)}  # {FIELDS[name].metadata['doc']}")
    for sentence in insecure:
        print(f"warning: {sentence}", file=sys.stderr)
    return 0
