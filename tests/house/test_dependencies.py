"""What is declared is used, what is used is declared, and each package of the stack does real work."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
import pytest_trio
import trio

from tests.house.tree import PACKAGES, ROOT, WAITING, imported, python_files, shipped

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
#: Where a distribution's import name is another, or it is needed without being imported.
IMPORT_NAMES = {"pynacl": "nacl", "prometheus-client": "prometheus_client", "open-spiel": "pyspiel"}
#: What only modules that are still to come import.
ARRIVING = {"clients/tui": "textual", "extensions/ranking": "numpy"}
NEVER_IMPORTED = {"hiredis": "redis and relay.broker use it when it is there", "psycopg": "a driver, by its URL"}
#: Each package that the project is built on, and the file that is its natural home.
HOMES = {
    "trio": "relay/node.py",
    "trio_websocket": "clients/connection.py",
    "msgpack": "protocol/codec.py",
    "redis": "relay/broker/redis.py",
    "nacl": "protocol/mls/suite.py",
    "sqlalchemy": "storage/tables.py",
}


def names(requirements: Iterable[str]) -> set[str]:
    """The distribution names of requirements, those of our own extras left out."""
    found = {re.split(r"[\[<>=!~; ]", requirement)[0].lower() for requirement in requirements}
    return found - {"chappe"}


def top_levels(paths: Iterable[Path]) -> set[str]:
    """The top-level modules that some files import, the standard library and our own left out."""
    found = {name.partition(".")[0] for path in paths for name in imported(path)}
    return found - set(sys.stdlib_module_names) - {*PACKAGES, "tests", "dev"}


@pytest.mark.parametrize("package", HOMES)
def test_a_package_of_the_stack_does_its_work(package: str) -> None:
    assert package in top_levels([Path(HOMES[package])])


async def test_async_tests_run_in_trio_through_pytest_trio(nursery: trio.Nursery, autojump_clock: object) -> None:
    """Both fixtures are the plugin's: a day of virtual time passes at once."""
    assert pytest_trio.__version__ == importlib.metadata.version("pytest-trio")
    began = trio.current_time()
    nursery.start_soon(trio.sleep, 86_400)
    await trio.sleep(86_400)
    assert trio.current_time() - began >= 86_400


def test_the_sdk_needs_only_the_base_install() -> None:
    declared = {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in names(PROJECT["project"]["dependencies"])}
    tui = {IMPORT_NAMES.get(name, name) for name in names(EXTRAS["tui"])}
    protocol = top_levels(python_files("protocol"))
    assert protocol <= declared
    assert top_levels(python_files("clients")) <= declared | tui


def test_what_is_imported_is_declared() -> None:
    everything = names([*PROJECT["project"]["dependencies"], *(entry for extra in EXTRAS.values() for entry in extra)])
    declared = {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in everything}
    assert top_levels(shipped()) <= declared


def test_what_is_declared_is_imported() -> None:
    """A dependency that nothing uses is a risk that nobody watches."""
    waiting = {package for path, package in ARRIVING.items() if path in WAITING}
    everything = names([*PROJECT["project"]["dependencies"], *(entry for extra in EXTRAS.values() for entry in extra)])
    declared = {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in everything - NEVER_IMPORTED.keys()}
    assert declared - waiting <= top_levels(shipped())
