"""What a measurement came to: percentiles, a histogram for the terminal, one flat object for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_BAR: Final = 40  # characters of the longest bar
_PARTS: Final = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Figures:
    """One measurement. ``count`` of ``what`` in ``seconds``; latencies in milliseconds.

    ``refused``: answered with "later" and repeated. ``busy``: share of the time that this program itself was computing;
    near 1 it is the limit, not the relay.
    """

    name: str
    what: str
    count: int
    seconds: float
    latencies_ms: Sequence[float]  # sorted
    latency_of: str
    refused: int = 0
    busy: float = 0.0

    @property
    def per_s(self) -> float:
        """Rate."""
        return self.count / self.seconds if self.seconds else 0.0

    def at(self, share: float) -> float:
        """The latency that ``share`` of all stay at or below; 0 where nothing was measured."""
        if not self.latencies_ms:
            return 0.0
        return self.latencies_ms[min(len(self.latencies_ms) - 1, math.ceil(share * len(self.latencies_ms)) - 1)]

    def as_json(self) -> dict[str, float | int | str]:
        """For programs."""
        return {
            "name": self.name, "what": self.what, "count": self.count, "seconds": round(self.seconds, 3),
            "per_s": round(self.per_s, 1), "latency_of": self.latency_of, "p50_ms": round(self.at(0.5), 3),
            "p90_ms": round(self.at(0.9), 3), "p99_ms": round(self.at(0.99), 3),
            "p999_ms": round(self.at(0.999), 3), "max_ms": round(self.at(1.0), 3), "refused": self.refused,
            "busy": round(self.busy, 2),
        }  # fmt: skip


def histogram(latencies_ms: Sequence[float]) -> list[tuple[float, float, int]]:
    """(from, to, count) for every doubling between the least and the greatest, empty ones in between included."""
    counts: dict[int, int] = {}
    for value in latencies_ms:
        place = math.floor(math.log2(max(value, 1e-3)))
        counts[place] = counts.get(place, 0) + 1
    if not counts:
        return []
    places = range(min(counts), max(counts) + 1)
    return [(2.0**n, 2.0 ** (n + 1), counts.get(n, 0)) for n in places]


def bar(share: float, width: int = _BAR) -> str:
    """A bar of eighths of a character; anything above zero can be seen."""
    eighths = round(share * width * 8)
    if share > 0:
        eighths = max(1, eighths)
    return "█" * (eighths // 8) + _PARTS[eighths % 8].strip()


def plot(figures: Figures) -> list[str]:
    """The histogram as lines of text."""
    bins = histogram(figures.latencies_ms)
    most = max((count for _, _, count in bins), default=0)
    return [f"{low:>9.2f} – {high:<9.2f} ms {bar(count / most)} {count:,}" for low, high, count in bins]
