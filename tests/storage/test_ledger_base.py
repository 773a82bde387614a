"""The seam of the ledger: both backends are one, and its values compare by content."""

from __future__ import annotations

from pathlib import Path

from storage.ledger import open_ledger
from storage.ledger_base import Batch, JournalRow, Ledger, Outgoing, Snapshot, Waiting
from storage.memory_ledger import MemoryLedger


async def test_both_backends_fit_the_seam(tmp_path: Path) -> None:
    async with open_ledger(tmp_path / "ledger.db", clock_ms=lambda: 0) as ledger:
        backends: list[Ledger] = [ledger, MemoryLedger(clock_ms=lambda: 0)]
        assert [(await backend.head()).sequence for backend in backends] == [0, 0]


def test_values() -> None:
    assert Batch(1) == Batch(1, (), (), (), (), None, None)
    assert Waiting(1, Outgoing(b"i", b"d", b"b")) == Waiting(1, Outgoing(b"i", b"d", b"b"))
    assert Snapshot(0) != Snapshot(1)
    assert JournalRow(1, None, None, b"", b"").ends is None
