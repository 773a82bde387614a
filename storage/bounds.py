"""Every bound of this package, each with its reason. What peers may send is bounded in ``protocol.limits``."""

from __future__ import annotations

from typing import Final

BATCH_OPERATIONS_MAX: Final = 1000  # one commit: 20–40 ms of work, the longest that one more waits behind it
BATCH_BYTES_MAX: Final = 8 << 20  # and at most this much content, for the same reason where bodies are large
QUEUE_OPERATIONS_MAX: Final = 20_000  # about a second of work; whoever comes then is told to retry
QUEUE_BYTES_MAX: Final = 64 << 20  # memory that waiting appends may hold
READERS: Final = 4  # reader connections and threads: WAL readers never wait for the writer; more only share two cores
ACKS_PENDING_MAX: Final = 4096  # noted in memory before they make a commit of their own
ACKS_KEPT_MAX: Final = 4 * ACKS_PENDING_MAX  # while the store is away, further ones are lost: readers send newer ones
RETRY_MS: Final = 1000  # what a caller is told to wait when the store is away
STATEMENT_ROWS: Final = (256, 32, 4, 1)  # rows of one multi-row INSERT: few statement texts, so all stay compiled
LOOKUP_KEYS: Final = (256, 32, 4, 1)  # keys of one IN (…); SQLite allows 32,766 variables
RETAIN_ROWS: Final = 2000  # rows that one transaction of retention looks at, so that appends come in between
RETAIN_BLOBS: Final = 64  # blobs freed in one transaction: 4 MB of pages for the free list, and as many files to unlink
BLOB_FILE_BYTES: Final = 64 * 1024  # larger blobs are files of their own: pages of a database are dear
TRASH_FILES: Final = 256  # files unlinked between two transactions: about 10 ms
READ_ROWS: Final = 64  # rows fetched at once by a read: its byte bound is checked in between
COMMITS_REMEMBERED: Final = 1024  # durations behind the quantiles of `statistics`
WAL_PAGES: Final = 4000  # of 4 KiB, between checkpoints: fewer, larger writes to the database file
CACHE_KIB: Final = 32 * 1024  # page cache of the writer
TREE_LEVEL_MIN: Final = 8  # subtrees of receipts from 256 leaves up are stored; smaller ones are made from the journal
