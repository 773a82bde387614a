"""Flags as integers are the flags of the wire."""

from __future__ import annotations

from protocol.frames import FLAGS_ALL, FLAGS_PUBLISHABLE, Flag
from storage import flags


def test_every_flag_is_here_once() -> None:
    names = ("URGENT", "COMMIT", "PUBLIC", "ACCESS", "ERASE", "RESET", "SEALED", "DEVICES", "WELCOME", "STRANGER")
    values = [getattr(flags, name) for name in names]
    assert all(type(value) is int for value in values)
    assert sum(values) == FLAGS_ALL - Flag.EPHEMERAL - Flag.NO_ECHO
    assert sum(values[:7]) == flags.STORED
    assert flags.KEPT & FLAGS_PUBLISHABLE == flags.COMMIT | flags.ACCESS
