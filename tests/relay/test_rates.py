"""Token buckets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.rates import TokenBucket


def test_a_burst_then_the_rate() -> None:
    bucket = TokenBucket(10, 3, 0)
    assert [bucket.take(0) for _ in range(4)] == [0, 0, 0, 101]
    assert bucket.take(50) == 51
    assert bucket.take(100) == 0
    assert bucket.take(100_000, 3) == 0
    assert bucket.take(100_000) > 0


@given(st.lists(st.integers(0, 300), max_size=60), st.integers(1, 100), st.integers(1, 20))
def test_never_more_than_burst_and_rate(pauses: list[int], per_s: int, burst: int) -> None:
    bucket = TokenBucket(per_s, burst, 0)
    now = 0
    for taken, pause in enumerate(pauses, 1):
        now += pause
        wait = bucket.take(now)
        if wait:
            assert bucket.take(now + wait) == 0
            now += wait
        assert taken <= burst + now * per_s / 1000 + 1e-6
