"""Whoever reads no public topics."""

from __future__ import annotations

from typing import Any, cast

from clients.public import Nothing, Public
from protocol.frames import Msg


async def test_nothing_reads_nothing() -> None:
    nothing: Public = Nothing()
    assert nothing.subscriptions() == []
    nothing.entry(b"t" * 32, Msg(1, 1, bytes(16), b"a" * 32, b"d" * 32, 0, 0, 0, 0, b"", b""))
    await nothing.run(cast("Any", None))
