"""The flags of entries as plain integers: every ``&`` of an ``IntFlag`` makes an object, and that was a third of the
time that a decision takes."""

from __future__ import annotations

from typing import Final

from protocol.frames import FLAGS_PUBLISHABLE, Flag

EPHEMERAL: Final = int(Flag.EPHEMERAL)
URGENT: Final = int(Flag.URGENT)
COMMIT: Final = int(Flag.COMMIT)
NO_ECHO: Final = int(Flag.NO_ECHO)
PUBLIC: Final = int(Flag.PUBLIC)
ACCESS: Final = int(Flag.ACCESS)
ERASE: Final = int(Flag.ERASE)
RESET: Final = int(Flag.RESET)
DEVICES: Final = int(Flag.DEVICES)
WELCOME: Final = int(Flag.WELCOME)
SEALED: Final = int(Flag.SEALED)
STRANGER: Final = int(Flag.STRANGER)
STORED: Final = FLAGS_PUBLISHABLE & ~(EPHEMERAL | NO_ECHO)  # what a client may set on a stored entry
NEVER_EPHEMERAL: Final = ~(EPHEMERAL | URGENT | NO_ECHO)  # what only a stored entry may have
KEPT: Final = COMMIT | ACCESS | DEVICES | WELCOME  # entries that every device must have passed before they go
