"""What goes wrong in a worker, in words for whoever runs it."""

from __future__ import annotations

from protocol.errors import ChappeError


class WorkerError(ChappeError):
    """The worker cannot be run as it is; the text says what to do."""


class Fenced(ChappeError):
    """Another process holds a slot by now. Nothing of this process's transaction was written."""
