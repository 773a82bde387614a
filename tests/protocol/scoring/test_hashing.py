"""Numbers for features."""

from __future__ import annotations

import numpy as np

from extensions.ranking.features import mix_many
from protocol.scoring.hashing import MASK, cross, mix, name


def test_the_published_values_of_splitmix64() -> None:
    """The first outputs of SplitMix64 with seed 0."""
    assert [mix(0), mix(0x9E3779B97F4A7C15)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_numpy_mixes_the_same() -> None:
    numbers = np.array([0, 1, 2**40, MASK], dtype=np.uint64)
    assert mix_many(numbers).tolist() == [mix(number) for number in numbers.tolist()]


def test_names_differ_by_kind_and_are_never_zero() -> None:
    assert name("author", b"x") != name("tag", b"x")
    assert name("tag", b"") & 1
    assert cross(1, 2) != cross(2, 1)
