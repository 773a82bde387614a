"""Which test file belongs to which source file, and the few that have none of their own, each with the reason."""

from __future__ import annotations

from pathlib import Path

from tests.house.tree import nothing_runs, shipped

#: Source files (or folders) that are tested elsewhere.
TESTED_ELSEWHERE: dict[str, str] = {
    "storage/migrations": "run up and down, and compared with the tables, by tests/storage/test_migrate.py",
}


def test_file(source: Path) -> Path:
    """`protocol/mls/tree.py` is tested by `tests/protocol/mls/test_tree.py`."""
    return Path("tests", *source.parts[:-1], f"test_{source.name}")


def excused(source: Path) -> bool:
    """Whether a source file needs no test file of its own."""
    listed = any(source == Path(name) or Path(name) in source.parents for name in TESTED_ELSEWHERE)
    return listed or nothing_runs(source)


def pairs() -> list[tuple[Path, Path]]:
    """Every source file that has a test file of its own, or should have."""
    return [(source, test_file(source)) for source in shipped() if not excused(source)]
