"""Numbers for features: the same in Python, in numpy and in a browser (with 64-bit integers).

``mix`` is the finalizer of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): a
bijection of 64-bit numbers in which every input bit moves every output bit.
"""

from __future__ import annotations

import hashlib
from typing import Final

MASK: Final = 2**64 - 1
STEP: Final = 0x9E3779B97F4A7C15
FIRST: Final = 0xBF58476D1CE4E5B9
SECOND: Final = 0x94D049BB133111EB


def mix(number: int) -> int:
    """A 64-bit number, well mixed."""
    number = (number + STEP) & MASK
    number = (number ^ number >> 30) * FIRST & MASK
    number = (number ^ number >> 27) * SECOND & MASK
    return number ^ number >> 31


def cross(one: int, other: int) -> int:
    """The number of two features together."""
    return mix(one ^ mix(other))


def name(kind: str, value: bytes) -> int:
    """The number of a value of some kind (author, tag, reader): 64 bits of BLAKE2b, never 0."""
    digest = hashlib.blake2b(value, digest_size=8, person=kind.encode()[:16]).digest()
    return int.from_bytes(digest, "little") | 1
