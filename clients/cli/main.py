"""The command ``chappe``, put together from the entry points ``chappe.commands`` of whatever is installed.

Loading a verb's module must be cheap (no trio, no SQLAlchemy): the verb imports what it needs when it runs.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path

import cyclopts

PACKAGES = ("protocol", "clients", "storage", "relay", "extensions")


def foreign_packages() -> list[str]:
    """Packages of our names that belong to another distribution: all five names exist elsewhere in the index too."""
    home = Path(__file__).resolve().parents[2]
    foreign = []
    for name in PACKAGES:
        spec = find_spec(name)
        origin = None if spec is None or spec.origin is None else Path(spec.origin).resolve().parents[1]
        if origin is not None and origin != home:
            foreign.append(f"{name} ({origin / name})")
    return foreign


def _version() -> str:
    try:
        return version("chappe")
    except PackageNotFoundError:
        return "unknown (not installed)"


def build(verb: str | None = None) -> cyclopts.App:
    """The application with every installed verb; with just one if its name is given."""
    app = cyclopts.App(
        name="chappe",
        help="A real-time messaging backbone: end-to-end encrypted conversations over a relay that cannot read them.",
        version=_version,
    )
    entries = sorted(entry_points(group="chappe.commands"), key=lambda entry: entry.name)
    for entry in [entry for entry in entries if entry.name == verb] or entries:
        app.command(entry.load(), name=entry.name)
    return app


def main() -> None:
    """Run the command line. Exit code 2: something about the call or the installation is wrong."""
    foreign = foreign_packages()
    if foreign:
        print(
            f"chappe: {', '.join(foreign)} belongs to another distribution; install chappe in an environment of its "
            "own (pipx install chappe, or uv tool install chappe)",
            file=sys.stderr,
        )
        raise SystemExit(2)
    try:
        build(sys.argv[1] if len(sys.argv) > 1 else None)()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in PACKAGES:
            raise
        print(f"chappe: this verb needs {error.name}; install the extra: pipx install 'chappe[all]'", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:  # `chappe … | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing is flushed into it at the end
        raise SystemExit(1) from None
