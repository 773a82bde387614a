"""The command itself: its verbs, and the checks before any of them runs."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from clients.cli import main as module


def test_every_verb_is_there() -> None:
    app = module.build()
    for entry in entry_points(group="chappe.commands"):
        assert entry.name in app


def test_only_the_verb_that_is_asked_for_is_loaded() -> None:
    app = module.build("up")
    assert "up" in app
    assert "demo" not in app


def test_our_packages_are_ours() -> None:
    assert module.foreign_packages() == []


def test_packages_of_others_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = find_spec

    def find(name: str) -> object:
        return SimpleNamespace(origin="/elsewhere/relay/__init__.py") if name == "relay" else real(name)

    monkeypatch.setattr(module, "find_spec", find)
    assert module.foreign_packages() == [f"relay ({Path('/elsewhere/relay')})"]
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 2
    assert "another distribution" in capsys.readouterr().err


def test_a_package_that_is_not_installed_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert module.foreign_packages() == []


def test_a_missing_extra_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(verb: str | None) -> object:
        raise ModuleNotFoundError("No module named 'sqlalchemy'", name="sqlalchemy")

    monkeypatch.setattr(module, "build", build)
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 2
    assert "needs sqlalchemy" in capsys.readouterr().err


def test_a_missing_module_of_ours_is_a_bug_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(verb: str | None) -> object:
        raise ModuleNotFoundError("No module named 'relay.cli.nothing'", name="relay.cli.nothing")

    monkeypatch.setattr(module, "build", build)
    with pytest.raises(ModuleNotFoundError):
        module.main()


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    code = (
        "import sys; from clients.cli import main as m; m.build = lambda verb: lambda: print('x' * 1_000_000); m.main()"
    )
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdout is not None
    program.stdout.close()
    _, said = program.communicate(timeout=60)
    assert (program.returncode, said) == (1, b"")


def test_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    assert module._version()[0].isdigit()

    def missing(name: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr(module, "version", missing)
    assert "not installed" in module._version()


def test_help_is_quick_to_load() -> None:
    code = (
        "import sys; sys.argv = ['chappe', '--help']\n"
        "from clients.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'trio', 'sqlalchemy', 'nacl'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "chat" in done.stdout
