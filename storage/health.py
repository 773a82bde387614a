"""Looks at a store from outside, without writing: for `chappe doctor`, also while a relay runs on it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

_FAULTS_MAX = 10


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """``faults`` is empty where the database is sound. ``schema``: its revision; sizes in bytes."""

    faults: tuple[str, ...]
    schema: str
    bytes: int
    journal: str  # "wal" where it is as this version sets it


def examine(file: Path) -> StoreHealth:
    """Run SQLite's quick check. Raises ``OSError`` where the file cannot be read."""
    size = file.stat().st_size
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            found = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({_FAULTS_MAX})")]
            journal = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.DatabaseError as error:
        return StoreHealth((str(error),), "", size, "")
    return StoreHealth(tuple(text for text in found if text != "ok"), str(row[0]) if row else "", size, journal)
