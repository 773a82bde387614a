"""What is known of readers."""

from __future__ import annotations

import pytest

from extensions.ranking import bounds as B
from extensions.ranking.catalog import Catalog
from extensions.ranking.readers import ENGAGED, VIEWED, Readers
from tests.extensions.ranking.worlds import posts


def test_a_history_is_most_recent_first_bounded_and_without_dead_posts() -> None:
    catalog, reader = Catalog(), Readers().want(b"r", 1)
    slots = [catalog.add(post, 0) for post in posts(B.HISTORY + 5)]
    for slot in slots:
        reader.engage(slot, int(catalog.serial[slot]))
    assert reader.history(catalog).tolist() == slots[:4:-1]
    catalog.remove(slots[-1])
    assert reader.history(catalog).tolist() == slots[-2:4:-1]
    assert reader.engaged == len(slots)
    assert not len(Readers().want(b"new", 1).history(catalog))


def test_marks_are_counted_once_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(B, "SEEN_MAX", 3)
    reader = Readers().want(b"r", 1)
    assert reader.mark(1, VIEWED)
    assert not reader.mark(1, VIEWED)
    assert reader.mark(1, ENGAGED)
    reader.acts[1] = 5
    for serial in (2, 3, 4):
        reader.mark(serial, VIEWED)
    assert list(reader.done) == [2, 3, 4]
    assert not reader.acts


def test_those_away_for_longest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(B, "READERS_MAX", 16)
    readers = Readers()
    for number in range(16):
        readers.want(b"r%d" % number, number)
    readers.want(b"r0", 99)
    readers.want(b"new", 100)
    assert len(readers) == 15
    assert readers.get(b"r0") is not None
    assert readers.get(b"r1") is None
    assert {reader.touched for reader in readers} >= {99, 100}


def test_back_from_its_state() -> None:
    readers = Readers()
    reader = readers.want(b"r", 3)
    reader.mark(1, VIEWED)
    reader.follows[b"a"] = None
    reader.less[7] = None
    reader.authors[9] = 2
    again = Readers.restored(readers.state())
    assert again.get(b"r") == reader
    again.drop(b"r")
    assert not len(again)
