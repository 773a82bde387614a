"""Deadlines in buckets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.wheel import BUCKET_MS, Wheel


class Item:
    """Something with deadlines, one after the other."""

    def __init__(self, *deadlines: int) -> None:
        self.deadlines = list(deadlines)
        self.called: list[int] = []

    @property
    def deadline_ms(self) -> int | None:
        """The next one."""
        return self.deadlines[0] if self.deadlines else None

    def on_deadline(self, now_ms: int) -> None:
        """It has passed."""
        self.called.append(now_ms)
        self.deadlines.pop(0)


def test_called_when_due_and_not_before() -> None:
    wheel, item = Wheel(0), Item(1500, 1700, 9000)
    wheel.add(item)
    wheel.turn(1900)
    assert item.called == []
    wheel.turn(2000)
    assert item.called == [2000]
    wheel.turn(3000)
    assert item.called == [2000, 3000]
    assert len(wheel) == 1
    wheel.turn(60_000)
    assert len(item.called) == 3
    assert len(wheel) == 0


def test_a_deadline_that_moved_on_is_found_later() -> None:
    wheel, item = Wheel(0), Item(1000)
    wheel.add(item)
    item.deadlines[0] = 5000
    wheel.turn(4999)
    assert item.called == []
    wheel.turn(6000)
    assert item.called == [6000]


def test_without_a_deadline_nothing_is_watched() -> None:
    wheel = Wheel(0)
    wheel.add(Item())
    assert len(wheel) == 0
    gone = Item(1000)
    wheel.add(gone)
    gone.deadlines.clear()
    wheel.turn(2000)
    assert (gone.called, len(wheel)) == ([], 0)


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=30))
def test_each_is_called_once_and_at_most_a_bucket_late(deadlines: list[int]) -> None:
    wheel = Wheel(0)
    items = [Item(deadline) for deadline in deadlines]
    for item in items:
        wheel.add(item)
    for now in range(0, 30_000, 700):
        wheel.turn(now)
    for item, deadline in zip(items, deadlines, strict=True):
        (called,) = item.called
        assert deadline <= called < deadline + BUCKET_MS + 700
