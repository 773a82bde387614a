"""Bounds inside the relay process that no peer ever sees on the wire, each with the reason for its number.

What a peer may send, hold or ask lies in ``protocol.limits``; what an operator may change is a field of
``relay.config``. The rest is here.
"""

from __future__ import annotations

from typing import Final

OUTBOUND_LOW_DIVISOR: Final = 2  # catch-up reads on when the outbound buffer has fallen to half of its bound
HANDSHAKE_BYTES_MAX: Final = 16 * 1024  # HTTP head of a websocket handshake: browsers with cookies stay below 8 KiB
FRAMING_BYTES_MAX: Final = 64 * 1024  # websocket framing and pings that may come between two whole messages
CONTROL_BYTES_MAX: Final = 64 * 1024  # pongs and closes waiting for a socket; beyond it no more pings are read
WRITE_SLICE_BYTES: Final = 64 * 1024  # given to the kernel at once: progress is seen slice by slice
KERNEL_BYTES_MAX: Final = 64 * 1024  # unsent in the kernel: what waits there cannot be overtaken, nor seen by us
CLOSE_MS: Final = 2_000  # our close frame to the peer's; then the socket is dropped
REQUEST_BYTES_MAX: Final = 2 * 1024 * 1024  # parameters of a connection's waiting REQs: two blob parts
INFLIGHT_BYTES_MAX: Final = 4 * 1024 * 1024  # bodies of a connection's PUBs that wait for their commit
CLAIM_DEVICES_MAX: Final = 400  # packages in one claim: 400 × 2 KiB fit one message
IDLE_HUBS_MAX: Final = 4096  # hubs without subscriptions that stay for a reconnect
IDLE_RING_BYTES_MAX: Final = 32 * 1024 * 1024  # and the frames that they keep, all together
REMOVED_KEPT_MAX: Final = 1024  # accounts a hub remembers as changed, so that no older read admits them
FILL_ENTRIES: Final = 256  # entries of one read with which a hub closes a gap
FILL_BYTES: Final = 256 * 1024  # and at most this much: as much as a ring keeps
FILL_RETRY_MS: Final = 200  # between two reads of a store that is away: soon enough that nobody notices one
CATCHUP_RETRY_MS: Final = 200  # likewise, for the history of one connection
RETRY_MS: Final = 250  # "come back soon" in 429 and 504: longer than a commit, shorter than a person notices
DRAIN_RECONNECT_MS: Final = 1_000  # BYE of a draining relay: a supervisor restarts within a second or two
DRAIN_COMMIT_MS: Final = 3_000  # a draining relay waits this long for commits under way
PAUSE_MS: Final = 250  # nothing is read from who was too fast: four refused batches a second are no load
LINGER_BYTES: Final = 64 * 1024  # read after our close frame, for the peer's: beyond it TCP holds the peer up
READ_BYTES: Final = 16 * 1024  # one read of one connection: a hundred small messages, a millisecond of work
EVENTS_PER_TURN: Final = 64  # connections read before anything is written: what everybody waits for at most
TURN_MS: Final = 2  # of handling what came; whoever is still ready gets the next turn, after the answers so far
SLICE: Final = 64  # connections of a fan-out written before whoever else is ready gets a turn
ACCEPTS_PER_TURN: Final = 16  # new connections; a storm of them does not hold up who is here
HANDSHAKES_MS: Final = 2  # of a turn for TLS handshakes: each costs about one
CONTROLS_PER_S: Final = 200  # websocket control frames of a connection: browsers send one a minute, floods thousands
TLS_RECORD_BYTES: Final = 16 * 1024  # RFC 8446 section 5.1: written at once, so that a retry repeats the same bytes
WARN_EVERY_MS: Final = 10_000  # the same warning about the whole process, at most so often
HTTP_BYTES: Final = 64 * 1024  # read from or written to an HTTP connection at once
HTTP_IDLE_MS: Final = 15_000  # an HTTP connection between two requests
BLOB_REQUEST_MS: Final = 300_000  # one request with its body: 1 MiB at 3.5 KB/s
BLOB_UPLOADS_MAX: Final = 32  # bodies of blobs under way, of all accounts: at most as many MiB of memory
BLOB_UPLOADS_PER_ACCOUNT_MAX: Final = 8  # of one account: twice what our client has in flight
OPS_REQUEST_BYTES_MAX: Final = 8 * 1024  # a GET without a body
OPS_MS: Final = 5_000  # an ops request, head to answer
ADMIN_MS: Final = 600_000  # an admin request: retention over a large store
ADMIN_LISTED_MAX: Final = 20_000  # connections in one answer of `who`: as many as a relay has by default
ADMIN_REPORTS_MAX: Final = 200  # reports in one answer: a day's work
ANNOUNCE_BYTES_MAX: Final = 4 * 1024 * 1024  # announcements waiting for the broker; beyond it they are dropped
LOG_TEXT_CHARS_MAX: Final = 300  # of one value in a log line
KNOCKERS_MAX: Final = 4096  # addresses whose looks into lockers are counted; the one unseen for longest goes first
REPORTERS_MAX: Final = 4096  # accounts whose reports are counted; likewise
LEASE_BEGIN_TOPICS: Final = 64  # topics of a worker begun with one read: a millisecond of work
LAG_EVERY_MS: Final = 10_000  # between two looks at what workers have not acknowledged: a query over their topics
WORKER_LABELS_MAX: Final = 32  # workers that the metrics name; all others together are "other"
WORKER_RESTARTS_MAX: Final = 5  # deaths of a worker beside the relay, within the time below, until it stays down
WORKER_RESTARTS_S: Final = 60.0  # one that dies less often is worth starting again
WORKER_BACK_OFF_S: Final = 0.5  # before it is started again
WORKER_STOP_S: Final = 8.0  # to finish what it does when the relay ends: with the draining below a supervisor's limit
SERVED_SLICE: Final = 1000  # topics of a worker looked at in one go: half a millisecond
BENCH_WAIT_S: Final = 20  # `chappe bench`: an answer that takes longer is none
BENCH_CONNECTIONS_MAX: Final = 900  # of a run, all in one conversation: below its cap of devices
BENCH_SECONDS_MAX: Final = 300  # of one measurement: it is no way to wear a relay down
BENCH_BODY_BYTES_MIN: Final = 16  # a time and a number
BENCH_BODY_BYTES_MAX: Final = 64 * 1024  # the largest step of sizes
BENCH_WINDOW_MAX: Final = 512  # messages under way at once, as many as a connection may have by default
BENCH_STORED_MAX: Final = 20_000  # messages that a catch-up reads: they stay in the relay's store
BENCH_ACCOUNTS_MAX: Final = 100  # as many as one commit lets in
