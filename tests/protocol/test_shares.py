"""Dividing amounts: exact, reproducible, and at random without a favourite."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits as L
from protocol.shares import ShareError, at_random, by_weight, evenly

AMOUNTS = st.integers(1, L.INT_MAX)


@given(st.integers(0, L.INT_MAX), st.lists(st.integers(0, 10**12), min_size=1, max_size=50).filter(any))
def test_weights_lose_nothing_and_are_within_one_unit(amount: int, weights: list[int]) -> None:
    shares = by_weight(amount, weights)
    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert 0 <= share * sum(weights) - amount * weight + sum(weights) <= 2 * sum(weights)
        assert weight or not share


def test_the_largest_remainder_gets_what_is_left() -> None:
    assert by_weight(1000, [1, 1, 1]) == (334, 333, 333)
    assert by_weight(100, [1, 2, 3]) == (17, 33, 50)
    assert by_weight(7, [0, 1, 1]) == (0, 4, 3)
    assert evenly(10, 4) == (3, 3, 2, 2)


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1, 3]])
def test_weights_that_are_none(weights: list[int]) -> None:
    with pytest.raises(ShareError):
        by_weight(100, weights)
    with pytest.raises(ShareError):
        by_weight(-1, [1])


@given(AMOUNTS, st.integers(1, L.PACKET_SHARES_MAX), st.binary(min_size=32, max_size=32))
def test_random_shares_sum_to_the_amount_and_come_again(amount: int, count: int, seed: bytes) -> None:
    if amount < count:
        with pytest.raises(ShareError, match="at least one"):
            at_random(amount, count, seed)
        return
    shares = at_random(amount, count, seed)
    assert sum(shares) == amount
    assert len(shares) == count
    assert min(shares) >= 1
    assert at_random(amount, count, seed) == shares


@pytest.mark.parametrize("count", [0, -1, 101])
def test_counts_that_are_none(count: int) -> None:
    for divide in (evenly, lambda a, n: at_random(a, n, b"")):
        with pytest.raises(ShareError):
            divide(1000, count)


def _by_the_document(amount: int, count: int, seed: bytes) -> tuple[int, ...]:
    """The formula of ``at_random`` from its text alone."""
    name = b"chappe/v1/pay/draw"
    cuts: list[int] = []
    k = 0
    while len(cuts) < count - 1:
        parts = [name, seed, k.to_bytes(8, "big")]
        digest = hashlib.sha256(b"".join(len(p).to_bytes(4, "big") + p for p in parts)).digest()
        k += 1
        draw = int.from_bytes(digest[:8], "big")
        if draw >= (2**64 // (amount - 1)) * (amount - 1) or 1 + draw % (amount - 1) in cuts:
            continue
        cuts.append(1 + draw % (amount - 1))
    edges = [0, *sorted(cuts), amount]
    return tuple(edges[n + 1] - edges[n] for n in range(count))


def test_anybody_computes_the_same() -> None:
    for amount, count in ((100, 100), (1000, 5), (2, 2), (L.INT_MAX, 7), (5, 1)):
        for n in range(5):
            seed = bytes([n]) * 32
            assert at_random(amount, count, seed) == _by_the_document(amount, count, seed)


def test_every_division_is_equally_likely() -> None:
    """Of 6 into 3 there are C(5, 2) = 10; 2,000 seeds hit each about 200 times (five standard deviations: 67)."""
    found = Counter(at_random(6, 3, n.to_bytes(32, "big")) for n in range(2000))
    assert len(found) == 10
    assert all(abs(count - 200) < 67 for count in found.values())
