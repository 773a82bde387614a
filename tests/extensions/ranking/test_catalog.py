"""Posts in slots."""

from __future__ import annotations

from extensions.ranking.catalog import Catalog, shape_of
from extensions.ranking.events import Post
from tests.extensions.ranking.worlds import posts


def test_a_slot_is_used_again_under_another_serial() -> None:
    catalog = Catalog()
    slots = [catalog.add(post, 1) for post in posts(5)]
    serial = int(catalog.serial[slots[2]])
    catalog.remove(slots[2])
    assert len(catalog) == 4
    assert slots[2] not in catalog.slots().tolist()
    again = catalog.add(Post(b"new", b"a", 5), 2)
    assert again == slots[2]
    assert int(catalog.serial[again]) > serial
    assert sorted(catalog.slots().tolist()) == sorted(catalog.slot_of.values())


def test_it_grows_and_comes_back_from_its_state() -> None:
    catalog = Catalog()
    for post in posts(1500):
        catalog.add(post, 1)
    catalog.remove(7)
    again = Catalog.restored(catalog.state())
    assert again.slot_of == catalog.slot_of
    assert again.slots().tolist() == catalog.slots().tolist()
    assert again.features[:1500].tolist()[8:] == catalog.features[:1500].tolist()[8:]
    assert again.add(Post(b"new", b"a", 5), 2) == 7


def test_the_untouched_are_the_oldest() -> None:
    catalog = Catalog()
    for number, post in enumerate(posts(4)):
        catalog.add(post, number)
    catalog.touched[0] = 99
    assert catalog.oldest(2).tolist() == [1, 2]


def test_a_new_version_has_other_features() -> None:
    catalog = Catalog()
    slot = catalog.add(Post(b"p", b"a", 1, ("x", "y")), 1)
    before = catalog.features[slot].tolist()
    catalog.change(slot, Post(b"p", b"a", 1, ("x",), media=1))
    after = catalog.features[slot].tolist()
    assert (before[0], before[3:5]) == (after[0], after[3:5])
    assert before[5] != after[5] == 0
    assert before[2] != after[2]
    assert catalog.post(slot).media == 1


def test_lengths_count_in_powers_of_two() -> None:
    assert shape_of(Post(b"p", b"a", 1, words=33)) == shape_of(Post(b"q", b"b", 2, words=63))
    assert shape_of(Post(b"p", b"a", 1, words=33)) != shape_of(Post(b"p", b"a", 1, words=64))
