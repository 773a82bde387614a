"""Bounds of the worker runtime, each with the reason for its number. Some are only the defaults of ``Worker``."""

from __future__ import annotations

from typing import Final

ATTEMPTS: Final = 5  # runs of a handler on one job: a restart of what it asks is over by then
BACK_OFF_S: Final = (1.0, 5.0, 30.0)  # before the second run and all later ones; only its conversation waits
PARALLEL: Final = 32  # handlers at work at once: they mostly wait for something else
STOP_S: Final = 10.0  # finish what runs after SIGTERM: systemd and containers kill after 10 to 90 s
FLUSH_S: Final = 2.0  # of it for what waits to go out; what does not goes at the next start
BATCH_ITEMS: Final = 256  # of one call of a taker: a few milliseconds of work for each commit
GROUPS_LOADED: Final = 2048  # MLS groups in memory: about 30 MB; a cold one costs under a millisecond
ROWS_LOADED: Final = 4096  # conversations and device lists in memory, likewise
ITEMS_MAX: Final = 100_000  # jobs that wait; beyond it nothing more is read from the relay
ITEMS_KEPT: Final = 2000  # of them with their contents in memory; the others are read again when their turn comes
DEAD_LISTED: Final = 1000  # dead letters in one listing
SENDS_MAX: Final = 1000  # messages of one job: they become one transaction
ORDERS_S: Final = 0.5  # how often a running worker looks for what an operator decided about dead letters
RESTART_S: Final = 1.0  # after this process was fenced off, until it begins anew
BUSY_S: Final = 10.0  # a transaction waits this long for another process's: theirs take milliseconds
