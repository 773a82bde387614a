"""The database that processes of a worker share: fences, locks, tables of its own."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from clients.vault import Secret, Vault, VaultError
from extensions.errors import Fenced, WorkerError
from extensions.store import BLOCK_BITS, WorkerBatch, WorkerVault, is_running, making, place_of, slot_in

TABLE = "CREATE TABLE IF NOT EXISTS book (entry INTEGER PRIMARY KEY)"


def opened(path: Path, tables: str = "") -> WorkerVault:
    return WorkerVault(path / "worker.db", Secret.key_file(path / "key"), tables=tables)


def batch(slot: int, value: bytes = b"value") -> WorkerBatch:
    noted = WorkerBatch()
    noted.put(place_of("items", slot), b"name", value)
    return noted


def test_places() -> None:
    assert (place_of("items", 255), slot_in("items/ff"), slot_in("lists")) == ("items/ff", 255, None)


def test_an_older_process_writes_nothing(tmp_path: Path) -> None:
    old, new = opened(tmp_path, TABLE), opened(tmp_path)
    first = old.claim({1: 5, 2: 5})
    old.commit([batch(1)])
    second = new.claim({1: 6})
    assert second - first == 1 << BLOCK_BITS
    for slot in (1, 2):  # not even where it is still the holder: it has to begin anew
        with pytest.raises(Fenced):
            old.commit([batch(slot, b"late")])
    late = WorkerBatch(writes=[lambda db: db.execute("INSERT INTO book VALUES (1)")])
    with pytest.raises(Fenced):
        old.commit([late])
    with pytest.raises(Fenced):
        old.claim({1: 5})
    assert new.get("items/01", b"name") == b"value"
    assert new.query("SELECT * FROM book") == []
    old.let_go([1, 2])
    old.commit([WorkerBatch()])
    for vault in (old, new):
        vault.close()


def test_slots_that_are_not_ours_are_not_written(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    with pytest.raises(Fenced, match="not this process's"):
        vault.commit([batch(3)])
    vault.claim({3: 1})
    vault.commit([batch(3)])
    assert vault.places("items") == {3: 1}
    vault.close()


def test_own_tables_change_with_the_rows_or_not_at_all(tmp_path: Path) -> None:
    vault = opened(tmp_path, TABLE)
    vault.claim({0: 1})
    insert = [lambda db: db.execute("INSERT INTO book VALUES (?)", (7,))]
    vault.rehearse(insert)
    assert vault.query("SELECT * FROM book") == []
    noted = batch(0)
    noted.writes += insert
    vault.commit([noted])
    assert vault.query("SELECT * FROM book") == [(7,)]
    with pytest.raises(sqlite3.IntegrityError):
        vault.rehearse(insert)
    again = batch(0, b"other")
    again.writes += insert
    with pytest.raises(VaultError):
        vault.commit([again])
    assert vault.get("items/00", b"name") == b"value"
    assert not WorkerBatch()
    assert again
    with pytest.raises(VaultError):
        vault.query("SELECT nonsense")
    vault.close()
    with pytest.raises(WorkerError):
        opened(tmp_path, "CREATE NONSENSE")


def test_processes_share_it_and_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "worker.db"
    assert not is_running(path)
    with making(path):
        vault = opened(tmp_path)
    assert is_running(path)
    with pytest.raises(VaultError, match="another process"):
        Vault(path, Secret.key_file(tmp_path / "key"))
    vault.close()
    assert not is_running(path)
    plain = Vault(path, Secret.key_file(tmp_path / "key"))
    with pytest.raises(VaultError, match="another process"):
        opened(tmp_path)
    plain.close()


def test_a_database_that_cannot_be_written(tmp_path: Path) -> None:
    vault = opened(tmp_path)
    vault._db.execute("DROP TABLE slots")
    with pytest.raises(VaultError, match="cannot be written"):
        vault.claim({1: 1})
    vault.close()


def test_what_was_deleted_securely_is_in_neither_file(tmp_path: Path) -> None:
    vault = opened(tmp_path, "CREATE TABLE IF NOT EXISTS notes (n INTEGER PRIMARY KEY, note BLOB)")
    secret = b"of which nothing is to stay" * 100
    noted = batch(1)
    vault.claim({1: 1})
    noted.writes = [lambda db: db.executemany("INSERT INTO notes (note) VALUES (?)", [(secret,)] * 20)]
    vault.commit([noted])

    def files() -> bytes:
        return b"".join(path.read_bytes() for path in tmp_path.glob("worker.db*"))

    assert secret[:50] in files()
    gone = batch(1)
    gone.writes = [lambda db: db.execute("PRAGMA secure_delete = ON"), lambda db: db.execute("DROP TABLE notes")]
    vault.commit([gone])
    reader = sqlite3.connect(tmp_path / "worker.db", isolation_level=None)
    reader.execute("PRAGMA busy_timeout = 0")
    vault._db.execute("PRAGMA busy_timeout = 0")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM slots").fetchall()
    assert not vault.scrub()  # somebody reads there
    reader.close()
    assert vault.scrub()
    assert secret[:50] not in files()
    vault.close()
