"""When what failed is tried again, and what its log says: of bots and of workers alike. Pure."""

from __future__ import annotations

import traceback
from collections.abc import Sequence


def back_off_s(count: int, attempts: int, waits_s: Sequence[float]) -> float | None:
    """Seconds until the next attempt after ``count`` failed ones; None: no more, it is set aside."""
    return None if count >= attempts else waits_s[min(count, len(waits_s)) - 1]


def said_of(error: Exception) -> str:
    """What a dead letter notes of an exception."""
    return f"{type(error).__name__}: {error}"[:500]


def trace_of(error: Exception, own: tuple[str, ...]) -> str:
    """The traceback from the handler on: the frames of the packages ``own`` above it are of no interest."""
    trace = error.__traceback__
    while (
        trace is not None
        and trace.tb_next is not None
        and str(trace.tb_frame.f_globals.get("__name__", "")).startswith(own)
    ):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()
