"""The files of the checkout as the house rules see them."""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("relay", "protocol", "clients", "storage", "extensions")
#: What rules speak of and nobody has written yet, without the suffix of Python. Nothing else may be missing.
WAITING = frozenset({"clients/tui", "extensions/ranking"})
#: Where a checkout without git (an unpacked source archive) is searched.
_FALLBACK = ("*.*", "Makefile", ".ci/*", *(f"{package}/**/*.*" for package in (*PACKAGES, "tests")))


@functools.cache
def files() -> tuple[Path, ...]:
    """Every file that is committed or would be, relative to the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        found = {path.relative_to(ROOT) for pattern in _FALLBACK for path in ROOT.glob(pattern)}
        return tuple(sorted(path for path in found if "__pycache__" not in path.parts))
    names = {Path(name) for name in listed.stdout.split("\0") if name}
    return tuple(sorted(path for path in names if (ROOT / path).is_file()))


def python_files(*folders: str) -> tuple[Path, ...]:
    """The Python files, all or those under some top-level folders, relative to the root."""
    return tuple(path for path in files() if path.suffix == ".py" and (not folders or path.parts[0] in folders))


def shipped() -> tuple[Path, ...]:
    """The Python files that the wheel holds."""
    return python_files(*PACKAGES)


@functools.cache
def text(path: Path) -> str:
    """A file's text."""
    return (ROOT / path).read_text(encoding="utf-8")


@functools.cache
def parsed(path: Path) -> ast.Module:
    """A Python file's syntax tree: do not change what you get."""
    return ast.parse(text(path), filename=str(path))


def module_name(path: Path) -> str:
    """`protocol/mls/__init__.py` is `protocol.mls`."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    """The full names of the modules that a file imports anywhere in it."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def nothing_runs(path: Path) -> bool:
    """Whether a file holds only texts, imports and plain constants."""
    for node in parsed(path).body:
        plain = isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.Expr)
        if not plain or any(isinstance(inner, ast.Call) for inner in ast.walk(node)):
            return False
    return True
