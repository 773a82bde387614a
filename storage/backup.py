"""Backups: one archive of a store, taken while a relay writes to it, and restored into an empty directory.

The archive is a tar file: ``chappe.db`` (a snapshot of one moment), what else was asked for, the files of blobs, and
``manifest.json`` last, with a digest over all of it: an archive that was cut off has none. Rules:

Rule 1.  The snapshot is one read transaction, so it holds exactly what was committed, and so acknowledged, before it.
Rule 2.  Neither an archive nor a directory is ever half there under its name: an archive is renamed when it is whole
         and on disk; a directory that is being restored holds a mark which a relay refuses to start on.
Rule 3.  A blob that is freed while the archive is written is left out, and its row goes when it is restored: nothing
         that was there at the end of the backup refers to it.
Rule 4.  Restoring raises the generation of every log, above any that a restore of the same backup has had before
         (it is the time in seconds). Conversations are *recovering* afterwards (``ordering``): what came after the
         backup is known to their members only. One-time key packages go: the backup cannot tell which were used.

Nothing here is async: it runs in a process of its own (``chappe backup``), so that a relay keeps its processor.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from storage import migrate, sql
from storage.base import StoreUnusable
from storage.engine import open_database
from storage.files import BlobFiles, sync_directory
from storage.ordering import CONVERSATION
from storage.sqlite import BLOBS, FILE, LOCK, RESTORING, locked

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MANIFEST_BYTES_MAX: Final = 64 * 1024  # it names no blobs, only their number
_PIECE_BYTES: Final = 1 << 20
_BLOB: Final = re.compile(f"{BLOBS}/([0-9a-f]{{2}})/(\\1[0-9a-f]{{62}})")
_NAME: Final = re.compile(r"[a-z][a-z0-9.-]{0,63}")


class BackupError(Exception):
    """A backup cannot be made or restored; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive holds. ``digest``: SHA-256 over name, size and SHA-256 of each member, in order, in hex."""

    format: int
    made_ms: int
    schema: str
    topics: int
    entries: int
    files: tuple[str, ...]
    blobs: int
    blob_bytes: int
    missing: int  # blobs that were freed meanwhile, or whose files are damaged
    digest: str


@dataclass(frozen=True, slots=True)
class Restoration:
    """What was restored. ``recovering``: conversations that wait for an admin's reset."""

    manifest: Manifest
    generation: int
    recovering: int
    blobs_dropped: int


class _Summing:
    """A file that is read once, with its hash."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def digest(self) -> bytes:
        return self._hash.digest()


class _Contents:
    """The digest over all members of an archive."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, name: str, size: int, digest: bytes) -> None:
        self._hash.update(f"{name}\n{size}\n{digest.hex()}\n".encode("ascii"))

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


# -- making ------------------------------------------------------------------------------------------------------------
def write(data: Path, target: Path, now_ms: int, others: Sequence[str] = ()) -> Manifest:
    """Write a backup of the store in ``data`` to ``target``; small files ``others`` of the directory come along.

    Raises ``BackupError``: there is no store, ``target`` exists, or the disk does not take it.
    """
    if not (data / FILE).is_file():
        raise BackupError(f"{data} holds no {FILE}; name the data directory of a relay with --data")
    if target.exists():
        raise BackupError(f"{target} exists already; a backup never replaces another, choose a new name")
    snapshot, fresh = (target.with_name(f".{target.name}.{os.getpid()}.{part}") for part in ("db", "new"))
    try:
        _snapshot(data / FILE, snapshot)
        manifest = _archive(data, snapshot, fresh, now_ms, others)
        fresh.rename(target)
        sync_directory(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"the backup could not be written to {target}: {error}; nothing is left of it") from error
    finally:
        for path in (snapshot, fresh):
            path.unlink(missing_ok=True)
    return manifest


def _snapshot(database: Path, snapshot: Path) -> None:
    """Copy the database in one read transaction: writers go on meanwhile, and the copy is of one moment."""
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=10)) as source:
        source.execute("PRAGMA query_only = ON")
        snapshot.touch(mode=0o600)
        with closing(sqlite3.connect(snapshot)) as copy:
            source.backup(copy)
            found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise BackupError(f"the database is damaged ({found}); restore an earlier backup instead of keeping this one")


def _archive(data: Path, snapshot: Path, fresh: Path, now_ms: int, others: Sequence[str]) -> Manifest:
    contents, files = _Contents(), [FILE]
    with closing(sqlite3.connect(snapshot)) as copy:
        topics = int(copy.execute("SELECT count(*) FROM topics").fetchone()[0])
        entries = int(copy.execute("SELECT count(*) FROM entries").fetchone()[0])
        schema = str(copy.execute("SELECT version_num FROM alembic_version").fetchone()[0])
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
    blobs = blob_bytes = missing = 0
    with open(fresh, "xb", opener=_private) as out, tarfile.open(fileobj=out, mode="w|") as tar:
        _add(tar, contents, FILE, snapshot, now_ms)
        for name in others:
            if (data / name).is_file():
                _add(tar, contents, name, data / name, now_ms)
                files.append(name)
        for digest in _blob_files(snapshot):
            name = f"{BLOBS}/{digest.hex()[:2]}/{digest.hex()}"
            try:
                blob_bytes += _add(tar, contents, name, data / name, now_ms)
                blobs += 1
            except FileNotFoundError:
                missing += 1
        manifest = Manifest(
            FORMAT, now_ms, schema, topics, entries, tuple(files), blobs, blob_bytes, missing, contents.hexdigest()
        )  # fmt: skip
        text = json.dumps(asdict(manifest), indent=1).encode()
        tar.addfile(_member(MANIFEST, len(text), now_ms), io.BytesIO(text))
    with fresh.open("rb") as whole:
        os.fsync(whole.fileno())
    return manifest


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # who talks to whom, and when, is nobody's business


def _member(name: str, size: int, now_ms: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, now_ms // 1000, 0o600
    return member


def _add(tar: tarfile.TarFile, contents: _Contents, name: str, path: Path, now_ms: int) -> int:
    with path.open("rb") as file:
        size, summing = os.fstat(file.fileno()).st_size, _Summing(file)
        tar.addfile(_member(name, size, now_ms), summing)
    contents.add(name, size, summing.digest())
    return size


def _blob_files(snapshot: Path) -> Iterator[bytes]:
    with closing(sqlite3.connect(snapshot)) as copy:
        for (digest,) in copy.execute("SELECT hash FROM blobs WHERE data IS NULL ORDER BY hash"):
            yield digest


# -- restoring ---------------------------------------------------------------------------------------------------------
def restore(source: Path, data: Path, now_ms: int) -> Restoration:
    """Restore a backup into ``data``, which is empty or does not exist. Whatever goes wrong, nothing is left there.

    Raises ``BackupError``: the directory is in use, the archive is damaged or of a newer version, the disk is full.
    """
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise BackupError(f"{data} is not empty; a backup is restored into a directory of its own")
    is_new = not data.exists()
    try:
        with _opened(source) as tar, _marked(data):
            try:
                manifest = _unpack(tar, data, source)
                restoration = _take_up(data, manifest, now_ms)
            except BaseException:
                _clear(data)
                raise
    except (OSError, tarfile.TarError, EOFError, sqlite3.Error, DBAPIError) as error:
        raise BackupError(f"{source} could not be restored into {data}: {error}") from error
    except StoreUnusable as error:
        raise BackupError(str(error)) from None
    finally:
        if is_new:
            with suppress(OSError):  # of no consequence: it is empty, or all went well and it is not
                data.rmdir()
    return restoration


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    with source.open("rb") as file, tarfile.open(fileobj=file, mode="r|") as tar:
        yield tar


@contextmanager
def _marked(data: Path) -> Iterator[None]:
    """Hold the directory, with the mark in it from before the first file until after the last is on disk."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(data):
        mark = data / RESTORING
        mark.touch()
        sync_directory(data)
        yield
        os.sync()  # one for thousands of files
        mark.unlink()
        sync_directory(data)


def _clear(data: Path) -> None:
    shutil.rmtree(data / BLOBS, ignore_errors=True)
    for path in sorted(data.iterdir(), key=lambda path: path.name == RESTORING):
        path.unlink(missing_ok=True)


def _unpack(tar: tarfile.TarFile, data: Path, source: Path) -> Manifest:
    """Write what the archive holds, and compare it with what it says that it holds."""
    contents, text = _Contents(), b""
    for member in tar:
        file = tar.extractfile(member) if member.isreg() else None
        if file is None or text:
            raise BackupError(f"{source} holds {member.name!r}, which no backup of ours does")
        if member.name == MANIFEST:
            text = file.read(MANIFEST_BYTES_MAX)
        else:
            contents.add(member.name, member.size, _write(data, member, file, source))
    try:
        values = json.loads(text)
        manifest = Manifest(**(values | {"files": tuple(values["files"])}))
    except (ValueError, TypeError, KeyError):
        raise BackupError(f"{source} is no backup, or not all of one: its manifest is missing") from None
    if manifest.format != FORMAT:
        raise BackupError(f"{source} has format {manifest.format}, this version reads {FORMAT}; use the newer version")
    if manifest.digest != contents.hexdigest() or FILE not in manifest.files:
        raise BackupError(f"{source} is damaged: what it holds is not what its manifest says; use another backup")
    return manifest


def _write(data: Path, member: tarfile.TarInfo, file: IO[bytes], source: Path) -> bytes:
    """One file of the archive; its hash. Names that no backup has could lead out of the directory."""
    blob = _BLOB.fullmatch(member.name)
    taken = member.name in (LOCK, RESTORING, BLOBS)
    if blob is None and (not _NAME.fullmatch(member.name) or taken):
        raise BackupError(f"{source} holds {member.name!r}, which no backup of ours does")
    path = data / member.name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    summing = _Summing(file)
    with open(path, "xb", opener=_private) as out:
        shutil.copyfileobj(summing, out, _PIECE_BYTES)
    digest = summing.digest()
    if blob is not None and digest.hex() != blob[2]:
        path.unlink()  # damaged on the disk that it came from
    return digest


def _take_up(data: Path, manifest: Manifest, now_ms: int) -> Restoration:
    engine = open_database(data / FILE, writer=True)
    try:
        with engine.begin() as connection:
            migrate.upgrade(connection)
            dropped = _drop_blobs(connection, BlobFiles(data / BLOBS))
            generation, recovering = raise_generation(connection, now_ms)
        return Restoration(manifest, generation, recovering, dropped)
    finally:
        engine.dispose()


def _drop_blobs(connection: Connection, files: BlobFiles) -> int:
    """Forget the blobs whose files did not come along."""
    rows = connection.exec_driver_sql("SELECT n, hash FROM blobs WHERE data IS NULL").fetchall()
    gone = [row[0] for row in rows if not files.holds(row[1])]
    sql.execute_in(connection, "DELETE FROM blob_refs WHERE blob IN ({})", gone)
    sql.free_blobs(connection, gone)
    connection.exec_driver_sql("DELETE FROM blob_trash")
    return len(gone)


def raise_generation(connection: Connection, now_ms: int) -> tuple[int, int]:
    """Begin a new generation of every log: (its number, conversations that are recovering now)."""
    highest = connection.exec_driver_sql("SELECT max(generation) FROM topics").scalar() or 0
    generation = max(highest + 1, now_ms // 1000)
    kinds = ",".join(str(int(kind)) for kind in sorted(CONVERSATION))
    connection.exec_driver_sql(
        "INSERT INTO restores (topic, generation, base, hash) SELECT n, ?, head, head_hash FROM topics", (generation,)
    )
    connection.exec_driver_sql(
        f"UPDATE topics SET generation = ?, recovering = kind IN ({kinds}), reserved_by = x'', reserved_until_ms = 0",
        (generation,),
    )
    for table in ("key_packages", "reservations"):
        connection.exec_driver_sql(f"DELETE FROM {table}")
    recovering = connection.exec_driver_sql("SELECT count(*) FROM topics WHERE recovering").scalar_one()
    return generation, int(recovering)
