"""The hall: what is in memory, what is read again, and that both are the same."""

from __future__ import annotations

import pytest

from extensions.games import bounds
from extensions.games.hall import Show
from extensions.games.table import Gone, Phase
from protocol.limits import GAME_SPECTATOR_DELAY_MS
from protocol.messages import game as G
from protocol.plies import Kind
from tests.extensions.games.halls import House, account
from tests.protocol.playing import KEYS


async def test_everything_live_is_read_again() -> None:
    house = House()
    offered, played, ended = house.offer(), house.begin(), house.begin()
    house.moves(played, "0", "3", "1")
    house.happens(played, Gone(account(1)))
    house.says(ended, 0, Kind.ABORT)
    house.ask(2, G.Watch(played))
    before = dict(house.hall.tables)
    shows, wakes = house.hall.shows, house.hall.wakes
    hall = house.again()
    await hall.load()
    assert set(hall.tables) == {offered, played}
    assert hall.tables[offered] == before[offered]
    assert hall.tables[played].log.match == before[played].log.match  # type: ignore[union-attr]
    assert hall.tables[played].gone == before[played].gone
    assert hall.tables[played].heard == before[played].heard
    assert (hall.shows, hall.watchers, hall.wakes) == (shows, {played: {account(2)}}, wakes)
    assert hall.clocked == {played}
    assert hall.playing() == [account(0), account(1)]
    table = await hall.find(ended)
    assert table is not None
    assert table.phase is Phase.OVER
    assert await hall.find(b"?" * 32) is None
    assert len(await hall.entries(played, 1)) == 2
    figures = hall.statistics()
    assert (figures.offered, figures.playing, figures.kept, figures.watchers) == (1, 1, 1, 1)


async def test_after_a_rematch_a_table_stays_closed() -> None:
    house = House()
    match = house.begin()
    house.says(match, 0, Kind.ABORT)
    for number in (0, 1):
        house.ask(number, G.Rematch(match, (KEYS[number].public,), bytes([number]) * 32))
    hall = house.again()
    table = await hall.find(match)
    assert table is not None
    assert table.phase is Phase.CLOSED
    house.says(match, 0, Kind.ABORT)
    assert [said.fault for _, said in house.told(G.Refused)] == ["over"]


def test_time() -> None:
    house = House()
    assert house.hall.next_ms() is None
    match = house.begin()
    house.ask(2, G.Watch(match))
    assert house.hall.next_ms() == house.now_ms + GAME_SPECTATOR_DELAY_MS
    assert house.hall.due(house.now_ms) == []
    assert house.hall.due(house.now_ms + 10**6) == [match]


def test_old_tables_leave_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "TABLES_KEPT", 1)
    house = House()
    matches = [house.begin() for _ in range(3)]
    for match in matches:
        house.says(match, 0, Kind.ABORT)
    assert list(house.hall.tables) == [matches[-1]]
    assert Show(b"m", 1, 2, b"s") == Show(b"m", 1, 2, b"s")
