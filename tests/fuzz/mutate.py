"""Mutation by a seeded generator: accidents to bytes, and accidents to the values that they stand for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

import msgpack

from tests.fuzz.mutations import BOUNDARIES, HEADS

BYTES_MAX: Final = 4096  # longer inputs are slower, not stranger
VALUES: Final = (
    None, True, False, "", "\u202e", "a" * 33, b"", bytes(16), bytes(32), bytes(64), 0.5, float("nan"), float("inf"),
    [], {}, [[]], {"": 0}, msgpack.ExtType(5, b""), *BOUNDARIES,
)  # fmt: skip


def mutate(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """``data`` after one to four accidents, one time in three to its values."""
    if rng.random() < 0.33:
        data = _values(rng, data)
    for _ in range(rng.randint(1, 4)):
        data = _bytes(rng, data, corpus)
    return data[:BYTES_MAX]


def _bytes(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    place = rng.randrange(len(data) + 1)
    end = min(len(data), place + rng.randint(0, 8))
    match rng.randrange(8):
        case 0:
            return data[:place] + bytes(byte ^ (1 << rng.randrange(8)) for byte in data[place:end]) + data[end:]
        case 1:
            return data[:place]
        case 2:
            return data[:place] + data[end:]
        case 3:
            return data[:end] + data[place:]
        case 4:
            return data[:place] + rng.randbytes(rng.randint(1, 6)) + data[place:]
        case 5:
            return data[:place] + rng.choice(HEADS) + data[place + 1 :]
        case 6:
            other = rng.choice(corpus)
            return data[:place] + other[rng.randrange(len(other) + 1) :]
        case _:
            return data


def _values(rng: random.Random, data: bytes) -> bytes:
    """Put something else into the place of one value; bytes that are no MessagePack stay as they are."""
    try:
        value = msgpack.unpackb(data, strict_map_key=False)
        changed: bytes = msgpack.packb(_changed(rng, value, 0))
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.exceptions.UnpackException):
        return data
    return changed


def _changed(rng: random.Random, value: Any, depth: int) -> Any:
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        if rng.random() < 0.2:
            return value[:place] + value[place : place + 1] * rng.randint(0, 3) + value[place + 1 :]
        return [_changed(rng, item, depth + 1) if n == place else item for n, item in enumerate(value)]
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        return {**value, key: _changed(rng, value[key], depth + 1)}
    if rng.random() < 0.1:
        return [value] * rng.choice((1, 2, 300))
    return rng.choice(VALUES)
