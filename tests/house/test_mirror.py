"""The tests mirror the source: each source file has its own test file, found without searching."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import mirror
from tests.house.tree import ROOT, shipped


@pytest.mark.parametrize(("source", "test"), mirror.pairs(), ids=lambda path: str(path))
def test_a_source_file_has_its_own_test_file(source: Path, test: Path) -> None:
    assert (ROOT / test).is_file(), f"write {test}, or list {source} in tests/house/mirror.py with a reason"


@pytest.mark.parametrize("name", mirror.TESTED_ELSEWHERE)
def test_an_excuse_is_still_needed(name: str) -> None:
    covered = [source for source in shipped() if source == Path(name) or Path(name) in source.parents]
    assert covered, f"{name} is gone: take it off the list"
    assert not [source for source in covered if (ROOT / mirror.test_file(source)).is_file()]


def test_the_rule() -> None:
    assert mirror.test_file(Path("protocol/mls/tree.py")) == Path("tests/protocol/mls/test_tree.py")
    assert mirror.excused(Path("protocol/__init__.py"))
    assert mirror.excused(Path("protocol/limits.py"))
    assert not mirror.excused(Path("protocol/codec.py"))
