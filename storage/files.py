"""The files of larger blobs: ``DIRECTORY/ab/<hash in hex>``, whole and durable from the moment they have that name."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_DIGITS: Final = frozenset("0123456789abcdef")
_NAME_CHARS: Final = 64


class BlobFiles:
    """A directory of blobs. Methods block on the disk: call them in a thread."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def _path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self.directory / name[:2] / name

    def write(self, digest: bytes, data: bytes) -> None:
        """Make the file durable under its name; one that is there is replaced by the same bytes. Raises ``OSError``."""
        path = self._path(digest)
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            sync_directory(self.directory)
        fresh = path.with_name(f".{path.name[:16]}-{secrets.token_hex(8)}")
        try:
            with fresh.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)

    def holds(self, digest: bytes) -> bool:
        """Whether the file is there."""
        return self._path(digest).is_file()

    def read(self, digest: bytes, start: int, count: int) -> bytes | None:
        """At most ``count`` bytes from ``start``; None: the file is gone."""
        try:
            with self._path(digest).open("rb", buffering=0) as file:
                return os.pread(file.fileno(), count, start)
        except FileNotFoundError:
            return None

    def unlink(self, digest: bytes) -> None:
        """Remove the file, if it is there. Raises ``OSError``."""
        self._path(digest).unlink(missing_ok=True)

    def shelves(self) -> Iterator[tuple[bytes, bytes | None, list[str]]]:
        """Per subdirectory: its first hash, the first above it (None: there is none), and the names of its files."""
        if not self.directory.is_dir():
            return
        for entry in sorted(os.scandir(self.directory), key=lambda entry: entry.name):
            if len(entry.name) == 2 and set(entry.name) <= _DIGITS and entry.is_dir(follow_symlinks=False):
                first = int(entry.name, 16)
                high = bytes([first + 1]) if first < 255 else None
                yield bytes([first]), high, os.listdir(entry.path)

    def keep_only(self, shelf: bytes, known: set[bytes], names: list[str]) -> int:
        """Remove those of the named files in a subdirectory that are no blob of ``known``; how many they were.

        Only names that this class makes are touched: what somebody else has put there is not ours.
        """
        removed = 0
        for name in names:
            ours = len(name) == _NAME_CHARS and set(name) <= _DIGITS
            if (ours and bytes.fromhex(name) not in known) or name.startswith("."):
                (self.directory / shelf.hex() / name).unlink(missing_ok=True)
                removed += 1
        return removed


def sync_directory(directory: Path) -> None:
    """Put a directory on disk: a new name in it lasts only then. Raises ``OSError``."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
