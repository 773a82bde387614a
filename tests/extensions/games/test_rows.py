"""Tables as rows."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from extensions.games import rows
from extensions.games.pairing import Seeker
from extensions.games.table import Phase, Player, Terms
from protocol.messages import game as G
from protocol.plies import Kind
from protocol.rules.clocks import parse_spec
from tests.extensions.games.halls import House, account
from tests.protocol.playing import KEYS


def test_a_row_says_all_but_the_log() -> None:
    house = House()
    match = house.begin(game="eights", rated=True, invited=(account(1),))
    table = house.hall.tables[match]
    again = rows.unpacked(rows.packed(table))
    assert again.terms == table.terms
    assert (again.players, again.seed, again.genesis, again.gone) == (
        table.players, table.seed, table.genesis, table.gone
    )  # fmt: skip
    assert again.log is None
    house.says(match, 0, Kind.ABORT)
    house.ask(0, G.Rematch(match, (KEYS[0].public,), b"e" * 32))
    again = rows.unpacked(rows.packed(house.hall.tables[match]))
    assert (again.again[0].account, len(again.fresh)) == (account(0), 64)


def test_a_place_in_the_log_is_taken_once() -> None:
    house = House()
    match = house.begin()
    house.moves(match, "0")
    ((packed,),) = house.query(rows.ENTRIES, (match, 0, 10))
    assert rows.entry_of(packed).statement is not None
    with pytest.raises(sqlite3.IntegrityError):
        rows.put_entries(house.db, [(match, 0, packed)])


def test_what_only_the_row_knows() -> None:
    house = House()
    table = house.hall.tables[house.begin()]
    left = replace(table, gone=(5, None), phase=Phase.CLOSED)
    assert rows.as_left(table, left) == left
    assert rows.as_left(table, replace(left, phase=Phase.PLAYING)).phase is table.phase


def test_ratings() -> None:
    house = House()
    rows.put_rating(house.db, (account(0), "chess", 1600.0, 80.0, 0.06, 3))
    rows.put_rating(house.db, (account(0), "chess", 1610.0, 79.0, 0.06, 4))
    assert house.query(rows.RATING, (account(0), "chess")) == [(1610.0, 79.0, 0.06, 4)]
    rows.put_tables(house.db, [])


def test_seekers_and_colours() -> None:
    house = House()
    player = Player(account(0), (KEYS[0].public,), b"e" * 32)
    seeker = Seeker(player, Terms("go", (("size", 9),), clock=parse_spec("60+5")), 1512.5, -1, 77)
    rows.put_seek(house.db, account(0), seeker)
    assert [rows.seek_of(row) for (row,) in house.query(rows.ALL_SEEKS)] == [seeker]
    rows.put_seek(house.db, account(0), None)
    assert house.query(rows.ALL_SEEKS) == []
    for step in (1, 1, -1):
        rows.put_colour(house.db, account(0), "go", step)
    assert house.query(rows.BALANCE, (account(0), "go")) == [(1,)]
