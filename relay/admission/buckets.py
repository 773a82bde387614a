"""Rates: a device, its account and its network address each have a meter, kept for as long as there is room.

A meter belongs to what it measures, not to a connection, so coming back does not fill it up again. The meters of one
level are bounded in number; the one that was asked for longest ago goes first.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum
from typing import Final

from relay.rates import TokenBucket

BURST_S: Final = 2  # of its rate that a meter saves up
DAY_S: Final = 86_400
_IPV6_PREFIX: Final = 64  # one customer has at least so many addresses


class Kind(IntEnum):
    """What is measured."""

    PUBLISH = 0
    EPHEMERAL = 1
    REQUEST = 2
    OTHER = 3
    BYTE = 4
    PATIENCE = 5  # refusals that go by before a flood is cut off
    TOPIC = 6  # conversations founded
    CONNECT = 7


Rates = dict[Kind, tuple[float, float]]  # tokens a second, and how many may be saved up


class Meter:
    """Token buckets of one device, account or address, each made when it is first needed."""

    __slots__ = ("_buckets", "_rates")

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._buckets: dict[Kind, TokenBucket] = {}

    def take(self, kind: Kind, now_ms: int, tokens: float = 1.0) -> int:
        """0: taken. Otherwise nothing was taken, and this many milliseconds later it would work. Not measured: 0."""
        bucket = self._buckets.get(kind)
        if bucket is None:
            rate = self._rates.get(kind)
            if rate is None:
                return 0
            bucket = self._buckets[kind] = TokenBucket(*rate, now_ms)
        return bucket.take(now_ms, tokens)

    def give(self, kind: Kind, tokens: float = 1.0) -> None:
        """Put back what was taken for nothing."""
        bucket = self._buckets.get(kind)
        if bucket is not None:
            bucket.give(tokens)


class Meters:
    """The meters of one level, at most ``most`` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._meters: OrderedDict[bytes | str, Meter] = OrderedDict()

    def of(self, key: bytes | str, rates: Callable[[], Rates]) -> Meter:
        """The meter of ``key``, made with ``rates`` where there is none."""
        meter = self._meters.get(key)
        if meter is None:
            meter = self._meters[key] = Meter(rates())
            if len(self._meters) > self._most:
                self._meters.popitem(last=False)
        else:
            self._meters.move_to_end(key)
        return meter

    def forget(self, key: bytes | str) -> None:
        """Measure anew, perhaps by other rates."""
        self._meters.pop(key, None)

    def __len__(self) -> int:
        return len(self._meters)


def address_key(address: str) -> str:
    """What an address is measured by: itself, or the /64 network that one IPv6 customer has at least."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
    return str(parsed)
