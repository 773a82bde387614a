"""Spans of time as people type them: ``30m``, ``8h``, ``2d``, ``1w``."""

from __future__ import annotations

import re
from typing import Final

from protocol.errors import ChappeError

_UNITS_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})([mhdw])")


class BadSpan(ChappeError):
    """A span of time that cannot be read; the text says how they look."""


def span_ms(text: str) -> int:
    """Milliseconds. Raises ``BadSpan``."""
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise BadSpan(f"{text!r} is no span of time; it looks like 30m, 8h, 2d or 1w")
    return int(found[1]) * _UNITS_MS[found[2]]
