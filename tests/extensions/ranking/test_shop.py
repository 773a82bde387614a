"""A ranker and its log: what was written is what comes back."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import pytest

from extensions.ranking import events as E
from extensions.ranking import shop as module
from extensions.ranking.shop import TABLES, Shop, Write

ANN, BOB, POST = b"a" * 32, b"b" * 32, b"p" * 32


class Database:
    """A worker's own tables."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:")
        self.db.executescript(TABLES)

    def query(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self.db.execute(sql, values).fetchall()

    def write(self, writes: Sequence[Write]) -> None:
        for write in writes:
            write(self.db)


def test_what_is_written_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ", 2)
    database = Database()
    shop = Shop(database.query)
    events: list[E.AnyEvent] = [
        E.Post(POST, ANN, 1_000, ("sea",)), E.Follow(BOB, ANN, 1_001), E.Signal(BOB, POST, "view", 1.0, 1_002)
    ]  # fmt: skip
    database.write(shop.apply(events))
    assert shop.apply([]) == []
    database.write(shop.placed({POST: (ANN, 7), ANN: (ANN, 8)}, []))
    database.write(shop.placed({}, [ANN, BOB]))
    database.write(shop.edited([(POST, 9), (POST, 8), (BOB, 9)]))  # of what is not known there is no version
    assert shop.edited([(POST, 9)]) == []
    database.write(shop.passed(3, 1, 40))
    database.write(shop.passed(3, 1, 41))
    database.write(shop.consented(BOB, undo=False))
    database.write(shop.consented(ANN, undo=False))
    database.write(shop.consented(ANN, undo=True))
    again = Shop(database.query)
    assert (again.number, again.places, again.shards, again.readers) == (3, {POST: (ANN, 7)}, {3: (1, 41)}, {BOB})
    assert again.edits == shop.edits == {POST: 9}
    database.write(again.placed({POST: (ANN, 7)}, []))
    assert Shop(database.query).edits == {POST: 9}
    database.write(again.placed({}, [POST]))
    assert again.edits == Shop(database.query).edits == {}
    assert again.ranker.statistics() == shop.ranker.statistics()
    assert again.ranker.export(BOB) == shop.ranker.export(BOB)


def test_what_was_not_written_is_forgotten() -> None:
    database = Database()
    shop = Shop(database.query)
    shop.apply([E.Post(POST, ANN, 1_000)])  # and the write fails
    shop.stale = True
    shop.load()
    assert (shop.number, shop.stale, shop.ranker.statistics().posts) == (0, False, 0)


def test_the_log_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SNAPSHOT_EVERY", 10), ("LOG_EVENTS_MAX", 15), ("LOG_SLICE", 12)):
        monkeypatch.setattr(module, name, value)
    database = Database()
    shop = Shop(database.query)
    kept = []
    for n in range(6):
        database.write(
            shop.apply([E.Post((10 * n + m).to_bytes(32, "big"), ANN, 1_000 + 10 * n + m) for m in range(10)])
        )
        database.write(shop.snapshot())
        kept.append([number for (number,) in database.query("SELECT n FROM rank_log ORDER BY n")])
    assert [(numbers[0], numbers[-1]) for numbers in kept] == [(1, 10), (6, 20), (16, 30), (26, 40), (36, 50), (46, 60)]
    again = Shop(database.query)
    assert again.ranker.snapshot() == shop.ranker.snapshot()
    assert again.number == shop.number == 60
    monkeypatch.setattr(module, "LOG_EVENTS_MAX", 1)
    database.write(shop.apply([E.Post(bytes([n]) * 32, ANN, 2_000) for n in range(1, 11)]))
    database.write(shop.snapshot())  # no more than a slice at once
    assert len(database.query("SELECT n FROM rank_log")) == 25 - 12
    database.write([lambda db: db.execute("UPDATE rank_snapshot SET data = x'00'")])  # as of another version
    short = Shop(database.query)
    assert (short.number, short.ranker.statistics().posts) == (70, 13)


def test_a_snapshot_saves_most_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SNAPSHOT_EVERY", 2)
    database = Database()
    shop = Shop(database.query)
    database.write(shop.apply([E.Post(POST, ANN, 1_000)]))
    assert shop.snapshot() == []
    database.write(shop.apply([E.Follow(BOB, ANN, 1_001)]))
    database.write(shop.snapshot())
    assert shop.snapshot() == []
    database.write(shop.note([E.Tick(1_002)]))
    shop.ranker.apply(E.Tick(1_002))
    again = Shop(database.query)
    assert (again.number, again.saved) == (3, 2)
    assert again.ranker.snapshot() == shop.ranker.snapshot()
    database.db.execute("UPDATE rank_snapshot SET data = x'00'")  # of another version: the log has everything
    anew = Shop(database.query)
    assert (anew.number, anew.saved) == (3, 0)
    assert anew.ranker.snapshot() == shop.ranker.snapshot()


def test_places_of_what_the_ranker_has_forgotten_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLACES_MAX", 1)
    database = Database()
    shop = Shop(database.query)
    database.write(shop.apply([E.Post(POST, ANN, 1_000)]))
    database.write(shop.placed({ANN: (ANN, 1)}, []))
    database.write(shop.placed({POST: (ANN, 2)}, []))
    database.write(shop.placed({BOB: (BOB, 3)}, []))  # the newest is not judged yet
    assert shop.places == {POST: (ANN, 2), BOB: (BOB, 3)} == Shop(database.query).places


def test_who_is_forgotten_goes_out_of_the_log() -> None:
    database = Database()
    shop = Shop(database.query)
    database.write(shop.apply([E.Post(POST, ANN, 1_000), E.Follow(BOB, ANN, 1_001), E.Follow(ANN, BOB, 1_001)]))
    database.write(shop.apply([E.Signal(BOB, POST, "view", 1.0, 1_002)]))
    database.write(shop.forget(BOB, 1_003))
    assert Shop(database.query).erasing  # a restart before it was done does it
    database.write(shop.apply([E.Follow(BOB, ANN, 1_004)]))  # who begins anew
    database.write(shop.snapshot())
    kept = [E.from_bytes(row) for (row,) in database.query("SELECT event FROM rank_log ORDER BY n")]
    assert [type(event).__name__ for event in kept] == ["Post", "Follow", "Forget", "Follow"]
    again = Shop(database.query)
    assert not again.erasing
    assert again.ranker.snapshot() == shop.ranker.snapshot()
