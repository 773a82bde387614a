"""The one place where a bug in serving one connection stays that connection's misfortune.

Anything unforeseen that is raised inside is logged with its traceback, counted, and handed to ``failed``; the process
and everybody else go on. Cancellation and exits of the process pass through.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from relay import log


class Boundary:
    """``with Boundary("publish", failed): ...`` — ``failed()`` is called after an unforeseen exception."""

    __slots__ = ("_failed", "_what")

    def __init__(self, what: str, failed: Callable[[], None]) -> None:
        self._what = what
        self._failed = failed

    def __enter__(self) -> Boundary:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        log.failure(self._what, error)
        self._failed()
        return True
