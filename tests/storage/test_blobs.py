"""Blobs in SQLite, and the check of their hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import trio

from protocol.frames import Flag
from protocol.limits import BLOB_UNLINKED_MS
from protocol.limits import SEALED_CHUNK_BYTES_MAX as BLOB_BYTES_MAX
from storage import blobs
from storage.base import Freed, StoreAway
from storage.blobs import check
from storage.files import BlobFiles
from storage.sqlite import BLOBS, SqliteStore, open_store
from tests.contracts.kit import Clock, Kit, key, stored


def test_a_blob_is_checked_against_its_hash_and_bound() -> None:
    check(hashlib.sha256(b"data").digest(), b"data")
    with pytest.raises(ValueError, match="do not have the hash"):
        check(hashlib.sha256(b"data").digest(), b"Data")
    with pytest.raises(ValueError, match=f"at most {BLOB_BYTES_MAX}"):
        check(bytes(32), bytes(BLOB_BYTES_MAX + 1))


async def test_put_and_get(kit: Kit) -> None:
    large = bytes(range(256)) * (BLOB_BYTES_MAX // 256)
    digest = await kit.blob(large)
    await kit.blob(large)
    assert await kit.store.blobs.get(digest) == large
    assert await kit.store.blobs.get(key("none")) is None


LARGE = bytes(range(256)) * 300


def on_disk(folder: Path) -> list[str]:
    """Names of all files of blobs."""
    return sorted(path.name for path in (folder / BLOBS).rglob("*") if path.is_file())


async def test_large_blobs_are_files_that_go_when_they_are_freed(kit: Kit, folder: Path) -> None:
    ann, bob = await kit.people("ann", "bob")
    topic = await kit.pair(ann, bob)
    linked, unlinked = await kit.blob(LARGE), await kit.blob(LARGE + b"!")
    await kit.blob(b"small")
    assert on_disk(folder) == sorted([linked.hex(), unlinked.hex()])
    await kit.say(ann, topic, blobs=(linked,))
    kit.clock.pass_ms(BLOB_UNLINKED_MS + 1)
    assert await kit.store.topics.retain(0, kit.clock.now_ms) == Freed(0, 0, 2, len(LARGE) + 6)
    assert on_disk(folder) == [linked.hex()]
    header = (2).to_bytes(8, "big")
    stored(await kit.post(ann, topic, Flag.ERASE, (1, 1), header=header, body=b"", erases=2))
    assert on_disk(folder) == []


async def test_a_start_removes_files_without_a_row(folder: Path, clock: Clock) -> None:
    async with open_store(folder, clock_ms=clock) as store:
        kept = await Kit(store, clock).blob(LARGE)
    files = BlobFiles(folder / BLOBS)
    near = kept[:1] + bytes(31)
    files.write(near, b"no row")
    files.write(b"\xff" * 32, b"no row")
    (folder / BLOBS / kept.hex()[:2] / ".half").touch()
    async with open_store(folder, clock_ms=clock) as store:
        assert on_disk(folder) == [kept.hex()]
        assert await store.blobs.get(kept) == LARGE


async def test_a_file_that_is_lost_is_not_there(kit: Kit, folder: Path) -> None:
    digest = await kit.blob(LARGE)
    BlobFiles(folder / BLOBS).unlink(digest)
    assert await kit.store.blobs.size(digest) is None
    assert await kit.store.blobs.read(digest, 0, 10) is None
    await kit.blob(LARGE)
    assert await kit.store.blobs.get(digest) == LARGE


async def test_a_file_that_is_unlinked_before_its_row_comes_is_written_again(
    kit: Kit, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, times = BlobFiles.write, []

    def unlucky(self: BlobFiles, digest: bytes, data: bytes) -> None:
        write(self, digest, data)
        times.append(digest)
        if len(times) == 1:
            self.unlink(digest)

    monkeypatch.setattr(BlobFiles, "write", unlucky)
    digest = await kit.blob(LARGE)
    assert len(times) == 2
    assert await kit.store.blobs.get(digest) == LARGE


async def test_of_two_uploads_at_the_quota_one_leaves_no_file(kit: Kit, folder: Path) -> None:
    (ann,) = await kit.people("ann")
    outcomes = []

    async def put(data: bytes) -> None:
        digest = hashlib.sha256(data).digest()
        outcomes.append(await kit.store.blobs.put(digest, data, account=ann.account, quota_bytes=len(LARGE) + 1))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put, LARGE)
        nursery.start_soon(put, LARGE + b"x")
    assert outcomes.count(None) == 1
    assert len(on_disk(folder)) == 1


async def test_a_disk_that_takes_nothing_is_said(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: BlobFiles, digest: bytes, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BlobFiles, "write", full)
    with pytest.raises(StoreAway, match="No space left"):
        await kit.blob(LARGE)


async def test_what_cannot_be_unlinked_waits_in_the_trash(
    kit: Kit, sqlite: SqliteStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.bounds.TRASH_FILES", 1)
    for n in range(3):
        await kit.blob(LARGE + b"%d" % n)
    unlink = BlobFiles.unlink

    def stuck(self: BlobFiles, digest: bytes) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(BlobFiles, "unlink", stuck)
    kit.clock.pass_ms(BLOB_UNLINKED_MS + 1)
    assert (await sqlite.topics.retain(0, kit.clock.now_ms)).blobs == 3
    assert len(on_disk(folder)) == 3
    monkeypatch.setattr(BlobFiles, "unlink", unlink)
    await kit.blob(LARGE + b"1")  # it is in the trash, and lives again
    await blobs.empty_trash(sqlite.engine)
    assert on_disk(folder) == [hashlib.sha256(LARGE + b"1").hexdigest()]


def test_the_refusal_at_the_quota() -> None:
    assert blobs.over_quota(5, 5, 10) is None
    assert blobs.over_quota(5, 6, 0) is None
    refusal = blobs.over_quota(5, 6, 10)
    assert refusal is not None
    assert refusal.retry_ms is None
