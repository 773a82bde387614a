"""The door of the project: what it says where something is missing, and that it works for an old Python too."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dev
from tests.house.tree import ROOT, text


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the door, and an environment whose Python always fails."""
    for name in ("dev.py", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho 'no network, out of luck' >&2\nexit 1\n")
    python.chmod(0o755)
    return tmp_path


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "dev.py", *arguments],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_cannot_be_installed_is_one_line_with_the_command_to_copy(checkout: Path) -> None:
    done = run(checkout, "test")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    command = line.partition("; try: ")[2]
    assert command.startswith(".venv/bin/python -m pip install")
    assert "--require-hashes" in command
    assert "out of luck" in (checkout / "build" / "pip.log").read_text()
    assert not (checkout / ".venv" / "locked.sha256").exists()


def test_an_environment_that_is_up_to_date_is_left_alone(checkout: Path) -> None:
    lock, project = checkout / "requirements.lock", checkout / "pyproject.toml"
    (checkout / ".venv" / "locked.sha256").write_text(dev.digest(lock))
    (checkout / ".venv" / "project.sha256").write_text(dev.digest(project))
    done = run(checkout, "venv")
    assert (done.returncode, done.stdout) == (0, "ready: .venv/bin\n")
    project.write_text(project.read_text() + "\n")
    assert run(checkout, "venv").returncode == 2  # it tried


def test_a_topic_that_nobody_proves_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.prove(["perpetual-motion"]) == 2
    assert capsys.readouterr().err.startswith("prove what? ")


def test_an_old_python_looks_for_a_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dev.interpreter() == sys.executable
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name == "python3.12" else None)
    assert dev.interpreter() == "/usr/bin/python3.12"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(dev.Missing, match=re.escape("this is 3.9: sudo apt-get install python3.11")):
        dev.interpreter()


def test_a_python_without_venv_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "interpreter", lambda: shutil.which("false"))
    with pytest.raises(dev.Missing, match=r"sudo apt-get install python3-venv$"):
        dev.make_venv()


def test_it_can_be_read_by_a_python_that_is_too_old() -> None:
    ast.parse(text(Path("dev.py")), feature_version=(3, 7))


def test_make_has_no_commands_of_its_own() -> None:
    makefile = text(Path("Makefile"))
    recipes = {line.strip() for line in makefile.splitlines() if line.startswith("\t")}
    assert recipes == {"@python3 dev.py $@", "@python3 dev.py prove $*"}
    targets = re.findall(r"(?m)^([a-z][a-z -]*):", makefile)
    assert {name for line in targets for name in line.split()} <= dev.COMMANDS.keys()


@pytest.mark.parametrize(
    ("codes", "outcome"),  # of ruff, mypy and pytest
    [((0, 0, 0), 0), ((1, 0, 0), 1), ((0, 2, 0), 2), ((0, 0, 1), 1), ((1, 0, 5), 1)],
)
def test_test_fails_if_any_part_of_it_fails(
    codes: tuple[int, ...], outcome: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = list(codes)
    monkeypatch.setattr(dev, "run", lambda *command, **env: left.pop(0))
    assert dev.test([]) == outcome
    assert not left
    assert ("FAILED: lint" in capsys.readouterr().out) == any(codes[:2])


def test_help_names_every_command() -> None:
    done = run(ROOT, "--help")
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in dev.COMMANDS)
