"""The hashed features of a reader and some posts, as ``heads`` wants them. Zero is "none"."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from extensions.ranking.catalog import COLUMNS, OWN, Catalog, Slots
from extensions.ranking.heads import Hashes
from protocol.scoring.hashing import FIRST, SECOND, STEP, mix, name
from protocol.scoring.local import AGES as AGE_COUNT
from protocol.scoring.local import FOLLOWED, HOUR_MS, TAG_FEATURES

AGES: Final = np.array([name("age", b"%d" % power) for power in range(AGE_COUNT)], dtype=np.uint64)


def mix_many(numbers: Hashes) -> Hashes:
    """``protocol.scoring.hashing.mix`` of each."""
    numbers = numbers + np.uint64(STEP)
    numbers = (numbers ^ numbers >> np.uint64(30)) * np.uint64(FIRST)
    numbers = (numbers ^ numbers >> np.uint64(27)) * np.uint64(SECOND)
    mixed: Hashes = numbers ^ numbers >> np.uint64(31)
    return mixed


def of(catalog: Catalog, reader: int, slots: Slots, followed: NDArray[np.bool_], now_ms: int) -> Hashes:
    """Features of some posts for a reader (its number): shape (posts, COLUMNS + 3 + TAG_FEATURES)."""
    posts = catalog.features[slots]
    personal = np.concatenate((posts[:, :1], posts[:, OWN:]), axis=1)
    crossed = mix_many(np.uint64(reader) ^ mix_many(personal))
    crossed[personal == 0] = 0
    hours = np.maximum(0, now_ms - catalog.at_ms[slots]) // HOUR_MS
    ages = AGES[np.minimum(AGE_COUNT - 1, np.log2(hours + 1).astype(np.int64))]
    follow = np.where(followed, np.uint64(FOLLOWED), np.uint64(0))
    return np.concatenate((posts, crossed, ages[:, None], follow[:, None]), axis=1)


def of_one(catalog: Catalog, reader: int, slot: int, followed: bool, now_ms: int) -> Hashes:
    """Features of one post, without those that it lacks: what ``of`` says, some times faster."""
    own = catalog.features[slot].tolist()
    crossed = [mix(reader ^ mix(number)) for number in (own[0], *own[OWN:]) if number]
    hours = max(0, now_ms - int(catalog.at_ms[slot])) // HOUR_MS
    age = int(AGES[min(AGE_COUNT - 1, int(math.log2(hours + 1)))])
    found = [*(number for number in own if number), *crossed, age]
    return np.array([*found, FOLLOWED] if followed else found, dtype=np.uint64)


def personal_keys(reader: int, authors: list[int], tags: list[int]) -> Hashes:
    """The features that hold what is known of one reader and these authors and tags."""
    return np.array([mix(reader ^ mix(number)) for number in (*authors, *tags)], dtype=np.uint64)


assert COLUMNS == OWN + TAG_FEATURES
