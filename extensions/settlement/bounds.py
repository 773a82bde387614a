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
BATCH_MESSAGES: Final = 500  # taken from the inbox at once: 50 ms of checking, and two commits at most
ROUND_WEIGHT_MAX: Final = 900  # operations of one round, by their most: they fit one commit
CLAIMS_MAX: Final = 100  # payments that one opening of a wallet claims; opening it again claims the next ones
SPEAK_ROWS: Final = 400  # answers that become messages in one transaction; with notices below what one run may say
INDEX_ROWS: Final = 500  # lines of the journal that are indexed in one transaction
HISTORY_ROWS: Final = 100  # lines of history in one answer
RETRY_MS: Final = 1000  # before the store or the relay is asked again
TICK_S: Final = 1.0  # between two looks for pendings that are due, and for orders of the operator
ORDER_WAIT_S: Final = 10.0  # a command waits this long for the worker to carry out an order
CONFRONTED_MAX: Final = 4096  # presented checkpoints that are remembered as compared: half a megabyte
LOG_NAME: Final = "settlement"  # of the log of receipts
