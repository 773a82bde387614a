"""Proof of work: solutions are found, checked, and fit nothing else."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from protocol.limits import INT_MAX
from protocol.puzzle import DOMAIN, Puzzle, search, solves

PUZZLE = Puzzle(bytes(range(16)), b"a" * 32, b"n" * 32, 10)


def test_a_solution_is_found_and_fits_this_puzzle_alone() -> None:
    proof = search(PUZZLE, 0, 1 << 16)
    assert proof is not None
    assert solves(PUZZLE, proof)
    assert not any(solves(PUZZLE, other) for other in range(proof))
    changes: list[dict[str, object]] = [{"cluster": b"c" * 16}, {"account": b"b" * 32}, {"nonce": b"m" * 32}]
    assert not any(solves(msgspec.structs.replace(PUZZLE, **change), proof) for change in changes)


def test_the_definition() -> None:
    """As SPEC.md says it, computed another way."""
    proof = search(PUZZLE, 0, 1 << 16)
    assert proof is not None
    text = DOMAIN + PUZZLE.cluster + PUZZLE.account + PUZZLE.nonce + proof.to_bytes(8, "big")
    digest = hashlib.sha256(text).digest()
    assert "".join(f"{byte:08b}" for byte in digest).startswith("0" * PUZZLE.bits)


@pytest.mark.parametrize("proof", [-1, INT_MAX + 1, 1 << 64])
def test_numbers_out_of_bounds_solve_nothing(proof: int) -> None:
    assert not solves(msgspec.structs.replace(PUZZLE, bits=0), proof)
    assert solves(msgspec.structs.replace(PUZZLE, bits=0), INT_MAX)


def test_a_search_ends() -> None:
    assert search(msgspec.structs.replace(PUZZLE, bits=200), 5, 100) is None
    proof = search(PUZZLE, 0, 1 << 16)
    assert proof is not None
    assert search(PUZZLE, proof, 1) == proof
