"""Every bound of settlement's own, each with its reason. What peers may send is bounded in ``protocol.limits``."""

from __future__ import annotations

from typing import Final

BATCH_OPERATIONS_MAX: Final = 1000  # one commit: 10–15 ms of work, the longest that one more waits behind it
QUEUE_OPERATIONS_MAX: Final = 10_000  # waiting: ten batches; whoever comes then waits for room
EXPIRIES_MAX: Final = 1000  # one commit, if many pendings come due at once; the batch waits until all are through
SNAPSHOT_EVERY: Final = 50_000  # records between snapshots: a restart replays at most this many, under half a second
REPLAY_ROWS: Final = 5000  # of the journal, read at once
RESOLVE_TRIES: Final = 5  # readings of the head after a commit whose outcome is unknown, before the process gives up
RESOLVE_S: Final = 1.0  # between them
