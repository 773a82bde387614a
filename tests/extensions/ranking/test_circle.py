"""One circle's log: what was written comes back, what is to go goes, and a circle that is gone takes nothing in."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import pytest

from extensions.ranking import bounds as B
from extensions.ranking import circle as module
from extensions.ranking import events as E
from extensions.ranking.circle import Circle, dropped, kept, made, number_of
from extensions.ranking.ranker import Settings, served
from extensions.ranking.shop import Write

ANN, BOB, CEM, POST, NOTE, TOPIC = (letter * 32 for letter in (b"a", b"b", b"c", b"p", b"n", b"t"))


class Database:
    """A worker's own tables."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:", check_same_thread=False)
        self.db.executescript(module.TABLES)

    def query(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self.db.execute(sql, values).fetchall()

    def write(self, writes: Sequence[Write]) -> None:
        for write in writes:
            write(self.db)

    def open(self, topic: bytes = TOPIC) -> Circle:
        number = number_of(self.query, topic)
        assert number is not None
        return Circle(number, self.query)

    def tables(self) -> list[str]:
        return [name for (name,) in self.query("SELECT name FROM sqlite_master WHERE name LIKE 'rank_circle__%'")]


@pytest.fixture
def database() -> Database:
    database = Database()
    database.write([made(TOPIC, ANN)])
    return database


def test_what_is_written_comes_back(database: Database) -> None:
    circle = database.open()
    assert circle.apply([]) == []
    database.write(circle.apply([E.Post(POST, ANN, 1_000, ("sea",)), E.Signal(BOB, POST, "view", 1.0, 1_001)]))
    database.write(circle.consented(BOB, undo=False))
    database.write(circle.consented(CEM, undo=False))
    database.write(circle.consented(CEM, undo=True))
    page = circle.ranker.page(CEM, 2_000, Settings())
    database.write(circle.note([served(page)]))
    again = database.open()
    assert again.readers == circle.readers == {BOB}
    assert again.ranker.statistics() == circle.ranker.statistics()
    assert again.ranker.export(BOB) == circle.ranker.export(BOB)
    assert again.places == {}


def test_a_member_who_is_put_out(database: Database) -> None:
    circle = database.open()
    events: list[E.AnyEvent] = [E.Post(POST, ANN, 1_000), E.Note(NOTE, POST, ANN, 1_000)]
    for account in (BOB, CEM):
        database.write(circle.consented(account, undo=False))
        events += [E.Follow(account, ANN, 1_001), E.Signal(account, POST, "like", 1.0, 1_002)]
        events += [E.NoteRating(NOTE, account, 1_003, 1.0)]
    database.write(circle.apply(events))
    circle.put_out({ANN, CEM}, ())
    database.write([kept(TOPIC, [ANN, CEM])])
    again = database.open()
    for one in (circle, again):
        assert one.readers == {CEM}
        assert not any(one.ranker.export(BOB).values())
        assert one.ranker.export(CEM)["engaged"]
    assert not database.query("SELECT 1 FROM rank_circle_1 WHERE reader = ?", (BOB,))
    database.write(circle.forget(CEM, 2_000))
    assert not any(circle.ranker.export(CEM).values())
    assert database.query("SELECT reader FROM rank_circle_1") == [(None,), (None,)]
    assert database.open().readers == {CEM}  # who forgets has still opted in


def test_what_was_decided_before_somebody_was_put_out_is_not_written_after_it(database: Database) -> None:
    out: set[bytes] = set()
    circle = Circle(1, database.query, out.__contains__)
    late = circle.consented(BOB, undo=False) + circle.apply([E.Follow(BOB, ANN, 1_000), E.Post(POST, ANN, 1_000)])
    out.add(BOB)
    circle.put_out({ANN}, {BOB})
    database.write([kept(TOPIC, [ANN])])
    database.write(late)
    again = database.open()
    assert again.readers == set()
    assert database.query("SELECT reader FROM rank_circle_1") == [(None,)]


def test_a_circle_that_is_gone(database: Database) -> None:
    circle = database.open()
    late = circle.apply([E.Post(POST, ANN, 1_000)]) + circle.consented(BOB, undo=False) + circle.forget(BOB, 1_000)
    database.write([dropped(TOPIC), dropped(TOPIC), kept(TOPIC, [])])
    assert database.tables() == []
    assert number_of(database.query, TOPIC) is None
    database.write(late)
    database.write([made(TOPIC, ANN), made(TOPIC, ANN)])  # again, under another number: what is late is still late
    database.write(late)
    assert number_of(database.query, TOPIC) == 2
    again = database.open()
    assert (again.readers, again.ranker.statistics().events) == (set(), 0)


def test_how_many_there_may_be(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(B, "CIRCLES_OF_ONE", 2)
    monkeypatch.setattr(B, "CIRCLES_MAX", 3)
    topics = [bytes([n]) * 32 for n in range(4)]
    database.write([made(topics[0], ANN), made(topics[1], ANN)])  # of which the second is the third of ann's
    assert number_of(database.query, topics[1]) is None
    database.write([made(topics[2], BOB), made(topics[3], BOB)])  # and this the fourth of all
    assert number_of(database.query, topics[2]) is not None
    assert number_of(database.query, topics[3]) is None


def test_time_for_what_bridges(database: Database) -> None:
    circle = database.open()
    assert circle.tick(10**6) == []  # nothing was said
    database.write(circle.apply([E.Post(POST, ANN, 1_000)]))
    database.write(circle.tick(10**6))
    assert circle.tick(10**6 + B.CIRCLE_TICK_MS) == []
    circle.apply([E.Post(NOTE, ANN, 1_000)])
    assert circle.tick(10**6 + B.CIRCLE_JUDGED_MS) == []
    circle.apply([E.NoteRating(NOTE, BOB, 1_000, 1.0)])
    assert circle.tick(10**6 + B.CIRCLE_JUDGED_MS)
    events = [E.from_bytes(row) for (row,) in database.query("SELECT event FROM rank_circle_1 ORDER BY n")]
    assert [type(event) for event in events] == [E.Post, E.Tick]


@pytest.mark.parametrize(("bound", "most"), [("CIRCLE_EVENTS_MAX", 8), ("CIRCLE_BYTES_MAX", 800)])
def test_a_log_keeps_its_newest_part(
    database: Database, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(B, bound, most)
    circle = database.open()
    for n in range(30):
        database.write(circle.apply([E.Post(n.to_bytes(32, "big"), ANN, 1_000 + n)]))
        ((rows, size),) = database.query("SELECT count(*), total(length(event)) FROM rank_circle_1")
        assert (rows if bound == "CIRCLE_EVENTS_MAX" else size) <= most
        if circle.is_worn:
            circle = database.open()  # as at the end of the batch
            assert not circle.is_worn
            assert circle.ranker.statistics().posts == rows
    assert circle.ranker.learner.catalog.slot_of.keys() <= {n.to_bytes(32, "big") for n in range(20, 30)}
