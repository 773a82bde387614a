"""The referee's own time, and until when it was there.

Rule 1.  Time is monotonic while a process lives: a step of the machine's clock moves no player's clock. It begins at
         the machine's clock, so that it goes on over a restart, too.
Rule 2.  ``Pulse`` notes the time in eight bytes of a file, without waiting for the disk: they outlive the process
         (``kill -9``), not the machine. After that clocks are charged up to the last entry that is in the log.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

_BYTES: Final = 8


class RefereeClock:
    """Unix milliseconds that only go forward. ``wall_ms`` is asked once, ``monotonic_ns`` from then on."""

    def __init__(self, wall_ms: Callable[[], int], monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._monotonic_ns = monotonic_ns
        self._base_ns = wall_ms() * 1_000_000 - monotonic_ns()

    def now_ms(self) -> int:
        """The time."""
        return (self._base_ns + self._monotonic_ns()) // 1_000_000


class Pulse:
    """The file in which a referee notes that it is there. Raises ``OSError`` where that cannot be written."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def beat(self, now_ms: int) -> None:
        """We are here."""
        os.pwrite(self._file, now_ms.to_bytes(_BYTES, "big"), 0)

    def last_ms(self) -> int:
        """When somebody was here last; 0: never."""
        data = os.pread(self._file, _BYTES, 0)
        return int.from_bytes(data, "big") if len(data) == _BYTES else 0

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)
