"""Every module says what it is; everything public says what it does."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.tree import PACKAGES, ROOT, WAITING, module_name, parsed, python_files, shipped

Documentable = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def undocumented(tree: ast.Module) -> list[str]:
    """Public classes and functions of a module without a docstring, and the module itself."""
    names = [] if ast.get_docstring(tree) else ["the module itself"]
    for node in tree.body:
        if isinstance(node, Documentable) and not node.name.startswith("_") and not ast.get_docstring(node):
            names.append(node.name)
    return names


@pytest.mark.parametrize("path", shipped(), ids=str)
def test_what_is_public_has_a_docstring(path: Path) -> None:
    assert not undocumented(parsed(path))


@pytest.mark.parametrize("path", python_files("tests"), ids=str)
def test_a_test_module_says_what_it_is_about(path: Path) -> None:
    assert ast.get_docstring(parsed(path))


def test_every_folder_with_code_is_a_package() -> None:
    """A folder without `__init__.py` would be imported by whoever comes first, and shipped by nobody."""
    folders = {path.parent for path in python_files(*PACKAGES, "tests")}
    assert not [str(folder) for folder in folders if not (ROOT / folder / "__init__.py").is_file()]


@pytest.mark.parametrize("package", [*PACKAGES, "tests"])
def test_types_are_offered(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_module_names_are_distinct() -> None:
    names = [module_name(path) for path in python_files()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", sorted(WAITING))
def test_what_is_waited_for_has_not_come(name: str) -> None:
    there = (ROOT / name).exists() or (ROOT / f"{name}.py").exists()
    assert not there, f"{name} is there: take it off WAITING in tests/house/tree.py, so that its rules hold"


def test_what_is_missed_is_named() -> None:
    tree = ast.parse("'''m'''\nclass A: pass\ndef _b(): pass\nasync def c(): pass\ndef d():\n    '''d'''\n")
    assert undocumented(tree) == ["A", "c"]
    assert undocumented(ast.parse("x = 1")) == ["the module itself"]
