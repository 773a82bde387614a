"""How far learning is behind: the age of the oldest thing that was said and is not learned yet. Pure."""

from __future__ import annotations


class Lag:
    """Sources by name (a shard's number, or readers' messages), each with the time of its oldest entry not learned."""

    def __init__(self) -> None:
        self._waiting: dict[int | str, int] = {}
        self._looked_ms: int | None = None

    def looked(self, now_ms: int) -> None:
        """All sources were asked at this time: what is not noted as waiting was learned then."""
        self._looked_ms = now_ms

    def waits(self, source: int | str, ts: int) -> None:
        """The oldest that waits in a source was stored at ``ts``."""
        self._waiting[source] = ts

    def done(self, source: int | str) -> None:
        """Nothing waits in a source."""
        self._waiting.pop(source, None)

    def age_ms(self, now_ms: int) -> int:
        """The age. Where nothing waits: how long nobody has looked, since anything may have come meanwhile."""
        times = list(self._waiting.values())
        if self._looked_ms is not None:
            times.append(self._looked_ms)
        return max((0, *(now_ms - ts for ts in times)))
