"""Errors of workers are errors of this program, told apart from a vault that cannot be written."""

from __future__ import annotations

from clients.vault import VaultError
from extensions.errors import Fenced, WorkerError
from protocol.errors import ChappeError


def test_the_tree() -> None:
    assert issubclass(Fenced, ChappeError)
    assert issubclass(WorkerError, ChappeError)
    assert not issubclass(Fenced, VaultError)
