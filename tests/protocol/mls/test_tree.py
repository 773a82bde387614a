"""The ratchet tree (RFC 9420 sections 4, 7.7 to 7.9, 12.4.3.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.mls import limits
from protocol.mls.codec import u8, vec, vec_of
from protocol.mls.errors import DecodeError, Invalid
from protocol.mls.nodes import LeafNode, ParentNode
from protocol.mls.tree import RatchetTree, parse_tree, tree_of
from tests.protocol.mls.test_nodes import leaf_of
from tests.protocol.mls.vector_table import check_file

LEAVES = [leaf_of(encryption_key=bytes([i]) * 32) for i in range(20)]


@pytest.mark.parametrize(("name", "at_least"), [("tree-validation.json", 28), ("tree-operations.json", 5)])
def test_official_vectors(name: str, at_least: int) -> None:
    check_file(name, at_least)


def test_copies_are_independent() -> None:
    tree = tree_of(LEAVES[:3])
    before = tree.encode(), tree.tree_hash()
    twin = tree.copy()
    twin.remove(1)
    twin.add(LEAVES[7])
    twin.add(LEAVES[8])
    twin.add(LEAVES[9])
    assert (tree.encode(), tree.tree_hash()) == before
    assert (tree.leaf_count, twin.leaf_count) == (4, 8)


@given(st.lists(st.one_of(st.just("add"), st.integers(0, 15)), max_size=25))
def test_cached_hashes_are_those_of_a_fresh_tree(steps: list[str | int]) -> None:
    tree = tree_of(LEAVES[:1])
    tree.tree_hash()
    for number, step in enumerate(steps):
        if step == "add":
            tree.add(LEAVES[number % 20])
        elif isinstance(step, int) and len(tree.members()) > 1 and tree.leaf(step) is not None:
            tree.remove(step)
            tree.truncate()
        assert tree.tree_hash() == RatchetTree(tree.raw_nodes()).tree_hash()
        assert parse_tree(tree.encode()).tree_hash() == tree.tree_hash()
        # 7.7: there is always a member in the right half.
        assert tree.leaf_count == 1 or max(tree.members()) >= tree.leaf_count // 2


def test_12_1_1_adding_lists_the_leaf_as_unmerged() -> None:
    tree = tree_of(LEAVES[:3])
    tree.put_parent(3, ParentNode(b"k" * 32, b"", ()))
    tree.put_parent(1, ParentNode(b"l" * 32, b"", ()))
    assert tree.resolution(tree.root) == [3]
    assert tree.add(LEAVES[3]) == 3
    root = tree.parent(3)
    assert root is not None
    assert root.unmerged_leaves == (3,)
    assert tree.resolution(3) == [3, 6]
    assert tree.parent(1) == ParentNode(b"l" * 32, b"", ())
    assert tree.parent(5) is None


def test_7_9_the_original_sibling_hash_ignores_unmerged_leaves() -> None:
    tree = tree_of(LEAVES[:4])
    tree.put_parent(5, ParentNode(b"y" * 32, b"", ()))
    tree.remove(3)
    sibling_before = tree.tree_hash(5)
    tree.put_parent(3, ParentNode(b"w" * 32, b"", ()))
    before = tree.parent_hash(3, 5)
    tree.put_parent(5, None)
    tree.add(LEAVES[9])
    assert tree.tree_hash(5) != sibling_before
    assert tree.tree_hash_without(5, frozenset({3})) == sibling_before
    assert tree.parent_hash(3, 5) == before
    with pytest.raises(ValueError, match="blank"):
        tree.parent_hash(1, 0)


def test_7_9_unmerged_leaves_are_taken_out_of_nodes_below() -> None:
    tree = tree_of(LEAVES[:4])
    tree.put_parent(5, ParentNode(b"y" * 32, b"", (3,)))
    other = tree_of([*LEAVES[:3]])
    other.put_parent(5, ParentNode(b"y" * 32, b"", ()))
    assert tree.tree_hash_without(5, frozenset({3})) == other.tree_hash(5)
    assert tree.tree_hash_without(5, frozenset({0})) == tree.tree_hash(5)


def test_keys_without_parsing() -> None:
    tree = tree_of(LEAVES[:2])
    assert tree.encryption_key(0) == LEAVES[0].encryption_key
    assert tree.signature_key(1) == LEAVES[1].signature_key
    assert (tree.encryption_key(1), tree.signature_key(7), tree.leaf(7), tree.parent(9)) == (None,) * 4


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tree_of(LEAVES[:4])
    data = tree_of(LEAVES[:5]).encode()
    monkeypatch.setattr(limits, "MAX_LEAVES", 4)
    with pytest.raises(Invalid, match="4 leaves"):
        tree.add(LEAVES[5])
    with pytest.raises(DecodeError, match="4 leaves"):
        parse_tree(data)
    monkeypatch.setattr(limits, "MAX_TREE_BYTES", 100)
    with pytest.raises(DecodeError, match="100 bytes"):
        parse_tree(data)


def node(kind: int, body: bytes) -> bytes:
    return u8(1) + u8(kind) + body


def test_12_4_3_3_form_of_the_tree() -> None:
    leaf: LeafNode = LEAVES[0]
    parent = ParentNode(b"k" * 32, b"", ()).encode()
    assert parse_tree(vec_of([node(1, leaf.raw)])).leaf_count == 1
    for items in (
        [],
        [b"\x00"],
        [node(1, leaf.raw), b"\x00"],
        [node(2, parent)],
        [node(1, leaf.raw), node(1, leaf.raw)],
        [node(3, leaf.raw)],
        [b"\x02"],
    ):
        with pytest.raises(DecodeError):
            parse_tree(vec_of(items))
    with pytest.raises(DecodeError, match="left over"):
        parse_tree(vec(node(1, leaf.raw)) + b"x")


def test_filtered_paths_skip_empty_siblings() -> None:
    tree = tree_of(LEAVES[:5])
    assert tree.filtered_direct_path(4) == [(7, 3)]
    assert tree.filtered_direct_path(0) == [(1, 2), (3, 5), (7, 11)]
    assert tree_of(LEAVES[:1]).filtered_direct_path(0) == []
