"""What every store keeps of reports: sealed bytes in a bounded queue."""

from __future__ import annotations

import pytest

from protocol import limits as L
from storage.casework import Case, Full, Waiting
from tests.contracts.kit import START_MS, Kit, key

ANN, BOB = key("ann"), key("bob")


async def test_reports_wait_until_they_are_closed(kit: Kit) -> None:
    store = kit.store.reports
    assert await store.waiting() == Waiting(0, 0)
    first = await store.post(ANN, b"one")
    kit.clock.pass_ms(5)
    second = await store.post(BOB, b"two")
    assert isinstance(first, int)
    assert isinstance(second, int)
    assert first < second
    assert await store.waiting() == Waiting(2, START_MS)
    one, two = Case(first, ANN, START_MS, 3), Case(second, BOB, START_MS + 5, 3)
    assert await store.cases(closed=False, after=0, limit=10) == [one, two]
    assert await store.cases(closed=False, after=first, limit=10) == [two]
    assert await store.cases(closed=False, after=0, limit=1) == [one]
    assert await store.get(first) == (one, b"one")
    assert await store.get(second + 1) is None
    assert await store.close(first, "spam")
    assert not await store.close(second + 1, "")
    kit.clock.pass_ms(5)
    assert await store.close(first, "banned")
    closed = Case(first, ANN, START_MS, 3, START_MS + 5, "banned")
    assert await store.cases(closed=True, after=0, limit=10) == [closed]
    assert await store.get(first) == (closed, b"one")
    assert await store.waiting() == Waiting(1, START_MS + 5)


async def test_the_same_bytes_keep_their_number(kit: Kit) -> None:
    store = kit.store.reports
    number = await store.post(ANN, b"one")
    assert isinstance(number, int)
    assert await store.post(ANN, b"one") == number
    await store.close(number, "")
    assert await store.post(BOB, b"one") == number
    assert await store.waiting() == Waiting(0, 0)


async def test_one_account_cannot_fill_the_queue(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L, "REPORTS_WAITING_PER_ACCOUNT", 2)
    store = kit.store.reports
    first = await store.post(ANN, b"one")
    assert isinstance(first, int)
    assert isinstance(await store.post(ANN, b"two"), int)
    assert await store.post(ANN, b"three") is Full.ACCOUNT
    assert isinstance(await store.post(BOB, b"four"), int)
    await store.close(first, "")
    assert isinstance(await store.post(ANN, b"three"), int)


async def test_in_a_full_queue_the_oldest_closed_one_goes(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L, "REPORTS_MAX", 3)
    store = kit.store.reports
    numbers = [await store.post(ANN, bytes([n])) for n in range(3)]
    assert await store.post(BOB, b"more") is Full.QUEUE
    for number in numbers[1:]:
        assert isinstance(number, int)
        await store.close(number, "")
    more = await store.post(BOB, b"more")
    assert isinstance(more, int)
    assert isinstance(numbers[1], int)
    assert await store.get(numbers[1]) is None
    assert [case.number for case in await store.cases(closed=True, after=0, limit=9)] == numbers[2:]
    assert [case.number for case in await store.cases(closed=False, after=0, limit=9)] == [numbers[0], more]


async def test_numbers_are_never_given_twice(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L, "REPORTS_MAX", 1)
    store = kit.store.reports
    first = await store.post(ANN, b"one")
    assert isinstance(first, int)
    await store.close(first, "")
    second = await store.post(ANN, b"two")
    assert isinstance(second, int)
    assert second > first
