"""Bounds of the referee worker, each with the reason for its number. Those of a match are in ``protocol.limits``."""

from __future__ import annotations

from typing import Final

BATCH_JOBS: Final = 64  # of one transaction: each may end a match, which is six messages to two people
TABLES_KEPT: Final = 2048  # finished matches in memory, for rematches; older ones are read again
LAG_MS: Final = 500  # of the network's time that is given back for a move: a phone on a bad day
PULSE_S: Final = 0.02  # how often a running referee notes that it is there: clocks are that exact after a kill -9
REST_S: Final = 1.0  # the same while no clock runs
SAYS: Final = 800  # messages of one transaction, of the thousand that it may hold: the end of a match is at most 70
ENGINE_S: Final = 10.0  # an engine's answer takes milliseconds; the slowest game needs a second to be loaded
ENGINE_START_S: Final = 20.0  # more for a process that has only just been started, on a busy machine
ENGINE_STATES: Final = 512  # states that an engine keeps, so that a step costs a step
ENGINE_MEMORY_BYTES: Final = 2 << 30  # address space of an engine: most games need 200 MB, the libraries included
ENGINE_MESSAGE_BYTES: Final = 4 << 20  # one request or answer: the longest history of the longest game fits
