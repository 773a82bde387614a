"""The command starts fast and refuses to run in a mixed installation."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.house.tree import PACKAGES, ROOT, files

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SCRIPT = PYPROJECT["project"]
_HELP = """
import contextlib, io, json, sys
sys.argv = ["chappe", "--help"]
from clients.cli.main import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as said:
    main()
print(json.dumps([said.getvalue(), sorted(name for name in sys.modules if "." not in name)]))
"""


def test_help_is_instant() -> None:
    """Asking for help must not pay for a relay: neither trio nor SQLAlchemy is imported for it."""
    done = subprocess.run([sys.executable, "-c", _HELP], cwd=ROOT, capture_output=True, text=True, check=True)
    said, modules = json.loads(done.stdout)
    assert not {"trio", "sqlalchemy", "redis", "cryptography", "nacl"} & set(modules)
    assert all(verb in said for verb in SCRIPT["entry-points"]["chappe.commands"])


@pytest.mark.parametrize("verb", sorted(SCRIPT["entry-points"]["chappe.commands"]))
def test_every_verb_loads_and_has_help(verb: str) -> None:
    command = [str(Path(sys.executable).with_name("chappe")), verb, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert verb in done.stdout


def test_the_installed_distribution_is_this_checkout() -> None:
    """An entry point that was added to pyproject.toml and never installed would look like a broken command."""
    declared = SCRIPT["entry-points"]["chappe.commands"]
    installed = {
        entry.name: entry.value
        for entry in importlib.metadata.distribution("chappe").entry_points
        if entry.group == "chappe.commands"
    }
    assert installed == declared, "run: python3 dev.py venv"
    assert importlib.metadata.version("chappe") == SCRIPT["version"]


def test_the_wheel_ships_the_five_packages_whole_and_nothing_else(tmp_path: Path) -> None:
    """Also what is no Python: `py.typed`, migrations, SQL, templates; and never the tests."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=True)
    (wheel,) = tmp_path.glob("chappe-*.whl")
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert shipped == {path.as_posix() for path in files() if path.parts[0] in PACKAGES}
    assert {f"{package}/py.typed" for package in PACKAGES} <= shipped
