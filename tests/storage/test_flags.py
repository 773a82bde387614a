"""Flags as integers are the flags of the wire."""

from __future__ import annotations

from protocol.frames import FLAGS_ALL, FLAGS_PUBLISHABLE
from storage import flags


def test_every_flag_is_here_once() -> None:
    names = (
        "URGENT",
        "COMMIT",
        "PUBLIC",
        "ACCESS",
        "ERASE",
        "RESET",
        "DEVICES",
        "WELCOME",
        "SEALED",
        "STRANGER",
        "NEVER_STORED",
    )
    values = [getattr(flags, name) for name in names]
    assert all(type(value) is int for value in values)
    assert sum(values) == FLAGS_ALL
    assert flags.KEPT & FLAGS_PUBLISHABLE == flags.COMMIT | flags.ACCESS
