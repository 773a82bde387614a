"""Spectators: late, public, and told of the end."""

from __future__ import annotations

import pytest

from extensions.games import bounds
from extensions.games.spectators import due_shows
from protocol.limits import GAME_SPECTATOR_DELAY_MS
from protocol.messages import game as G
from protocol.plies import Kind
from tests.extensions.games.halls import House, account


def test_late_and_public() -> None:
    house = House()
    match = house.begin(game="eights", clock="none")
    house.ask(2, G.Watch(match))
    assert not due_shows(house.hall, house.now_ms + GAME_SPECTATOR_DELAY_MS - 1)
    shown = due_shows(house.hall, house.now_ms + GAME_SPECTATOR_DELAY_MS)
    ((to, body),) = shown.says
    assert to == account(2)
    assert isinstance(body, G.Shown)
    assert body.seen == house.hall.referee.games["eights"].observe(house.hall.tables[match].log.match.state, None)  # type: ignore[union-attr]
    shown.write(house.db)
    shown.adopt(house.hall)
    assert house.hall.shows == {}
    assert house.query("SELECT * FROM shows") == []


def test_the_end() -> None:
    house = House()
    match = house.begin()
    house.ask(2, G.Watch(match))
    house.says(match, 0, Kind.RESIGN)
    later = house.now_ms + GAME_SPECTATOR_DELAY_MS
    first = due_shows(house.hall, later - 1000)
    assert [type(body) for _, body in first.says] == [G.Shown]
    shown = due_shows(house.hall, later)
    assert [type(body) for _, body in shown.says][-1] is G.Closed
    shown.write(house.db)
    shown.adopt(house.hall)
    assert (house.hall.watchers, house.hall.shows) == ({}, {})


def test_bounded_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "SAYS", 1)
    house = House()
    match = house.begin()
    for number in (2, 3):
        house.ask(number, G.Watch(match))
    house.moves(match, "0")
    later = house.now_ms + GAME_SPECTATOR_DELAY_MS
    assert len(due_shows(house.hall, later).shown) == 1
    del house.hall.tables[match]
    assert due_shows(house.hall, later).says == []
