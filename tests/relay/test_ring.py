"""The ring of recent frames."""

from __future__ import annotations

from relay.ring import Ring


def test_the_ring_is_bounded_and_contiguous() -> None:
    ring = Ring(3, 1000)
    for offset in range(5, 10):
        ring.push(offset, b"%d" % offset)
    assert [ring.covers(offset) for offset in (6, 7, 9, 10)] == [False, True, True, False]
    assert list(ring.read_from(8)) == [b"8", b"9"]
    ring.push(10, b"x" * 1000)
    assert (ring.first, ring.bytes, len(ring)) == (10, 1000, 1)
    ring.push(11, b"y" * 2000)  # too large to keep
    assert (ring.first, ring.bytes, len(ring)) == (12, 0, 0)


def test_forgetting_begins_anew() -> None:
    ring = Ring(3, 1000)
    ring.push(1, b"one")
    ring.forget(7)
    assert (ring.first, ring.bytes, len(ring)) == (7, 0, 0)
    ring.push(7, b"seven")
    assert list(ring.read_from(7)) == [b"seven"]
