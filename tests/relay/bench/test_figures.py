"""Percentiles and the plot."""

from __future__ import annotations

import pytest

from relay.bench.figures import Figures, bar, histogram, plot


def figures(latencies: list[float], seconds: float = 2.0) -> Figures:
    return Figures("load", "things", len(latencies), seconds, latencies, "from A to B", 3, 0.5)


def test_percentiles_are_values_that_were_measured() -> None:
    some = figures([float(n) for n in range(1, 101)])
    assert [some.at(share) for share in (0.001, 0.5, 0.9, 0.99, 1.0)] == [1.0, 50.0, 90.0, 99.0, 100.0]
    assert some.per_s == 50


def test_nothing_measured() -> None:
    none = figures([], seconds=0.0)
    assert (none.at(0.5), none.per_s, plot(none)) == (0.0, 0.0, [])


def test_one_flat_object_for_programs() -> None:
    assert figures([1.0, 2.0]).as_json() == {
        "name": "load", "what": "things", "count": 2, "seconds": 2.0, "per_s": 1.0, "latency_of": "from A to B",
        "p50_ms": 1.0, "p90_ms": 2.0, "p99_ms": 2.0, "p999_ms": 2.0, "max_ms": 2.0, "refused": 3, "busy": 0.5,
    }  # fmt: skip


def test_a_bin_for_every_doubling_with_empty_ones_between() -> None:
    assert histogram([0.6, 0.9, 4.5]) == [(0.5, 1.0, 2), (1.0, 2.0, 0), (2.0, 4.0, 0), (4.0, 8.0, 1)]
    assert histogram([0.0])[0][2] == 1


@pytest.mark.parametrize(("share", "want"), [(0.0, ""), (1e-9, "▏"), (0.5, "██"), (1.0, "████"), (0.65, "██▋")])
def test_anything_above_zero_can_be_seen(share: float, want: str) -> None:
    assert bar(share, 4) == want


def test_the_longest_bar_is_the_fullest_bin() -> None:
    first, second = plot(figures([0.6, 0.7, 1.5]))
    assert first.count("█") == 40
    assert second.count("█") == 20
    assert "0.50 – 1.00" in first
