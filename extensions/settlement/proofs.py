"""Inclusion proofs of many receipts at once: neighbours share most of their nodes, so each is computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from protocol.receipts import NodeOf, inclusion_proof, node_hash

BLOCK_LEVEL: Final = 8  # of the subtrees that the store keeps; what lies below is made from leaves here


def prove_many(
    indices: Sequence[int], size: int, node: NodeOf, leaves: Mapping[int, bytes]
) -> list[list[bytes]]:  # fmt: skip
    """The audit paths of some leaves in a tree of ``size``.

    ``leaves``: those of all blocks of 2^BLOCK_LEVEL in which the wanted ones lie; what is missing is asked of ``node``.
    Raises ``ValueError`` out of range.
    """
    known: dict[tuple[int, int], bytes] = {(0, index): leaf for index, leaf in leaves.items()}

    def of(level: int, index: int) -> bytes:
        found = known.get((level, index))
        if found is None:
            if 0 < level <= BLOCK_LEVEL and index << level in leaves:
                found = node_hash(of(level - 1, 2 * index), of(level - 1, 2 * index + 1))
            else:
                found = node(level, index)
            known[level, index] = found
        return found

    return [inclusion_proof(index, size, of) for index in indices]
