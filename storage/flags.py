"""The flags of entries as plain integers: every ``&`` of an ``IntFlag`` makes an object, and that was a third of the
time that a decision takes."""

from __future__ import annotations

from typing import Final

from protocol.frames import Flag

URGENT: Final = int(Flag.URGENT)
COMMIT: Final = int(Flag.COMMIT)
PUBLIC: Final = int(Flag.PUBLIC)
ACCESS: Final = int(Flag.ACCESS)
ERASE: Final = int(Flag.ERASE)
RESET: Final = int(Flag.RESET)
DEVICES: Final = int(Flag.DEVICES)
WELCOME: Final = int(Flag.WELCOME)
SEALED: Final = int(Flag.SEALED)
STRANGER: Final = int(Flag.STRANGER)
NEVER_STORED: Final = int(Flag.EPHEMERAL | Flag.NO_ECHO)
KEPT: Final = COMMIT | ACCESS | DEVICES | WELCOME  # entries that every device must have passed before they go
