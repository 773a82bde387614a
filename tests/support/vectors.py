"""Published test vectors: read where they lie, never copied into the project.

They are found through `CHAPPE_VECTORS`, else at `../shared/vectors` beside the checkout. Where they are missing a test
is skipped with one line that says what to do; with `CI=true` it fails instead.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]


def missing(what: str, remedy: str) -> NoReturn:
    """Skip the running test for want of `what`; fail it where CI promised to have everything."""
    text = f"{what} not found: {remedy}"
    if os.environ.get("CI") == "true":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


def vectors_dir() -> Path:
    """The folder of the published vectors (it need not exist: `vector_path` looks)."""
    given = os.environ.get("CHAPPE_VECTORS")
    return Path(given) if given else ROOT.parent / "shared" / "vectors"


def vector_path(name: str) -> Path:
    """The path of one file such as `mls/tree-math.json`; skips (in CI: fails) the test if it is not there."""
    path = vectors_dir() / name
    if not path.is_file():
        missing(f"vectors {name}", "set CHAPPE_VECTORS to the folder of published vectors")
    return path


@functools.lru_cache(maxsize=8)
def _parsed(path: Path) -> Any:
    return json.loads(path.read_bytes())


def load(name: str) -> Any:
    """One JSON file of vectors, parsed (and kept: do not change what you get)."""
    return _parsed(vector_path(name))
