"""Books that are killed at any moment, and books that slept while another process took over."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import trio

from extensions.settlement.books import open_books
from extensions.settlement.check import check
from storage.ledger import open_ledger
from storage.sqlite import unix_ms
from tests.conftest import LONG
from tests.support import ledger_kill
from tests.support.ledger_kill import LOG, line_of, start, transfers


def test_books_that_are_killed_lose_nothing_and_double_nothing() -> None:
    rounds = 1000 if LONG else 5
    tally = ledger_kill.run(rounds, int(os.environ.get("CHAPPE_LEDGER_SEED", "3")))
    assert tally.rounds == rounds
    assert tally.inside > 0
    assert tally.resent > 0


async def test_who_slept_while_another_took_over_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    sleeper = start(file, "-")
    assert sleeper.stdin is not None

    async def hear(*expected: bytes) -> None:
        for line in expected:
            assert (await trio.to_thread.run_sync(line_of, sleeper))[:1] == line

    try:
        await hear(b"(", b")", b"R")
        sleeper.stdin.write(b"0\n")
        await hear(b"(", b")", b"A")
        sleeper.send_signal(signal.SIGSTOP)
        sleeper.stdin.write(b"1\n")
        async with open_ledger(file, clock_ms=unix_ms) as ledger, open_books(ledger, LOG) as books:
            assert books.statistics().epoch == 2
            await books.submit(*transfers(2))
            before = await ledger.head()
            sleeper.send_signal(signal.SIGCONT)
            await hear(b"F")
            assert await ledger.head() == before
            await books.submit(*transfers(3))
            journal = await ledger.journal(0, 10_000)
        assert await trio.to_thread.run_sync(sleeper.wait) == 0
    finally:
        sleeper.kill()
        ledger_kill._close(sleeper)
    assert check(journal, LOG.secret).problems == ()
    ids = {row.id for row in journal}
    assert transfers(1)[0].id not in ids
    assert {transfers(n)[0].id for n in (0, 2, 3)} <= ids
