"""Tickets: bound to a device, for a while, in bounded number."""

from __future__ import annotations

import itertools

import pytest

from protocol.limits import DEVICE_TICKETS_MAX, TICKET_LIFE_MS
from relay import tickets
from relay.tickets import Holder, Tickets, TicketStatistics

ANN, PHONE, LAPTOP = b"ann", b"phone", b"laptop"


class Clock:
    now_ms = 1000

    def __call__(self) -> int:
        return self.now_ms


def fresh(clock: Clock) -> Tickets:
    numbers = itertools.count()
    return Tickets(clock, lambda size: next(numbers).to_bytes(size, "big"))


def test_a_ticket_names_its_holder_until_it_expires() -> None:
    clock = Clock()
    here = fresh(clock)
    ticket, life_ms = here.issue(ANN, PHONE)
    assert (len(ticket), life_ms) == (32, TICKET_LIFE_MS)
    clock.now_ms += TICKET_LIFE_MS - 1
    assert here.holder(ticket) == Holder(ANN, PHONE)
    assert here.holder(bytes(31)) is None
    clock.now_ms += 1
    assert here.holder(ticket) is None
    assert here.statistics() == TicketStatistics(0, 0)


def test_the_oldest_of_a_device_goes() -> None:
    here = fresh(Clock())
    issued = [here.issue(ANN, PHONE)[0] for _ in range(DEVICE_TICKETS_MAX)]
    other, _ = here.issue(ANN, LAPTOP)
    issued.append(here.issue(ANN, PHONE)[0])
    assert [here.holder(ticket) is not None for ticket in issued] == [False] + [True] * DEVICE_TICKETS_MAX
    assert here.holder(other) == Holder(ANN, LAPTOP)


def test_the_oldest_of_all_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "TICKETS_MAX", 2)
    here = fresh(Clock())
    issued = [here.issue(ANN, bytes([n]))[0] for n in range(3)]
    assert [here.holder(ticket) is not None for ticket in issued] == [False, True, True]


def test_a_revoked_device_holds_none() -> None:
    here = fresh(Clock())
    phone, laptop = here.issue(ANN, PHONE)[0], here.issue(ANN, LAPTOP)[0]
    bob, _ = here.issue(b"bob", PHONE)
    here.keep_only(ANN, {LAPTOP})
    assert [here.holder(ticket) is not None for ticket in (phone, laptop, bob)] == [False, True, True]
