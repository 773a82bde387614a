"""Which posts are scored, and why."""

from __future__ import annotations

import numpy as np
import pytest

from extensions.ranking import bounds as B
from extensions.ranking import candidates as C
from extensions.ranking.candidates import Index, Pool, collect, neighbours_of
from extensions.ranking.catalog import Catalog
from extensions.ranking.readers import Reader
from tests.extensions.ranking.worlds import posts


def world(count: int = 30) -> tuple[Catalog, Index]:
    catalog, index = Catalog(), Index()
    for post in posts(count):
        slot = catalog.add(post, 0)
        index.add(post, slot, int(catalog.serial[slot]))
    return catalog, index


def none() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.zeros(0, dtype=np.int64)


def test_the_first_reason_names_a_post() -> None:
    catalog, index = world()
    reader = Reader(1, follows={b"author1": None})
    found = collect(catalog, index, reader, np.array([2]), np.array([3, 13]), np.array([3, 4]))
    assert {slot for slot, source in found.items() if source == "follows"} == {1, 13, 25}
    assert found[3] == "company"
    assert found[4] == "popular"
    assert found[7] == found[12] == "topics", "same tag as the post read last"
    assert found[0] == "new"
    assert len(found) == 30


def test_candidates_are_bounded_and_live(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog, index = world()
    monkeypatch.setattr(B, "CANDIDATES", 8)
    catalog.remove(29)
    found = collect(catalog, index, Reader(1), none(), none(), none())
    assert len(found) == 8
    assert 29 not in found
    pool = Pool(catalog)
    pool.add("new", index.newest(), 3)
    assert len(pool.source_of) == 3


def test_a_post_with_new_tags_is_found_by_them_once() -> None:
    catalog, index = world(3)
    changed = posts(3)[1]
    for _ in range(2):
        index.add(changed, 1, int(catalog.serial[1]))
    assert index.of_tags(["tag1"]) == [(1, 2)]
    assert index.of_authors([b"author1", b"nobody"]) == [(1, 2)]
    assert len(index.newest()) == 3


def test_indexes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(C, "_INDEXED_MAX", 2)
    _, index = world(4)
    assert index.of_authors([b"author0", b"author1"]) == []
    assert len(index.of_authors([b"author2", b"author3"])) == 2


def test_neighbours_of_the_most_recent_come_first() -> None:
    others = np.array([[3, 5], [4, 3], [-1, -1]])
    assert neighbours_of(others, np.array([1, 0])).tolist() == [4, 3, 5]
    assert neighbours_of(others, none()).tolist() == []


def test_back_from_its_state() -> None:
    _, index = world()
    again = Index.restored(index.state())
    assert again.newest() == index.newest()
    assert again.of_tags(["tag1"]) == index.of_tags(["tag1"])
    assert again.of_authors([b"author1"]) == index.of_authors([b"author1"])
