"""Histograms and counters."""

from __future__ import annotations

from relay.counters import BUCKETS_MS, Counters, Histogram


def test_percentiles_are_upper_bounds_of_buckets() -> None:
    histogram = Histogram()
    assert histogram.percentile(0.5) == 0.0
    for duration in (0.1, 0.3, 0.3, 3.0):
        histogram.observe(duration)
    assert histogram.percentile(0.25) == 0.25
    assert histogram.percentile(0.5) == 0.5
    assert histogram.percentile(1.0) == 4
    assert histogram.sum_ms == 3.7
    histogram.observe(BUCKETS_MS[-1] + 1)
    assert histogram.percentile(1.0) == float("inf")
    assert sum(histogram.counts) == 5


def test_counters_are_independent() -> None:
    one, other = Counters(), Counters()
    one.errors[404] += 1
    one.publish_ms.observe(1)
    assert other.errors[404] == 0
    assert sum(other.publish_ms.counts) == 0
