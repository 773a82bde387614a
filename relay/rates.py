"""Token buckets: how often something may happen, without a timer."""

from __future__ import annotations


class TokenBucket:
    """``per_s`` tokens a second, at most ``burst`` saved up. Time is monotonic milliseconds, an argument."""

    __slots__ = ("_burst", "_per_ms", "_seen_ms", "_tokens")

    def __init__(self, per_s: float, burst: float, now_ms: float) -> None:
        self._per_ms = per_s / 1000
        self._burst = burst
        self._tokens = burst
        self._seen_ms = now_ms

    def take(self, now_ms: float, tokens: float = 1.0) -> int:
        """0: taken. Otherwise nothing was taken, and this many milliseconds later it would have worked."""
        self._tokens = min(self._burst, self._tokens + (now_ms - self._seen_ms) * self._per_ms)
        self._seen_ms = now_ms
        if self._tokens >= tokens:
            self._tokens -= tokens
            return 0
        return max(1, int((tokens - self._tokens) / self._per_ms) + 1)

    def give(self, tokens: float = 1.0) -> None:
        """Put back what was taken for nothing; never more than ``burst`` is saved up."""
        self._tokens = min(self._burst, self._tokens + tokens)
