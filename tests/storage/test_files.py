"""Files of blobs: whole or not there, and nothing of anybody else is touched."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from storage.files import BlobFiles

DATA = b"sealed"
DIGEST = hashlib.sha256(DATA).digest()


def test_a_file_from_write_to_unlink(tmp_path: Path) -> None:
    files = BlobFiles(tmp_path / "blobs")
    assert files.read(DIGEST, 0, 9) is None
    assert not files.holds(DIGEST)
    files.write(DIGEST, DATA)
    files.write(DIGEST, DATA)
    assert files.holds(DIGEST)
    assert (files.read(DIGEST, 0, 99), files.read(DIGEST, 2, 3), files.read(DIGEST, 99, 1)) == (DATA, b"ale", b"")
    assert os.listdir(tmp_path / "blobs" / DIGEST.hex()[:2]) == [DIGEST.hex()]
    files.unlink(DIGEST)
    files.unlink(DIGEST)
    assert not files.holds(DIGEST)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = BlobFiles(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    files.write(DIGEST, DATA)
    files.unlink(DIGEST)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write(DIGEST, DATA)
    assert os.listdir(tmp_path / DIGEST.hex()[:2]) == []


def test_shelves_are_swept_of_what_is_ours_and_not_known(tmp_path: Path) -> None:
    assert list(BlobFiles(tmp_path / "none").shelves()) == []
    files = BlobFiles(tmp_path)
    kept, gone = b"\xff" + bytes(31), b"\xff" * 32
    for digest in (kept, gone):
        files.write(digest, DATA)
    shelf = tmp_path / "ff"
    (shelf / ".half-written").touch()
    (shelf / "README").touch()
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "0a").mkdir()
    shelves = [(low, high, sorted(names)) for low, high, names in files.shelves()]
    assert shelves[0] == (b"\x0a", b"\x0b", [])
    low, high, names = shelves[1]
    assert (low, high) == (b"\xff", None)
    assert files.keep_only(low, {kept}, names) == 2
    assert sorted(os.listdir(shelf)) == ["README", kept.hex()]
