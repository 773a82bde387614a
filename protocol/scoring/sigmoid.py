"""From log-odds to probability with integers only, so that every device gets the same one.

Log-odds come in millionths. Between the points of a table (64 to a unit) the value is interpolated; the error is
below 4 parts in a million.
"""

from __future__ import annotations

import math
from typing import Final

from protocol.scoring.weights import PPB

MICRO: Final = 1_000_000
SPAN: Final = 16  # log-odds beyond ±16 are 1 in nine million: nothing is known so well
STEP: Final = MICRO // 64
TABLE: Final = tuple(round(PPB / (1 + math.exp(-(k / 64 - SPAN)))) for k in range(2 * SPAN * 64 + 2))


def probability(micro: int) -> int:
    """Billionths for log-odds in millionths."""
    place = min(max(micro, -SPAN * MICRO), SPAN * MICRO) + SPAN * MICRO
    index, rest = divmod(place, STEP)
    low = TABLE[index]
    return low + (TABLE[index + 1] - low) * rest // STEP
