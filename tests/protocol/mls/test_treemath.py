"""Index arithmetic of the array tree (RFC 9420 appendix C)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.mls import treemath
from tests.protocol.mls.vector_table import check_file


def test_official_vectors() -> None:
    check_file("tree-math.json", at_least=10)


@pytest.mark.parametrize(("leaves", "size"), [(0, 1), (1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (1000, 1024)])
def test_full_size(leaves: int, size: int) -> None:
    assert treemath.full_size(leaves) == size


@pytest.mark.parametrize("node", [-1, 7, 70_000])
def test_paths_of_nodes_outside_the_tree(node: int) -> None:
    with pytest.raises(ValueError, match="outside a tree of 4 leaves"):
        treemath.direct_path(node, 4)


@given(st.integers(0, 12).map(lambda d: 2**d), st.data())
def test_paths_and_subtrees_agree(leaves: int, data: st.DataObject) -> None:
    a = data.draw(st.integers(0, leaves - 1)) * 2
    b = data.draw(st.integers(0, leaves - 1)) * 2
    path = [a, *treemath.direct_path(a, leaves)]
    assert path[-1] == treemath.root(leaves)
    meeting = treemath.common_ancestor(a, b)
    assert meeting == next(node for node in path if node == b or node in treemath.direct_path(b, leaves))
    for node in path:
        assert treemath.is_below(a, node)
        assert a // 2 in treemath.leaves_below(node)
        assert treemath.is_below(b, node) == (b // 2 in treemath.leaves_below(node))
