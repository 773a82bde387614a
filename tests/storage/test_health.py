"""Looking at a store from outside."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.health import examine
from storage.sqlite import FILE


def test_a_sound_store(folder: Path) -> None:
    health = examine(folder / FILE)
    assert (health.faults, health.schema, health.journal) == ((), "0001", "wal")
    assert health.bytes == (folder / FILE).stat().st_size


def test_what_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 1000)
    assert "not a database" in examine(tmp_path / "text").faults[0]
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    assert examine(tmp_path / "other.db").schema == ""
    with pytest.raises(FileNotFoundError):
        examine(tmp_path / "absent")


def test_a_damaged_store(folder: Path) -> None:
    data = bytearray((folder / FILE).read_bytes())
    data[8192:12_288] = bytes(4096)
    (folder / FILE).write_bytes(data)
    assert examine(folder / FILE).faults
