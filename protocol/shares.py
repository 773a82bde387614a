"""Dividing an amount exactly: by weights (bills), evenly, and at random from a seed (red packets). Pure, no floats.

Whoever has the same inputs gets the same shares, to the minor unit. What is returned always sums to what was divided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from protocol import limits as L
from protocol.errors import ChappeError
from protocol.ids import tagged_hash

_WORD: Final = 1 << 64


class ShareError(ChappeError):
    """An amount that cannot be divided so; the text says why."""


def by_weight(amount: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Shares in the proportion of ``weights`` by the method of the largest remainder (Hare's quota).

    Each gets ``amount * weight // sum``; what is left over, less than one minor unit a share, goes to the largest
    remainders, of equal ones to the earlier. A weight of 0 gets nothing. Raises ``ShareError``.
    """
    whole = sum(weights)
    if amount < 0 or whole <= 0 or min(weights) < 0:
        raise ShareError("the weights of a division are zero or more, and not all of them zero")
    parts = [amount * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda n: (-(amount * weights[n] % whole), n))
    for n in order[: amount - sum(parts)]:
        parts[n] += 1
    return tuple(parts)


def evenly(amount: int, count: int) -> tuple[int, ...]:
    """``count`` shares that differ by at most one minor unit, the larger ones first. Raises ``ShareError``."""
    check_division(amount, count)
    return by_weight(amount, [1] * count)


def at_random(amount: int, count: int, seed: bytes) -> tuple[int, ...]:
    """``count`` shares of at least one minor unit: each division of the amount into so many is equally likely.

    ``count - 1`` different cuts are drawn from 1 to ``amount - 1`` and sorted; a share is what lies between two of
    them. Draw k (from 0) is the first 8 bytes, big-endian, of ``tagged_hash("pay/draw", (seed, k as 8 bytes))``; one
    that is not below the greatest multiple of ``amount - 1`` is passed over, so that no cut is likelier than another,
    and the cut is 1 + the rest of dividing by ``amount - 1``; a cut that was drawn before is passed over too.

    Raises ``ShareError``.
    """
    check_division(amount, count)
    cuts: set[int] = set()
    draws = _draws(seed)
    while len(cuts) < count - 1:
        draw = next(draws)
        if draw < _WORD - _WORD % (amount - 1):
            cuts.add(1 + draw % (amount - 1))
    edges = [0, *sorted(cuts), amount]
    return tuple(after - before for before, after in pairwise(edges))


def _draws(seed: bytes) -> Iterator[int]:
    number = 0
    while True:
        yield int.from_bytes(tagged_hash("pay/draw", (seed, number.to_bytes(8, "big")))[:8], "big")
        number += 1


def check_division(amount: int, count: int) -> None:
    """Raises ``ShareError`` unless each of ``count`` shares can be at least one minor unit."""
    if not 1 <= count <= L.PACKET_SHARES_MAX:
        raise ShareError(f"{count} shares; there are 1 to {L.PACKET_SHARES_MAX}")
    if amount < count:
        raise ShareError(f"{amount} minor units cannot be {count} shares of at least one")
