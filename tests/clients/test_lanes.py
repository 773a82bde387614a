"""A lane: order, what is sent next, and what that costs."""

from __future__ import annotations

from clients import records as R
from clients.lanes import Lane
from clients.records import Work

TOPIC = b"t" * 32


def row(number: int, work: int = Work.MESSAGE, *, stored: int | None = None, reset: bool = False) -> R.Outgoing:
    plan = R.Plan(reset=reset) if work == Work.COMMIT else None
    return R.Outgoing(number, TOPIC, number.to_bytes(16, "big"), work, 0, plan=plan, stored_offset=stored)


def filled(*rows: R.Outgoing) -> Lane:
    lane = Lane(TOPIC)
    for one in rows:
        lane.add(one)
    return lane


def fly(lane: Lane) -> R.Outgoing | None:
    """Send what is next; what it names as the one before."""
    found = lane.peek()
    assert found is not None
    return lane.sent(found)


def test_rows_go_in_order_each_naming_the_one_before() -> None:
    one, two, three = row(1), row(2), row(3)
    lane = filled(one, two, three)
    assert fly(lane) is None
    assert fly(lane) is one
    one.stored_offset = 5
    lane.flying.pop(one.id)
    lane.remove(two)
    assert fly(lane) is None  # one is stored, two is given up
    assert lane.peek() is None
    assert lane.rows == [one, three]
    assert len(lane) == 2
    assert three in lane
    assert two not in lane
    assert lane.get(two.id) is None


def test_what_is_not_stored_goes_again() -> None:
    one, two, three = row(1), row(2), row(3)
    lane = filled(one, two, three)
    for _ in range(3):
        fly(lane)
    two.stored_offset = 7
    lane.flying.clear()
    lane.rewind()
    assert fly(lane) is None
    assert fly(lane) is one
    assert lane.flying == {one.id: one, three.id: three}


def test_nothing_follows_a_commit_before_its_echo() -> None:
    commit, after = row(1, Work.COMMIT), row(2)
    lane = filled(commit, after)
    fly(lane)
    assert lane.peek() is None
    lane.flying.clear()
    commit.stored_offset = 3
    lane.rewind()
    assert lane.peek() is None
    lane.remove(commit)
    assert lane.peek() is after
    again = filled(row(1, Work.COMMIT, stored=3), after)
    assert again.peek() is None


def test_a_reset_is_first() -> None:
    one, reset = row(1), row(2, Work.COMMIT, reset=True)
    lane = filled(one)
    fly(lane)
    lane.add(reset)
    assert lane.rows == [reset, one]
    assert fly(lane) is None


def test_rows_of_several_sources_are_sorted() -> None:
    three, one, two = row(3), row(1), row(2, stored=9)
    lane = filled(three, one, two)
    lane.sort()
    assert lane.rows == [one, two, three]
    assert lane.peek() is one
    lane.clear()
    assert lane.peek() is None


def test_finding_the_next_costs_the_same_however_much_waits() -> None:
    lane = filled(*[row(number) for number in range(5000)])
    for _ in range(5000):
        found = lane.peek()
        assert found is not None
        lane.sent(found)
        found.stored_offset = 1
        lane.flying.pop(found.id)
    assert lane.examined == 5000
