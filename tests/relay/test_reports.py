"""The relay's desk for reports: who may post how much, and what it says."""

from __future__ import annotations

import pytest

from protocol import limits as L
from protocol.errors import Code
from relay import reports as module
from relay.reports import ReportDesk
from storage.base import Refused
from storage.casework import Waiting
from storage.memory import MemoryStore
from tests.contracts.kit import START_MS, Clock, Kit, key

KEY, ANN, BOB, EVE = key("report key"), key("ann"), key("bob"), key("eve")


@pytest.fixture
def kit() -> Kit:
    clock = Clock()
    return Kit(MemoryStore(clock_ms=clock), clock)


def opened(kit: Kit, report_key: bytes = KEY) -> ReportDesk:
    return ReportDesk(kit.store.reports, report_key, kit.clock)


def refused(outcome: object, code: Code) -> Refused:
    assert isinstance(outcome, Refused)
    assert outcome.code == code
    return outcome


async def test_a_report_is_kept_counted_and_closed(kit: Kit) -> None:
    desk = opened(kit)
    assert desk.key() == KEY
    number = await desk.post(ANN, KEY, b"sealed")
    assert isinstance(number, int)
    assert desk.statistics() == Waiting(1, START_MS)
    again = opened(kit)
    assert again.statistics() == Waiting(0, 0)
    await again.load()
    assert again.statistics() == Waiting(1, START_MS)
    assert await desk.close(number, "done")
    assert desk.statistics() == Waiting(0, 0)
    assert not await desk.close(number + 1, "")


async def test_without_a_key_there_are_no_reports(kit: Kit) -> None:
    desk = opened(kit, b"")
    assert "takes no reports" in refused(desk.key(), Code.NOT_FOUND).text
    refused(await desk.post(ANN, KEY, b"sealed"), Code.NOT_FOUND)
    assert (await kit.store.reports.waiting()).count == 0


async def test_what_is_sealed_to_an_older_key_is_not_taken(kit: Kit) -> None:
    assert "seal it anew" in refused(await opened(kit).post(ANN, key("older"), b"sealed"), Code.CONFLICT).text


async def test_reports_are_counted_by_account(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPORTERS_MAX", 2)
    desk = opened(kit)
    for number in range(L.REPORTS_BURST):
        assert isinstance(await desk.post(ANN, KEY, bytes([number])), int)
    refusal = refused(await desk.post(ANN, KEY, b"one more"), Code.RATE)
    assert refusal.retry_ms
    assert isinstance(await desk.post(BOB, KEY, b"bob's"), int)
    kit.clock.pass_ms(refusal.retry_ms)
    assert isinstance(await desk.post(ANN, KEY, b"one more"), int)
    await desk.post(EVE, KEY, b"eve's")  # Bob is forgotten: he has not been here for longest
    assert set(desk._rates) == {ANN, EVE}


async def test_a_full_queue_is_said(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L, "REPORTS_WAITING_PER_ACCOUNT", 1)
    desk = opened(kit)
    assert isinstance(await desk.post(ANN, KEY, b"1"), int)
    assert "too many of your reports" in refused(await desk.post(ANN, KEY, b"2"), Code.QUOTA).text
    monkeypatch.setattr(L, "REPORTS_MAX", 1)
    assert "queue of reports is full" in refused(await desk.post(BOB, KEY, b"3"), Code.QUOTA).text
