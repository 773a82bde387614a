"""Proof of work, hashcash-like: what an account spends to be registered where the relay asks for it (ERR 428).

The puzzle is bound to the cluster, the account and the relay's nonce of the very connection, so a solution cannot be
prepared, sold on or used twice. Solution: an integer ``n`` so that H(domain ‖ cluster ‖ account ‖ nonce ‖ u64(n))
begins with ``bits`` zero bits; domain is ``DOMAIN``, a NUL byte included. 2^bits hashes are needed on average.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from protocol.limits import INT_MAX

DOMAIN: Final = b"chappe/v1/registration\0"
_HASH_BITS: Final = 256


class Puzzle(msgspec.Struct, frozen=True, gc=False):
    """What is to be solved."""

    cluster: bytes
    account: bytes
    nonce: bytes  # of the relay's INFO on this connection
    bits: int


def solves(puzzle: Puzzle, proof: int) -> bool:
    """Whether ``proof`` is a solution."""
    return 0 <= proof <= INT_MAX and not _value(puzzle, proof) >> (_HASH_BITS - puzzle.bits)


def search(puzzle: Puzzle, start: int, count: int) -> int | None:
    """The first solution among ``count`` integers from ``start`` on; None: there is none. Blocks: about 1 µs each."""
    prefix = hashlib.sha256(_prefix(puzzle))
    limit = 1 << (_HASH_BITS - puzzle.bits)
    for proof in range(start, start + count):
        attempt = prefix.copy()
        attempt.update(proof.to_bytes(8, "big"))
        if int.from_bytes(attempt.digest(), "big") < limit:
            return proof
    return None


def _prefix(puzzle: Puzzle) -> bytes:
    return DOMAIN + puzzle.cluster + puzzle.account + puzzle.nonce


def _value(puzzle: Puzzle, proof: int) -> int:
    return int.from_bytes(hashlib.sha256(_prefix(puzzle) + proof.to_bytes(8, "big")).digest(), "big")
