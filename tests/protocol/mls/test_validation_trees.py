"""What no joiner may accept of a ratchet tree, each rule of RFC 9420 broken once; the other rules are in
`test_validation`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.mls import limits, nodes, validation
from protocol.mls import suite as crypto
from protocol.mls.codec import parse_exact
from protocol.mls.errors import Invalid
from protocol.mls.nodes import ParentNode
from protocol.mls.tree import RatchetTree, parse_tree
from tests.protocol.mls.people import AD, NOW_S, Person, group_of
from tests.protocol.mls.rogue import apply, without
from tests.protocol.mls.test_keypackages import rebuilt


@pytest.fixture(scope="module")
def tree() -> RatchetTree:
    """A tree of eight with parents: seven have committed once, then the first adds the last, unmerged at node 11."""
    names = ("ann", "bob", "cat", "dan", "eve", "fay", "gil")
    groups = group_of(*names)
    for number, name in enumerate(names):
        pending = groups[number].commit(
            authenticated_data=AD, tree_in_welcome=False, entropy=Person(name).entropy, now_s=NOW_S
        )
        groups = [pending.next if n == number else apply(g, pending.commit).next for n, g in enumerate(groups)]
    added = groups[0].commit(
        add=[Person("hal").key_package().key_package],
        authenticated_data=AD,
        tree_in_welcome=False,
        entropy=Person("ann").entropy,
        now_s=NOW_S,
    )
    return parse_tree(added.ratchet_tree)


def refused(tree: RatchetTree, section: str) -> None:
    with pytest.raises(Invalid, match=section):
        validation.check_tree(parse_tree(tree.encode()), b"group", 3, (), 0)


def test_the_tree_is_valid(tree: RatchetTree) -> None:
    validation.check_tree(tree, b"group", 3, (), limits.MAX_LIFETIME_S)
    unmerged = {n: parent.unmerged_leaves for n in range(1, 15, 2) if (parent := tree.parent(n))}
    assert unmerged == {1: (), 3: (), 5: (), 7: (), 9: (), 11: (7,)}


def changed(tree: RatchetTree, node: int, **changes: object) -> RatchetTree:
    twin = tree.copy()
    parent = twin.parent(node)
    assert parent is not None
    twin.put_parent(node, replace(parent, **changes))  # type: ignore[arg-type]
    return twin


def test_12_4_3_1_keys_of_parents_are_unique(tree: RatchetTree) -> None:
    refused(changed(tree, 5, encryption_key=tree.encryption_key(0)), "12.4.3.1")


@pytest.mark.parametrize("unmerged", [(0,), (70_000,)])
def test_12_4_3_1_unmerged_leaves_lie_below(tree: RatchetTree, unmerged: tuple[int, ...]) -> None:
    refused(changed(tree, 11, unmerged_leaves=unmerged), "12.4.3.1")


def test_12_4_3_1_unmerged_leaves_are_not_blank(tree: RatchetTree) -> None:
    twin = tree.copy()
    twin.put_leaf(7, None)
    refused(twin, "12.4.3.1")


def test_12_4_3_1_unmerged_leaves_are_listed_in_between(tree: RatchetTree) -> None:
    twin = tree.copy()
    twin.put_parent(13, ParentNode(crypto.public_key(b"m" * 32), b"", ()))
    refused(twin, "in between does not list")


@pytest.mark.parametrize("field", ["encryption_key", "parent_hash"])
def test_7_9_2_parent_hashes(tree: RatchetTree, field: str) -> None:
    for node in (n for n in range(1, 15, 2) if tree.parent(n)):
        refused(changed(tree, node, **{field: crypto.public_key(b"h" * 32)}), "7.9.2")


def test_7_9_2_a_parent_out_of_nowhere(tree: RatchetTree) -> None:
    twin = tree.copy()
    twin.put_parent(13, ParentNode(crypto.public_key(b"h" * 32), b"", (7,)))
    refused(twin, "7.9.2")


def test_7_1_parent_keys_of_small_order(tree: RatchetTree) -> None:
    twin = changed(tree, 11, encryption_key=bytes(32))
    with without("check_parent_hashes"):
        refused(twin, "small order")


def test_7_3_leaves_of_a_tree(tree: RatchetTree) -> None:
    with pytest.raises(Invalid, match="LeafNodeTBS"):
        validation.check_tree(tree, b"other group", 3, (), 0)
    with pytest.raises(Invalid, match=r"13\.4"):
        validation.check_tree(tree, b"group", 3, ((0xF777, b""),), 0)
    with pytest.raises(Invalid, match=r"7\.2"):
        validation.check_tree(tree, b"group", 2, (), 0)
    with pytest.raises(Invalid, match=r"7\.2"):
        validation.check_tree(tree, b"group", 3, (), longest_s=1)


def test_7_3_members_of_a_tree_are_distinct() -> None:
    twice = [parse_exact(rebuilt()[4:], nodes.parse_key_package).leaf for _ in range(2)]
    with pytest.raises(Invalid, match="signature key"):
        validation.check_members(twice, ())
    with pytest.raises(Invalid, match="encryption key"):
        validation.check_keys_unique(RatchetTree([twice[0].raw, None, twice[0].raw]))
