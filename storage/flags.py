"""The flags of entries as plain integers: every ``&`` of an ``IntFlag`` makes an object, and that was a third of the
time that a decision takes."""

from __future__ import annotations

from typing import Final

from protocol.frames import FLAGS_PUBLISHABLE, Flag

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
STORED: Final = FLAGS_PUBLISHABLE & ~int(Flag.EPHEMERAL | Flag.NO_ECHO)  # what a client may set on a stored entry
KEPT: Final = COMMIT | ACCESS | DEVICES | WELCOME  # entries that every device must have passed before they go
