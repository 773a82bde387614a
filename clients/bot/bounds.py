"""Bounds of the bot SDK, each with the reason for its number. Some are only the defaults of ``Bot``."""

from __future__ import annotations

from typing import Final

ATTEMPTS: Final = 3  # runs of a handler on one message: a passing fault is over by then, a real one stays
BACK_OFF_S: Final = (1.0, 10.0)  # before the second run and all later ones: the conversation waits, so keep it short
PARALLEL: Final = 16  # handlers at work at once: bots wait for the network, and a database pool is about as large
STOP_S: Final = 10.0  # finish what runs after SIGTERM: systemd and containers kill after 10 to 90 s
FLUSH_S: Final = 2.0  # of it for what waits to go out; what does not goes at the next start
BLOCKED_S: Final = 1.0  # a handler that holds the event loop for longer is named: the relay waits only 8 s
SLOW_S: Final = 60.0  # a handler that runs for longer is named: its conversation waits
SAMPLE_S: Final = 0.25  # how often the watchdog looks
READ_ROWS: Final = 32  # events that one conversation reads ahead
SENDS_MAX: Final = 1000  # messages of one run of a handler: they become one transaction
VALUE_BYTES_MAX: Final = 256 * 1024  # one stored value: it is sealed and written whole at each change
ROWS_MAX: Final = 100_000  # stored values, dialogs and timers of one bot: they are kept in memory
POSTED_KEPT_MS: Final = 7 * 86_400_000  # keys of `post` are remembered for a week: nobody retries for longer
TIMER_LOOK_S: Final = 60.0  # the longest sleep of the timers: a machine that slept looks at its clock again
RATE_NOTE_S: Final = 60.0  # one line about waiting for the relay in this time
HANDLE_RETRY_S: Final = 5.0  # until a handle is asked for again where the relay could not answer
