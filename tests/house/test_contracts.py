"""Who may import whom: the contracts of pyproject.toml, checked by import-linter."""

from __future__ import annotations

import importlib.util
import tomllib
from typing import Any

import pytest
from importlinter.cli import lint_imports

from tests.house.tree import PACKAGES, ROOT, WAITING

CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
#: Fields of a contract that name modules of ours.
_FIELDS = ("source_modules", "forbidden_modules", "protected_modules", "allowed_importers", "layers", "ancestors")


def missing_modules(contract: dict[str, Any]) -> list[str]:
    """The modules of ours that a contract names and that are not there."""
    entries = [entry for field in _FIELDS for entry in contract.get(field, ())]
    names = [name.strip() for entry in entries for name in entry.split("|")]
    ours = [name for name in names if name.partition(".")[0] in PACKAGES]
    return [name for name in ours if importlib.util.find_spec(name) is None]


@pytest.mark.parametrize("contract", CONFIG["contracts"], ids=lambda contract: contract["id"])
def test_contract(contract: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    absent = {name.replace(".", "/") for name in missing_modules(contract)}
    assert absent <= WAITING, "a contract about modules that are not there holds nothing"
    if absent:
        pytest.skip(f"not written yet: {', '.join(sorted(absent))}")
    code = lint_imports(
        config_filename=str(ROOT / "pyproject.toml"),
        limit_to_contracts=(contract["id"],),
        cache_dir=str(ROOT / "build" / "import-linter"),
    )
    assert code == 0, capsys.readouterr().out


def test_every_package_is_under_the_contracts() -> None:
    assert tuple(CONFIG["root_packages"]) == PACKAGES
    ids = {contract["id"] for contract in CONFIG["contracts"]}
    assert {"layers", "relay-cannot-decrypt", "protocol-does-no-io", "settlement-alone", "no-cycles"} <= ids
