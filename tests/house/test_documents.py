"""Every frame, code, limit, message and setting is documented, and the documents say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol import errors, frames
from protocol import messages as all_messages
from relay import config
from tests.house import documents
from tests.house.documents import BLOCKS, Block
from tests.house.tree import ROOT, WAITING, files

BOUNDS = [path for path in files() if path.name in ("limits.py", "bounds.py") and path.parts[0] != "tests"]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.document}: {block.name}")
def test_a_document_says_what_the_code_says(block: Block) -> None:
    path = ROOT / block.document
    if str(block.document) in WAITING:
        pytest.skip(f"not written yet: {block.document}")
    found = block.between(path.read_text(encoding="utf-8"))
    assert found is not None, f"{block.document} lacks the lines {block.marks}"
    assert found == block.write(), "run: python3 dev.py docs"


def test_the_tables_are_complete() -> None:
    written = {block.name: block.write() for block in BLOCKS}
    assert all(f"| {frame.__name__.upper()} |" in written["frames"] for frame in frames.REGISTRY.values())
    assert all(f"| {int(code)} | {code.name} |" in written["codes"] for code in errors.Code)
    assert all(f"| {int(close)} | {close.name} |" in written["closes"] for close in errors.Close)
    assert all(f"| `{name}` | {version} |" in written["messages"] for name, version in all_messages.REGISTRY)
    assert all(f"| `{name}` |" in written["settings"] for name in config.FIELDS)


@pytest.mark.parametrize("name", ["flags", "reasons"])
def test_every_table_of_values_has_text(name: str) -> None:
    block = next(block for block in BLOCKS if block.name == name)
    assert "|  |" not in block.write().replace("| 0 | NONE |  |", "")


@pytest.mark.parametrize("path", BOUNDS, ids=str)
def test_every_bound_has_its_reason(path: Path) -> None:
    bounds = list(documents.limits(path))
    assert bounds
    assert not [name for name, _value, reason in bounds if not reason]


def test_a_block_is_replaced_and_the_prose_stays() -> None:
    block = Block("x", Path("X.md"), lambda: "new")
    text = "above\n<!-- generated: x -->\nold\n<!-- end: x -->\nbelow\n"
    assert block.between(text) == "old"
    changed = block.replaced(text)
    assert block.between(changed) == "new"
    assert changed.startswith("above\n")
    assert changed.endswith("\nbelow\n")
    assert block.between("no marks") is None
