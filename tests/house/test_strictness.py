"""`dev.py lint` runs ruff and mypy; here is checked that nobody made them look away."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tests.house.tree import PACKAGES, ROOT, python_files, text

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TOOL = PYPROJECT["tool"]


def test_mypy_is_strict_everywhere() -> None:
    mypy = TOOL["mypy"]
    assert mypy["strict"] is True
    assert set(mypy["packages"]) == {*PACKAGES, "tests"}
    assert not {"exclude", "disable_error_code", "ignore_errors", "follow_imports"} & mypy.keys()


def test_mypy_overrides_only_excuse_packages_of_others() -> None:
    for override in TOOL["mypy"].get("overrides", ()):
        assert override.keys() == {"module", "ignore_missing_imports"}
        assert not [name for name in override["module"] if name.partition(".")[0] in (*PACKAGES, "tests")]


def test_ruff_looks_at_everything() -> None:
    ruff = TOOL["ruff"]
    assert ruff["line-length"] == 120
    assert not {"exclude", "extend-exclude"} & ruff.keys()
    assert "per-file-ignores" not in ruff["lint"]
    assert {"E", "F", "B", "I", "UP", "BLE", "PT", "ASYNC"} <= set(ruff["lint"]["select"])


def test_warnings_are_errors() -> None:
    pytest_options = TOOL["pytest"]["ini_options"]
    assert pytest_options["filterwarnings"][0] == "error"
    excuses = pytest_options["filterwarnings"][1:]
    assert all(len(entry.split(":")) >= 3 for entry in excuses), "name message and category"
    assert pytest_options["xfail_strict"]
    assert pytest_options["trio_mode"]


def test_no_file_switches_its_checks_off() -> None:
    switch = re.compile(r"(?m)^# (?:mypy:|ruff: noqa|flake8: noqa|pyright:)|# noqa(?!: [A-Z]+\d+)|# type: ignore(?!\[)")
    others = (path for path in python_files() if path != Path(__file__).relative_to(ROOT))
    assert not [str(path) for path in others if switch.search(text(path))]
