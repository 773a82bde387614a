"""Meters: rates that belong to what is measured, bounded in number."""

from __future__ import annotations

import pytest

from relay.admission.buckets import Kind, Meter, Meters, address_key


def test_a_meter_measures_what_it_has_rates_for() -> None:
    meter = Meter({Kind.PUBLISH: (2, 4)})
    assert [meter.take(Kind.PUBLISH, 0) for _ in range(5)] == [0, 0, 0, 0, 501]
    assert meter.take(Kind.REQUEST, 0, 10**9) == 0
    meter.give(Kind.PUBLISH)
    meter.give(Kind.REQUEST)
    assert [meter.take(Kind.PUBLISH, 0) for _ in range(2)] == [0, 501]
    meter.give(Kind.PUBLISH, 1000)
    assert [meter.take(Kind.PUBLISH, 0) > 0 for _ in range(5)] == [False] * 4 + [True]


def test_meters_are_bounded_and_the_longest_unused_goes() -> None:
    meters = Meters(2)
    first = meters.of("a", dict)
    meters.of("b", dict)
    assert meters.of("a", dict) is first
    meters.of("c", dict)
    assert len(meters) == 2
    assert meters.of("a", dict) is first
    meters.forget("a")
    meters.forget("never there")
    assert meters.of("a", dict) is not first


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("memory", "memory"),
    ],
)
def test_an_address_is_measured_with_its_neighbours(address: str, key: str) -> None:
    assert address_key(address) == key
