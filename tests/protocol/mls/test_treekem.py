"""Update paths (RFC 9420 sections 7.4 to 7.6, 7.9): the vectors, and what a receiver must refuse."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from protocol.mls import hpke, nodes, treekem
from protocol.mls import suite as crypto
from protocol.mls.codec import parse_exact, u32, vec
from protocol.mls.errors import Invalid
from protocol.mls.tree import RatchetTree, tree_of
from protocol.mls.treekem import NewPath, UpdatePath
from tests.protocol.mls.test_nodes import KEY, leaf_of
from tests.protocol.mls.vector_checks import deterministic
from tests.protocol.mls.vector_table import check_file

SUITE = crypto.SUITES[3]
GROUP = b"group"
NOBODY: frozenset[int] = frozenset()


def context_of(tree_hash: bytes) -> bytes:
    return b"context" + tree_hash


@dataclass
class Made:
    """A tree of four, the path that leaf 0 made over it, and everybody's private keys."""

    tree: RatchetTree
    new: NewPath
    privates: list[dict[int, bytes]]


def make(new_leaves: frozenset[int] = NOBODY) -> Made:
    pairs = [treekem.node_key_pair(bytes([i]) * 32) for i in range(4)]
    tree = tree_of(leaf_of(encryption_key=public) for _, public in pairs)
    new = treekem.create_path(SUITE, tree, 0, GROUP, KEY, new_leaves, context_of, deterministic("path"))
    return Made(tree, new, [{2 * i: private} for i, (private, _) in enumerate(pairs)])


def test_official_vectors() -> None:
    check_file("treekem.json", at_least=22)


def test_everybody_gets_the_same_secret() -> None:
    made = make()
    merged = treekem.merge_path(made.tree, 0, made.new.path, GROUP, NOBODY)
    assert merged.tree_hash() == made.new.tree.tree_hash()
    context = context_of(merged.tree_hash())
    for leaf in (1, 2, 3):
        got = treekem.open_path(SUITE, made.tree, merged, 0, leaf, made.privates[leaf], made.new.path, NOBODY, context)
        assert got.commit_secret == made.new.commit_secret
        for number, private in got.privates.items():
            assert private == made.new.privates[number]
    assert parse_exact(made.new.path.encode(), treekem.parse_update_path) == made.new.path


def test_7_5_new_members_are_left_out() -> None:
    made = make(frozenset({3}))
    assert [len(item.secrets) for item in made.new.path.nodes] == [1, 1]
    treekem.merge_path(made.tree, 0, made.new.path, GROUP, frozenset({3}))
    with pytest.raises(Invalid, match=r"7\.6"):
        treekem.merge_path(made.tree, 0, made.new.path, GROUP, NOBODY)


def test_a_blank_leaf_makes_no_path() -> None:
    tree = make().tree.copy()
    tree.remove(0)
    with pytest.raises(ValueError, match="blank"):
        treekem.create_path(SUITE, tree, 0, GROUP, KEY, NOBODY, context_of, deterministic("path"))


def resigned(leaf: nodes.LeafNode, **changes: object) -> nodes.LeafNode:
    """The leaf with other fields, properly signed for leaf 0 of the group."""
    changed = replace(leaf, **changes)  # type: ignore[arg-type]
    tbs = nodes.leaf_tbs(
        changed.encryption_key,
        changed.signature_key,
        changed.credential,
        changed.capabilities,
        changed.source,
        changed.extensions,
        changed.lifetime,
        changed.parent_hash,
    )
    return nodes.sign_leaf(tbs, KEY, vec(GROUP) + u32(0))


def refused(path: UpdatePath, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        treekem.merge_path(make().tree, 0, path, GROUP, NOBODY)


def test_7_6_one_node_for_each_of_the_filtered_path() -> None:
    path = make().new.path
    refused(replace(path, nodes=path.nodes[:-1]), "7.6")
    refused(replace(path, nodes=(*path.nodes, path.nodes[0])), "7.6")


def test_7_6_one_ciphertext_for_each_recipient() -> None:
    path = make().new.path
    short = replace(path.nodes[1], secrets=path.nodes[1].secrets[:1])
    refused(replace(path, nodes=(path.nodes[0], short)), "7.6")


def test_12_4_2_keys_are_new_to_the_tree() -> None:
    made = make()
    path = made.new.path
    old = made.tree.encryption_key(4)
    assert old is not None
    refused(replace(path, nodes=(replace(path.nodes[0], encryption_key=old), path.nodes[1])), "12.4.2")
    twice = replace(path.nodes[0], encryption_key=path.nodes[1].encryption_key)
    refused(replace(path, nodes=(twice, path.nodes[1])), "12.4.2")
    refused(replace(path, leaf=resigned(path.leaf, encryption_key=old)), "12.4.2")


def test_keys_of_small_order() -> None:
    path = make().new.path
    refused(replace(path, nodes=(replace(path.nodes[0], encryption_key=bytes(32)), path.nodes[1])), "small order")


def test_12_4_2_the_leaf_comes_from_a_commit() -> None:
    path = make().new.path
    leaf = resigned(path.leaf, source=nodes.SOURCE_UPDATE, parent_hash=None)
    refused(replace(path, leaf=leaf), "12.4.2")


def test_7_9_2_parent_hash_of_the_leaf() -> None:
    path = make().new.path
    refused(replace(path, leaf=resigned(path.leaf, parent_hash=bytes(32))), "7.9.2")
    # Another key on the path changes the hash too.
    other = replace(path.nodes[1], encryption_key=treekem.node_key_pair(b"other" * 8)[1])
    refused(replace(path, nodes=(path.nodes[0], other)), "7.9.2")


def test_7_2_signature_of_the_leaf() -> None:
    path = make().new.path
    unsigned = replace(path.leaf, signature=bytes(64))
    refused(replace(path, leaf=unsigned), "LeafNodeTBS")


def opened(made: Made, leaf: int, path: UpdatePath, context: bytes | None = None) -> treekem.OpenedPath:
    merged = treekem.merge_path(made.tree, 0, path, GROUP, NOBODY)
    right = context_of(merged.tree_hash()) if context is None else context
    return treekem.open_path(SUITE, made.tree, merged, 0, leaf, made.privates[leaf], path, NOBODY, right)


def test_7_5_a_secret_for_me_that_does_not_open() -> None:
    made = make()
    path = made.new.path
    broken = replace(path.nodes[0], secrets=((path.nodes[0].secrets[0][0], bytes(48)),))
    with pytest.raises(Invalid, match="authenticate"):
        opened(made, 1, replace(path, nodes=(broken, path.nodes[1])))
    # The others are not concerned.
    assert opened(made, 2, replace(path, nodes=(broken, path.nodes[1]))).commit_secret == made.new.commit_secret
    with pytest.raises(Invalid, match="authenticate"):
        opened(made, 1, path, context=b"another")


@pytest.mark.parametrize(("secret", "reason"), [(bytes(32), "public key stated"), (bytes(31), "wrong size")])
def test_7_5_a_secret_that_gives_other_keys(secret: bytes, reason: str) -> None:
    made = make()
    path = made.new.path
    public = made.tree.encryption_key(2)
    assert public is not None
    context = context_of(made.new.tree.tree_hash())
    sealed = hpke.encrypt_with_label(SUITE, public, "UpdatePathNode", context, secret, bytes(range(32)))
    lying = replace(path.nodes[0], secrets=(sealed,))
    with pytest.raises(Invalid, match=reason):
        opened(made, 1, replace(path, nodes=(lying, path.nodes[1])))


def test_without_any_private_key() -> None:
    made = make()
    made.privates[1] = {}
    with pytest.raises(Invalid, match="no private key"):
        opened(made, 1, made.new.path)


def test_7_5_outdated_keys_are_dropped() -> None:
    made = make()
    old = made.privates[0]
    assert treekem.surviving_keys(old, made.tree, made.new.tree) == {}
    assert treekem.surviving_keys(made.privates[1], made.tree, made.new.tree) == made.privates[1]


def test_secrets_do_not_show_in_reprs() -> None:
    made = make()
    assert repr(made.new.commit_secret) not in repr(made.new)
    assert repr(made.new.commit_secret) not in repr(opened(made, 1, made.new.path))
