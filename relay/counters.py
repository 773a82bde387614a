"""Plain integers that the hot paths count with; ``relay.metrics`` turns them into metrics when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

#: Upper bounds in milliseconds: 0.25 ms is a commit in memory, 8 s a store in trouble.
BUCKETS_MS: Final = (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)


class Histogram:
    """Counts of durations by fixed buckets; a percentile is the upper bound of the bucket that it falls in."""

    __slots__ = ("counts", "sum_ms")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_MS) + 1)
        self.sum_ms = 0.0

    def observe(self, duration_ms: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BUCKETS_MS, duration_ms)] += 1
        self.sum_ms += duration_ms

    def percentile(self, share: float) -> float:
        """The duration in ms that ``share`` (0–1) of all observations did not exceed; 0 without observations."""
        wanted = share * sum(self.counts)
        if not wanted:
            return 0.0
        seen = 0
        for bound, count in zip(BUCKETS_MS, self.counts, strict=False):
            seen += count
            if seen >= wanted:
                return bound
        return float("inf")


@dataclass(slots=True)
class Counters:
    """What has happened since the start of this process."""

    accepted: int = 0  # websockets opened
    refused_handshakes: int = 0
    logins: int = 0
    failed_logins: int = 0
    publishes: int = 0  # PUBs of stored messages that came
    ephemerals: int = 0
    deliveries: int = 0  # MSG frames handed to live subscribers
    history: int = 0  # MSG frames handed to subscribers behind the head
    fell_behind: int = 0  # live subscriptions that became slower than their topic
    gaps: int = 0  # GAP frames
    fills: int = 0  # reads that closed a gap of a hub
    blobs_put: int = 0  # over HTTP
    blobs_got: int = 0
    blob_bytes_in: int = 0
    blob_bytes_out: int = 0
    failures: int = 0  # bugs caught at a boundary
    sent_away: int = 0  # connections ended by a ban or a kick
    invited: int = 0  # accounts registered with an invitation
    admin: int = 0  # requests of the operator that were carried out
    refused_admin: int = 0  # requests to the admin interface without the right token
    refusals: Counter[str] = field(default_factory=Counter)  # by admission.Why
    errors: Counter[int] = field(default_factory=Counter)  # ERR frames by code
    closes: Counter[int] = field(default_factory=Counter)  # BYE frames by code
    publish_ms: Histogram = field(default_factory=Histogram)  # PUB read to OK sent
    fanout_ms: Histogram = field(default_factory=Histogram)  # commit heard to last live subscriber served
