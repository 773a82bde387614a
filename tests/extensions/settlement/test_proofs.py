"""Proofs of many receipts at once are those of each alone."""

from __future__ import annotations

import pytest

from extensions.settlement.proofs import BLOCK_LEVEL, prove_many
from protocol.receipts import Frontier, leaf_hash, node_hash, verify_inclusion


@pytest.mark.parametrize(("size", "indices"), [(1, [0]), (300, [0, 255, 256, 299]), (1000, [3, 700, 999])])
def test_proofs(size: int, indices: list[int]) -> None:
    leaves = [leaf_hash(bytes(32), b"%d" % n) for n in range(size)]
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)

    def node(level: int, index: int) -> bytes:
        row = leaves[index << level : (index + 1) << level]
        while len(row) > 1:
            row = [node_hash(row[n], row[n + 1]) for n in range(0, len(row), 2)]
        return row[0]

    blocks = {index >> BLOCK_LEVEL for index in indices}
    known = {n: leaf for n, leaf in enumerate(leaves) if n >> BLOCK_LEVEL in blocks}
    for index, proof in zip(indices, prove_many(indices, size, node, known), strict=True):
        assert verify_inclusion(leaves[index], index, size, proof, frontier.root())
    with pytest.raises(ValueError, match=r".*"):
        prove_many([size], size, node, known)
