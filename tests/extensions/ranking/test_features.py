"""Hashed features of a reader and posts."""

from __future__ import annotations

import numpy as np

from extensions.ranking import features
from extensions.ranking.catalog import COLUMNS, Catalog
from extensions.ranking.events import Post
from protocol.scoring.hashing import cross, name
from protocol.scoring.local import FOLLOWED, TAG_FEATURES

HOUR = 3_600_000


def test_a_row_holds_the_post_the_pair_the_age_and_the_follow() -> None:
    catalog = Catalog()
    slots = np.array([catalog.add(Post(b"p", b"ann", 0, ("x",)), 0), catalog.add(Post(b"q", b"bob", 9 * HOUR), 0)])
    reader = name("reader", b"me")
    rows = features.of(catalog, reader, slots, np.array([True, False]), 9 * HOUR)
    assert rows.shape == (2, COLUMNS + 3 + TAG_FEATURES)
    author, tag = name("author", b"ann"), name("tag", b"x")
    assert rows[0, COLUMNS] == cross(reader, author)
    assert rows[0, COLUMNS + 1] == cross(reader, tag)
    assert rows[1, COLUMNS + 1] == 0, "no tag, no pair"
    assert rows[:, -2].tolist() == [features.AGES[3], features.AGES[0]]
    assert rows[:, -1].tolist() == [FOLLOWED, 0]
    assert features.personal_keys(reader, [author], [tag]).tolist() == rows[0, COLUMNS : COLUMNS + 2].tolist()


def test_one_post_has_the_same_features_as_among_others() -> None:
    catalog = Catalog()
    posts = [Post(b"p%d" % n, b"a%d" % (n % 3), n * HOUR, ("x", "y", "z")[: n % 4], media=n % 2) for n in range(40)]
    slots = np.array([catalog.add(post, 0) for post in posts])
    for now in (0, 20 * HOUR, 40_000 * HOUR):
        for followed in (False, True):
            rows = features.of(catalog, 7, slots, np.full(40, followed), now)
            for slot, row in zip(slots.tolist(), rows, strict=True):
                assert features.of_one(catalog, 7, slot, followed, now).tolist() == row[row != 0].tolist()


def test_a_post_from_the_future_is_of_this_hour() -> None:
    catalog = Catalog()
    slots = np.array([catalog.add(Post(b"p", b"ann", 99 * HOUR), 0)])
    assert features.of(catalog, 1, slots, np.array([False]), 0)[0, -2] == features.AGES[0]
